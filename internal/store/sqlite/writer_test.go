package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	driver "modernc.org/sqlite"

	"github.com/caddy-checkout/checkout/internal/store"
)

// held keeps the writer busy until release is called, so that the writes that
// queue calls for meanwhile share a transaction. queue returns when its call
// waits.
func held(t *testing.T, s *Store) (queue func(call func() error) <-chan error, release func()) {
	began, end := make(chan struct{}), make(chan struct{})
	go s.write(context.WithoutCancel(t.Context()), func(*tx) error { //nolint:errcheck // it cannot fail
		close(began)
		<-end
		return nil
	})
	<-began
	return func(call func() error) <-chan error {
		waiting := len(s.ops)
		done := make(chan error, 1)
		go func() { done <- call() }()
		for len(s.ops) == waiting {
			select {
			case err := <-done:
				t.Fatalf("a write did not wait: %v", err)
			default:
				runtime.Gosched()
			}
		}
		return done
	}, func() { close(end) }
}

func TestNeighbours(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "orders.db"))
	known, err := create(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	mine := errors.New("mine")
	queue, release := held(t, s)
	var good []<-chan error
	neighbour := func() {
		good = append(good, queue(func() error {
			_, err := create(t.Context(), s)
			return err
		}))
	}
	neighbour()
	exists := queue(func() error { return s.Create(t.Context(), known, known.CreatedAt, store.PendingLimits{}) })
	decided := queue(func() error {
		_, err := s.Update(t.Context(), known.Shop, known.ID, "", func(store.Subject) (*store.Change, error) { return nil, mine })
		return err
	})
	inserted := queue(func() error {
		return s.write(t.Context(), func(t *tx) error {
			t.w.orders = append(t.w.orders, make([]any, insertOrders.columns)...)
			return mine
		})
	})
	neighbour()
	// These two fail after they wrote.
	halfway := queue(func() error {
		return s.write(t.Context(), func(t *tx) error {
			if _, err := t.exec("DELETE FROM orders"); err != nil {
				return err
			}
			return mine
		})
	})
	panicked := queue(func() error {
		_, err := s.Update(t.Context(), known.Shop, known.ID, "", func(store.Subject) (*store.Change, error) { panic("oh") })
		return err
	})
	neighbour()
	release()
	for _, done := range good {
		if err := <-done; err != nil {
			t.Errorf("a neighbour of a failed write: %v", err)
		}
	}
	if err := <-exists; !errors.Is(err, store.ErrExists) {
		t.Errorf("got %v, want ErrExists", err)
	}
	for _, done := range []<-chan error{decided, inserted, halfway} {
		if err := <-done; !errors.Is(err, mine) {
			t.Errorf("got %v, want the error of the write", err)
		}
	}
	if err := <-panicked; err == nil || !strings.Contains(err.Error(), "oh") {
		t.Errorf("got %v, want the panic", err)
	}
	if got := checkWhole(t, s); len(got) != len(good)+1 {
		t.Errorf("%d orders are there, want %d", len(got), len(good)+1)
	}
}

// TestUnknownShop asks for an order of a shop that has none: nothing is
// written, so that a neighbour need not be written again.
func TestUnknownShop(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "orders.db"))
	queue, release := held(t, s)
	runs := 0
	neighbour := queue(func() error { return s.write(t.Context(), func(*tx) error { runs++; return nil }) })
	unknown := queue(func() error {
		_, err := s.Update(t.Context(), "nobody's", "1", "P1", func(store.Subject) (*store.Change, error) { return nil, nil })
		return err
	})
	release()
	if err := <-neighbour; err != nil || runs != 1 {
		t.Errorf("the neighbour was written %d times: %v", runs, err)
	}
	if err := <-unknown; !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func TestGivenUp(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "orders.db"))
	queue, release := held(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	o := newOrder()
	done := queue(func() error { return s.Create(ctx, o, o.CreatedAt, store.PendingLimits{}) })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	release()
	if _, err := create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Order(t.Context(), o.Shop, o.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a write that was given up while it waited: got %v, want ErrNotFound", err)
	}
}

func TestBegunIsFinished(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "orders.db"))
	o, err := create(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	got, err := s.Update(ctx, o.Shop, o.ID, "", func(sub store.Subject) (*store.Change, error) {
		cancel()
		sub.Order.Note = "begun"
		return &store.Change{Order: sub.Order}, nil
	})
	if err != nil || got.Note != "begun" {
		t.Errorf("a write whose context ended after it began: %v, %v", got, err)
	}
}

// TestReclaim has a connection read much: the pages that it keeps while it
// idles are given up for the writer's.
func TestReclaim(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "orders.db"))
	for range 20 { // together they fill the cache
		o := newOrder()
		o.Buyer.Note = strings.Repeat("x", 1<<20)
		if err := s.Create(t.Context(), o, o.CreatedAt, store.PendingLimits{}); err != nil {
			t.Fatal(err)
		}
	}
	idle, err := s.read.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	kept := func() (bytes int, err error) {
		err = idle.Raw(func(c any) (err error) {
			bytes, _, err = c.(driver.DBStatus).Status(driver.DBStatusCacheUsed, false)
			return err
		})
		return bytes, err
	}
	// The writer does not do it by itself meanwhile.
	if err := s.write(t.Context(), func(tx *tx) error {
		const all = "SELECT sum(length(buyer)) FROM orders"
		var read int
		if _, err := one(tx, all, nil, &read); err != nil { // the whole cache is the writer's
			return err
		}
		if err := idle.QueryRowContext(t.Context(), all).Scan(&read); err != nil {
			return err
		}
		before, err := kept()
		if err != nil {
			return err
		}
		tx.w.reclaim()
		after, err := kept()
		if before < 10<<20 || after > before/2 {
			t.Errorf("the idle connection keeps %d of the %d bytes of its cache", after, before)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}
