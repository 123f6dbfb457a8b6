package simulation

import (
	"context"
	"fmt"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// faulty is a store that fails when the world says so: before it wrote, as a
// full disk does, or after it, as a crash between commit and answer does.
type faulty struct {
	store.Store
	w *world
}

// write runs a write of the real store, and fails before or after it.
func (f *faulty) write(do func() error) error {
	if f.w.failIn < 0 {
		return do()
	}
	f.w.failIn--
	if f.w.failIn >= 0 {
		return do()
	}
	f.w.stats.Faults++
	if f.w.after {
		if err := do(); err != nil {
			return err
		}
		return fmt.Errorf("answer lost: %w", store.ErrUnavailable)
	}
	return fmt.Errorf("disk full: %w", store.ErrUnavailable)
}

func (f *faulty) Create(ctx context.Context, o *order.Order, first time.Time, l store.PendingLimits) error {
	return f.write(func() error { return f.Store.Create(ctx, o, first, l) })
}

func (f *faulty) Update(ctx context.Context, shop, id, payid string, decide func(store.Subject) (*store.Change, error)) (o *order.Order, err error) {
	err = f.write(func() error {
		o, err = f.Store.Update(ctx, shop, id, payid, decide)
		return err
	})
	return o, err
}

func (f *faulty) KeepOrphan(ctx context.Context, o store.Orphan) (fresh bool, err error) {
	err = f.write(func() error {
		fresh, err = f.Store.KeepOrphan(ctx, o)
		return err
	})
	return fresh, err
}

func (f *faulty) ClaimQuestion(ctx context.Context, shop, id string, now time.Time, interval time.Duration) (granted bool, err error) {
	err = f.write(func() error {
		granted, err = f.Store.ClaimQuestion(ctx, shop, id, now, interval)
		return err
	})
	return granted, err
}

func (f *faulty) ClaimDue(ctx context.Context, shop string, now, youngest time.Time, interval time.Duration, n int, next func(order.Order) time.Time) (due []order.Order, err error) {
	err = f.write(func() error {
		due, err = f.Store.ClaimDue(ctx, shop, now, youngest, interval, n, next)
		return err
	})
	return due, err
}
