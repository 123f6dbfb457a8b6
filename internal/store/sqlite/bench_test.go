package sqlite

import (
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

func benchOrder(now time.Time, client string) *order.Order {
	return &order.Order{
		ID: order.NewID(now), Shop: "10000001400000 https://shop.example.com/checkout",
		Lines: []order.Line{{SKU: "mug", Name: "Coffee mug", Price: 3900, Qty: 1}}, Total: 3900, Title: "Coffee mug",
		Buyer:  order.Buyer{Name: "Ada Lovelace", Email: "ada@example.com"},
		Client: client, Language: "en", CreatedAt: now, ExpiresAt: now.Add(2 * time.Hour),
		History: []order.Entry{{At: now, Who: order.SourceBuyer, What: "created"}},
	}
}

func benchStore(b *testing.B, set settings) *Store {
	b.Helper()
	s, err := open(b.Context(), filepath.Join(b.TempDir(), "orders.db"), set)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

// BenchmarkCreate compares durable creations of 64 clients that share
// transactions with those that have one each.
func BenchmarkCreate(b *testing.B) {
	for _, mode := range []struct {
		name string
		set  settings
	}{
		{"shared", settings{busyTimeout: busyTimeout, maxBatch: maxBatch}},
		{"each", settings{busyTimeout: busyTimeout, maxBatch: 1}},
	} {
		b.Run(mode.name, func(b *testing.B) {
			s := benchStore(b, mode.set)
			limits := store.PendingLimits{PerClient: 50, Total: 1 << 30}
			var n atomic.Int64
			b.SetParallelism(32) // of 2 processors: 64
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					now := time.Now()
					client := "192.0.2." + strconv.FormatInt(n.Add(1)/20, 10)
					if err := s.Create(b.Context(), benchOrder(now, client), now.Add(2*time.Minute), limits); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "creates/s")
		})
	}
}

// BenchmarkPay is the way of an order from pending to paid, at 64 clients.
func BenchmarkPay(b *testing.B) {
	s := benchStore(b, settings{busyTimeout: busyTimeout, maxBatch: maxBatch})
	now := time.Now()
	orders := make([]*order.Order, b.N)
	var next atomic.Int64
	each := func(fn func(i int, o *order.Order) error) {
		next.Store(0)
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				i := int(next.Add(1)) - 1
				if err := fn(i, orders[i]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	each(func(i int, _ *order.Order) error {
		orders[i] = benchOrder(now.Add(time.Duration(i)*time.Millisecond), strconv.Itoa(i))
		return s.Create(b.Context(), orders[i], now, store.PendingLimits{})
	})
	b.ResetTimer()
	each(func(i int, o *order.Order) error {
		payid := strconv.Itoa(i)
		_, err := s.Update(b.Context(), o.Shop, o.ID, payid, func(sub store.Subject) (*store.Change, error) {
			c := &store.Change{Order: sub.Order, SetNextQuery: true}
			c.Order.State, c.Order.PaidAt = order.Paid, now
			c.Payment = &order.Payment{PayID: payid, PayMoney: "39.00", RealPay: "39.00", Source: order.SourceNotify, Verdict: "paid", At: now}
			c.Entries = []order.Entry{{At: now, Who: order.SourceNotify, What: "paid"}}
			c.Events = []store.Event{{ID: order.NewID(now), Type: "checkout.paid", At: now, Payload: make([]byte, 400), Targets: []string{"webhook:https://hooks.example.com/orders"}}}
			return c, nil
		})
		return err
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "payments/s")
}

func BenchmarkOrder(b *testing.B) {
	s := benchStore(b, settings{busyTimeout: busyTimeout, maxBatch: maxBatch})
	o := benchOrder(time.Now(), "a")
	if err := s.Create(b.Context(), o, time.Now(), store.PendingLimits{}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Order(b.Context(), o.Shop, o.ID); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkClaimDue claims two by two of 100,000 orders, of which the newest are not due yet.
func BenchmarkClaimDue(b *testing.B) {
	s := benchStore(b, settings{busyTimeout: busyTimeout, maxBatch: maxBatch})
	now := time.Now()
	var g errgroup.Group
	g.SetLimit(256)
	shop := benchOrder(now, "").Shop
	for i := range 100_000 {
		at := now.Add(time.Duration(i-100_000) * 10 * time.Millisecond)
		g.Go(func() error {
			return s.Create(b.Context(), benchOrder(at, "a"), at.Add(2*time.Minute), store.PendingLimits{})
		})
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		due, err := s.ClaimDue(b.Context(), shop, now, now.Add(-108*time.Second), time.Minute, 2, func(order.Order) time.Time { return now.Add(time.Hour) })
		if err != nil || len(due) != 2 {
			b.Fatal(len(due), err)
		}
	}
}
