package sqlite

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
	"github.com/caddy-checkout/checkout/internal/store/storetest"
)

func TestStore(t *testing.T) {
	open := func(t *testing.T, file string) store.Store {
		t.Helper()
		s, err := Open(t.Context(), file)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	storetest.Harness{
		Open: func(t *testing.T) store.Store {
			return open(t, filepath.Join(t.TempDir(), "orders.db"))
		},
		Reopen: func(t *testing.T, s store.Store) store.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return open(t, s.(*Store).file)
		},
	}.Run(t)
}

func newOrder() *order.Order {
	now := time.Now()
	return &order.Order{
		ID: order.NewID(now), Shop: "shop", Lines: []order.Line{{SKU: "mug", Name: "Mug", Price: 3900, Qty: 1}}, Total: 3900,
		Client: "192.0.2.1", CreatedAt: now, ExpiresAt: now.Add(time.Hour), History: []order.Entry{{At: now, Who: "buyer", What: "created"}},
	}
}

func create(ctx context.Context, s *Store) (*order.Order, error) {
	o := newOrder()
	return o, s.Create(ctx, o, o.CreatedAt, store.PendingLimits{})
}

func pay(ctx context.Context, s *Store, o *order.Order) error {
	_, err := s.Update(ctx, o.Shop, o.ID, o.ID, func(sub store.Subject) (*store.Change, error) {
		now := time.Now()
		c := &store.Change{Order: sub.Order, SetNextQuery: true}
		c.Order.State, c.Order.PaidAt = order.Paid, now
		c.Payment = &order.Payment{PayID: o.ID, PayMoney: "39.00", RealPay: "39.00", Source: order.SourceNotify, Verdict: "paid", At: now}
		c.Entries = []order.Entry{{At: now, Who: order.SourceNotify, What: "paid"}}
		c.Events = []store.Event{{ID: order.NewID(now), Type: "checkout.paid", At: now, Payload: []byte("{}"), Targets: []string{"webhook:x"}}}
		return c, nil
	})
	return err
}

// checkWhole fails the test unless all that belongs to an order is there.
func checkWhole(t *testing.T, s *Store) (orders map[string]order.State) {
	t.Helper()
	orders = make(map[string]order.State)
	pending := 0
	if err := s.Each(t.Context(), store.Filter{}, func(o *order.Order) error {
		got, deliveries, err := s.Detail(t.Context(), o.ID)
		if err != nil {
			return err
		}
		want := 1
		if got.State == order.Paid {
			want = 2
		} else {
			pending++
		}
		if len(got.History) != want || len(got.Payments) != want-1 || len(deliveries) != want-1 {
			t.Errorf("order %s is %s with %d entries, %d payments, %d deliveries", got.ID, got.State, len(got.History), len(got.Payments), len(deliveries))
		}
		orders[o.ID] = got.State
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	bySKU := 0
	if err := s.Each(t.Context(), store.Filter{SKU: "mug"}, func(*order.Order) error { bySKU++; return nil }); err != nil {
		t.Fatal(err)
	}
	st, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if bySKU != len(orders) || (len(orders) > 0 && st.Orders["shop"]["pending"] != pending) {
		t.Errorf("%d orders, %d by product; %d pending, counted as %d", len(orders), bySKU, pending, st.Orders["shop"]["pending"])
	}
	var ofClients int
	if _, err := one(s.reader(t.Context()), "SELECT coalesce(sum(pending), 0) FROM clients", nil, &ofClients); err != nil || ofClients != pending {
		t.Errorf("%d pending, counted by client as %d, %v", pending, ofClients, err)
	}
	var verdict string
	if _, err := one(s.reader(t.Context()), "PRAGMA integrity_check", nil, &verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity check: %s, %v", verdict, err)
	}
	return orders
}

func mustOpen(t *testing.T, file string) *Store {
	t.Helper()
	s, err := Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return s
}
