package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// busy is a store with an order that has a payment and a delivery, an expired
// order, an orphan and a balance.
func busy(f *fixture) (*order.Order, store.Delivery) {
	f.Helper()
	o := f.created(0)
	f.emit(o, []string{hook}, "1")
	f.change(o, func(c *store.Change) { c.Payment = payment("P0", t0) })
	f.setState(f.created(time.Second), order.Expired)
	_, err := f.s.KeepOrphan(f.Context(), store.Orphan{Shop: shopA, PayID: "P9", At: t0})
	f.ok(err)
	f.ok(f.s.SaveBalance(f.Context(), store.Balance{Merchant: "m1", Amount: "7.00", At: t0}))
	_, deliveries := f.detail(o)
	return o, deliveries[0]
}

// everything is all that can be read.
func everything(f *fixture) string {
	f.Helper()
	var all []any
	f.ok(f.s.Each(f.Context(), store.Filter{}, func(o *order.Order) error {
		got, deliveries, err := f.s.Detail(f.Context(), o.ID)
		all = append(all, got, deliveries)
		return err
	}))
	orphans, _, err := f.s.Orphans(f.Context(), "", "", 1000)
	f.ok(err)
	balance, err := f.s.Balance(f.Context(), "m1")
	f.ok(err)
	stats, err := f.s.Stats(f.Context())
	f.ok(err)
	return asJSON(append(all, orphans, balance, stats))
}

var lifeTests = []test{
	{"a context that is over before writes nothing", func(f *fixture) {
		o, d := busy(f)
		before := everything(f)
		ctx := cancelled(f.Context())
		for name, call := range calls(f.s, o, d.ID) {
			if err := call(ctx); !errors.Is(err, context.Canceled) {
				f.Errorf("%s: got %v, want context.Canceled", name, err)
			}
		}
		f.want("what is there", everything(f), before)
		for _, claim := range []func() (bool, error){
			func() (bool, error) { return f.s.ClaimQuestion(f.Context(), shopA, o.ID, t0, time.Minute) },
			func() (bool, error) { return f.s.ClaimBalance(f.Context(), "m1", t0, time.Minute) },
		} {
			granted, err := claim()
			f.ok(err)
			f.want("claim after a refused one", granted, true)
		}
	}},
	{"contexts that end at any moment leave whole writes or none", func(f *fixture) {
		var written atomic.Int64
		orders := make([]*order.Order, 64)
		for i := range orders {
			orders[i] = newOrder(shopA, t0)
		}
		together(len(orders), func(i int) error {
			ctx, cancel := context.WithCancel(f.Context())
			go cancel()
			err := f.s.Create(ctx, orders[i], t0, store.PendingLimits{})
			if err == nil {
				written.Add(1)
			} else if !errors.Is(err, context.Canceled) {
				f.Errorf("got %v, want context.Canceled", err)
			}
			return nil
		})
		there := int64(0)
		for _, o := range orders {
			got, _, err := f.s.Detail(f.Context(), o.ID)
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			f.ok(err)
			f.want("order", got, o)
			there++
		}
		f.want("orders there", there, written.Load())
	}},
	{"Ping", func(f *fixture) {
		f.ok(f.s.Ping(f.Context()))
	}},
	{"everything is unavailable after Close", func(f *fixture) {
		o, d := busy(f)
		f.ok(f.s.Close())
		f.ok(f.s.Close())
		for name, call := range calls(f.s, o, d.ID) {
			if err := call(f.Context()); !errors.Is(err, store.ErrUnavailable) {
				f.Errorf("%s: got %v, want ErrUnavailable", name, err)
			}
		}
		_, stopWatch := f.s.Watch(shopA, o.ID)
		stopWatch()
		_, stopFeed := f.s.Feed()
		stopFeed()
	}},
	{"Close waits for writes under way", func(f *fixture) {
		const n = 64
		began := make(chan struct{}, n)
		done := make(chan []error)
		go func() {
			done <- together(n, func(i int) error {
				o := newOrder(shopA, t0)
				began <- struct{}{}
				return f.s.Create(f.Context(), o, t0, store.PendingLimits{})
			})
		}()
		await(f, "the first write", began)
		f.ok(f.s.Close())
		for _, err := range await(f, "the writes", done) {
			if err != nil && !errors.Is(err, store.ErrUnavailable) {
				f.Fatalf("got %v, want nil or ErrUnavailable", err)
			}
		}
	}},
}

var reopenTests = []struct {
	name string
	run  func(f *fixture, reopen func())
}{
	{"everything is there again", func(f *fixture, reopen func()) {
		busy(f)
		before := everything(f)
		for range 3 {
			reopen()
			f.want("what is there", everything(f), before)
		}
	}},
	{"limits on asking hold", func(f *fixture, reopen func()) {
		o := f.created(0)
		question := func(now time.Time) bool {
			yes, err := f.s.ClaimQuestion(f.Context(), shopA, o.ID, now, time.Minute)
			f.ok(err)
			return yes
		}
		balance := func(now time.Time) bool {
			yes, err := f.s.ClaimBalance(f.Context(), "m1", now, time.Minute)
			f.ok(err)
			return yes
		}
		f.want("first", [2]bool{question(t0), balance(t0)}, [2]bool{true, true})
		reopen()
		soon := t0.Add(time.Minute - time.Millisecond)
		f.want("reopened", [2]bool{question(soon), balance(soon)}, [2]bool{false, false})
		f.want("due", f.due(soon, 1), ids())
		over := t0.Add(time.Minute)
		f.want("when the interval is over", [2]bool{question(over), balance(over)}, [2]bool{true, true})
	}},
	{"leases hold", func(f *fixture, reopen func()) {
		o := f.titled("a", 0)
		f.emit(o, []string{hook}, "1")
		f.want("claimed", f.taken(hook, t0, 1), []string{"a:1"})
		reopen()
		f.want("under lease", f.taken(hook, t0.Add(lease-time.Millisecond), 1), []string{})
		f.want("after it", f.taken(hook, t0.Add(lease), 1), []string{"a:1"})
	}},
	{"limits on pending orders hold", func(f *fixture, reopen func()) {
		f.created(0)
		reopen()
		err := f.s.Create(f.Context(), newOrder(shopA, t0), t0, store.PendingLimits{PerClient: 1})
		var le *store.LimitError
		if !errors.As(err, &le) || !le.PerClient {
			f.Fatalf("got %v, want a LimitError", err)
		}
	}},
	{"what was acknowledged before Close is there", func(f *fixture, reopen func()) {
		const n = 64
		orders := make([]*order.Order, n)
		acked := make([]bool, n)
		first := make(chan struct{}, n)
		done := make(chan []error)
		s := f.s
		go func() {
			done <- together(n, func(i int) error {
				o := newOrder(shopA, t0)
				o.Title = fmt.Sprint(i)
				orders[i] = o
				if s.Create(f.Context(), o, t0, store.PendingLimits{}) == nil {
					acked[i] = true
					first <- struct{}{}
				}
				return nil
			})
		}()
		await(f, "the first order", first)
		reopen()
		await(f, "the orders", done)
		for i, o := range orders {
			got, _, err := f.s.Detail(f.Context(), o.ID)
			if acked[i] {
				f.ok(err)
				f.want("order", got, o)
			} else if !errors.Is(err, store.ErrNotFound) {
				f.Fatalf("an order that was not acknowledged: %v", err)
			}
		}
	}},
}
