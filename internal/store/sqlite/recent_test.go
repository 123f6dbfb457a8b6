package sqlite

import (
	"errors"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

func TestRecent(t *testing.T) {
	var c recent
	o := newOrder()
	if got, ticket := c.get(o.ID); got != nil {
		t.Fatal("an order that was never put")
	} else {
		c.put(o, ticket)
	}
	got, ticket := c.get(o.ID)
	if got == nil {
		t.Fatal("the order is not there")
	}
	got.Lines[0].SKU = "spoilt"
	if again, _ := c.get(o.ID); again.Lines[0].SKU != "mug" {
		t.Error("a copy was changed, and the order with it")
	}
	c.forget([]string{o.ID})
	if got, _ := c.get(o.ID); got != nil {
		t.Error("a forgotten order is there")
	}
	c.put(o, ticket)
	if got, _ := c.get(o.ID); got != nil {
		t.Error("an order that was read before it changed was kept")
	}
	_, ticket = c.get(o.ID)
	large := newOrder()
	large.Buyer.Note = strings.Repeat("x", maxRecentText)
	c.put(large, ticket)
	if got, _ := c.get(large.ID); got != nil {
		t.Error("a large order was kept")
	}
	for i := range 5 * maxRecent {
		o := newOrder()
		o.ID = strconv.Itoa(i)
		c.put(o, ticket)
	}
	if n := len(c.newer) + len(c.older); n > 2*maxRecent {
		t.Errorf("%d orders are kept", n)
	}
	c.forgetAll()
	if got, _ := c.get(strconv.Itoa(5*maxRecent - 1)); got != nil {
		t.Error("an order is there after all were forgotten")
	}
}

// TestOrderIsFresh reads an order again after each way to change it.
func TestOrderIsFresh(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "orders.db"))
	o, err := create(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	read := func() *order.Order {
		t.Helper()
		got, err := s.Order(t.Context(), o.Shop, o.ID)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	now := o.CreatedAt.Add(time.Hour)
	if !read().AskedAt.IsZero() {
		t.Error("asked already")
	}
	if _, err := s.ClaimQuestion(t.Context(), o.Shop, o.ID, now, time.Minute); err != nil {
		t.Fatal(err)
	}
	if got := read().AskedAt; got.UnixMilli() != now.UnixMilli() {
		t.Errorf("after a question: asked at %v, want %v", got, now)
	}
	now = now.Add(time.Hour)
	if _, err := s.ClaimDue(t.Context(), o.Shop, now, time.Minute, 1, func(order.Order) time.Time { return now }); err != nil {
		t.Fatal(err)
	}
	if got := read().AskedAt; got.UnixMilli() != now.UnixMilli() {
		t.Errorf("after one that was due: asked at %v, want %v", got, now)
	}
	if err := pay(t.Context(), s, o); err != nil {
		t.Fatal(err)
	}
	if got := read(); got.State != order.Paid || len(got.Payments) != 1 {
		t.Errorf("after its payment: %s, %d payments", got.State, len(got.Payments))
	}
	if _, err := s.Order(t.Context(), "other", o.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("for another shop: %v", err)
	}
}

// TestOrderOfAnotherStore reads an order that another opener of the file
// changed, once the watcher wakes.
func TestOrderOfAnotherStore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "orders.db")
	s, other := mustOpen(t, file), mustOpen(t, file)
	o, err := create(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Order(t.Context(), o.Shop, o.ID); err != nil {
		t.Fatal(err)
	}
	changed, stop := s.Watch(o.Shop, o.ID)
	defer stop()
	if err := pay(t.Context(), other, o); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
	case <-time.After(time.Minute):
		t.Fatal("the watcher was not woken")
	}
	if got, err := s.Order(t.Context(), o.Shop, o.ID); err != nil || got.State != order.Paid {
		t.Errorf("after the change: %v, %v", got, err)
	}
}
