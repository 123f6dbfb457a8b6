package sqlite

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// BenchmarkRecords reads what a merchant looks at, with a thousand orders and
// with CHECKOUT_ORDERS (default 100,000): a day of a thousand orders each, of
// which half are paid and half of those shipped.
func BenchmarkRecords(b *testing.B) {
	many := 100_000
	if text := os.Getenv("CHECKOUT_ORDERS"); text != "" {
		var err error
		if many, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	for _, orders := range []int{1000, many} {
		b.Run(fmt.Sprintf("%dorders", orders), func(b *testing.B) { benchmarkRecords(b, orders) })
	}
}

func benchmarkRecords(b *testing.B, orders int) {
	ctx := b.Context()
	s, err := Open(ctx, filepath.Join(b.TempDir(), "orders.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	last := fillDays(b, s, orders)

	list := func(f store.Filter, cursor string) func() error {
		return func() error {
			page, _, err := s.List(ctx, f, cursor, 50)
			if err == nil && len(page) == 0 {
				return fmt.Errorf("nothing found by %+v", f)
			}
			return err
		}
	}
	middle := ""
	for range orders / 1000 {
		if _, middle, err = s.List(ctx, store.Filter{Shop: "shop"}, middle, 500); err != nil {
			b.Fatal(err)
		}
	}
	for _, q := range []struct {
		name string
		run  func() error
	}{
		{"list", list(store.Filter{}, "")},
		{"list middle", list(store.Filter{Shop: "shop"}, middle)},
		{"list paid", list(store.Filter{Shop: "shop", States: []order.State{order.Paid}}, "")},
		{"list to ship", list(store.Filter{Shop: "shop", Todo: store.TodoShip}, "")},
		{"list sku", list(store.Filter{Shop: "shop", SKU: "sku7"}, "")},
		{"search", func() error {
			_, _, err := s.List(ctx, store.Filter{Shop: "shop", Text: "nobody@nowhere"}, "", 50)
			return err
		}},
		{"summary of 30 days", func() error {
			_, err := s.Summarize(ctx, "shop", last.AddDate(0, 0, -30), last, time.UTC)
			return err
		}},
		{"export", func() error {
			return s.Each(ctx, store.Filter{Shop: "shop"}, func(*order.Order) error { return nil })
		}},
	} {
		b.Run(q.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := q.run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// fillDays makes orders, a thousand a day, and returns the end of the last day.
func fillDays(b *testing.B, s *Store, orders int) (last time.Time) {
	b.Helper()
	last = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	var wg sync.WaitGroup
	const clients = 128
	for c := range clients {
		wg.Go(func() {
			for i := c; i < orders; i += clients {
				at := last.Add(-time.Duration(i) * 24 * time.Hour / 1000)
				o := &order.Order{
					ID: order.NewID(at), Shop: "shop", State: order.Expired, Total: 3900, Title: "Coffee mug", Client: "192.0.2.1", Language: "en",
					Lines:     []order.Line{{SKU: "sku" + strconv.Itoa(i%50), Name: "Coffee mug", Price: 3900, Qty: 1}},
					Buyer:     order.Buyer{Name: "Ann Example", Email: fmt.Sprintf("ann%d@example.com", i), Address: "1 Example Road, Exampletown"},
					CreatedAt: at, ExpiresAt: at.Add(2 * time.Hour),
					History: []order.Entry{{At: at, Who: order.SourceBuyer, What: "created"}},
				}
				if i%2 == 0 {
					o.State, o.PaidAt = order.Paid, at.Add(time.Minute)
				}
				if i%4 == 0 {
					o.ShippedAt = at.Add(time.Hour)
				}
				if err := s.Create(context.WithoutCancel(b.Context()), o, time.Time{}, store.PendingLimits{}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return last
}
