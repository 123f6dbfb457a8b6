package sqlite

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

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
	if _, err := s.ClaimDue(t.Context(), o.Shop, now, now, time.Minute, 1, func(order.Order) time.Time { return now }); err != nil {
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

// TestDeafIsFresh has another opener of the file change an order while the
// writer has no connection that would tell.
func TestDeafIsFresh(t *testing.T) {
	file := filepath.Join(t.TempDir(), "orders.db")
	s, other := mustOpen(t, file), mustOpen(t, file)
	o, err := create(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	broken := &codedError{errors.New("the disk failed"), sqlite3.SQLITE_IOERR}
	if err := s.write(t.Context(), func(t *tx) error { t.fault = broken; return broken }); !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
	if _, err := s.Order(t.Context(), o.Shop, o.ID); err != nil {
		t.Fatal(err)
	}
	changed, stop := s.Watch(o.Shop, o.ID)
	defer stop()
	if err := pay(t.Context(), other, o); err != nil {
		t.Fatal(err)
	}
	// It is woken every now and then, at first perhaps before the change.
	for got := o; got.State != order.Paid; {
		select {
		case <-changed:
		case <-time.After(time.Minute):
			t.Fatal("the watcher was not woken after the change")
		}
		changed, stop = s.Watch(o.Shop, o.ID)
		defer stop()
		if got, err = s.Order(t.Context(), o.Shop, o.ID); err != nil {
			t.Fatal(err)
		}
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
