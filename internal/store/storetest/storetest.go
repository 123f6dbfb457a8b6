// Package storetest is the behaviour that every store of orders has. Where the
// doc comments of package store leave something open, the name of a subtest
// here says what was decided.
package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// Harness makes the stores that the suite tests.
type Harness struct {
	// Open returns a fresh, empty store. The suite closes it; Close must bear
	// being called twice.
	Open func(t *testing.T) store.Store

	// Reopen closes s and opens what it wrote again. Without it the tests of
	// durability are left out.
	Reopen func(t *testing.T, s store.Store) store.Store
}

// Run tests the stores that open returns, without reopening them.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	Harness{Open: open}.Run(t)
}

// Run runs the whole suite.
func (h Harness) Run(t *testing.T) {
	for _, group := range []struct {
		name  string
		tests []test
	}{
		{"Create", createTests},
		{"Order", orderTests},
		{"Update", updateTests},
		{"Payments", paymentTests},
		{"Orphans", orphanTests},
		{"Watch", watchTests},
		{"Questions", questionTests},
		{"Due", dueTests},
		{"Balance", balanceTests},
		{"Outbox", outboxTests},
		{"Attempts", attemptTests},
		{"List", listTests},
		{"Filter", filterTests},
		{"Records", recordTests},
		{"Summarize", summaryTests},
		{"Purge", purgeTests},
		{"Life", lifeTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, tt := range group.tests {
				t.Run(tt.name, func(t *testing.T) { tt.run(h.fixture(t)) })
			}
		})
	}
	if h.Reopen == nil {
		return
	}
	t.Run("Reopen", func(t *testing.T) {
		for _, tt := range reopenTests {
			t.Run(tt.name, func(t *testing.T) {
				f := h.fixture(t)
				tt.run(f, func() {
					f.s = h.Reopen(t, f.s)
					f.closeAtEnd(f.s)
				})
			})
		}
	})
}

type test struct {
	name string
	run  func(f *fixture)
}

// fixture is a fresh store and the short words in which the tests are written.
// A method without an error fails the test when the store returns one.
type fixture struct {
	*testing.T
	s store.Store
}

func (h Harness) fixture(t *testing.T) *fixture {
	f := &fixture{T: t, s: h.Open(t)}
	f.closeAtEnd(f.s)
	return f
}

func (f *fixture) closeAtEnd(s store.Store) {
	f.Cleanup(func() {
		if err := s.Close(); err != nil {
			f.Errorf("closing the store: %v", err)
		}
	})
}

const (
	shopA = "shop-a"
	shopB = "shop-b"

	// failsafe ends a test that would hang; no assertion depends on it.
	failsafe = 2 * time.Minute
)

// t0 is when the first order of a test is made.
var t0 = time.Date(2026, 3, 1, 12, 0, 0, 123e6, time.UTC)

// newOrder is an order of the shop made at the time.
func newOrder(shop string, at time.Time) *order.Order {
	return &order.Order{
		ID:        order.NewID(at),
		Shop:      shop,
		Lines:     []order.Line{{SKU: "mug", Name: "Coffee mug", Price: 3900, Qty: 1}},
		Total:     3900,
		Title:     "Coffee mug",
		Client:    "192.0.2.1",
		Language:  "en",
		CreatedAt: at,
		ExpiresAt: at.Add(2 * time.Hour),
		History:   []order.Entry{{At: at, Who: order.SourceBuyer, What: "created"}},
	}
}

// create writes the order without limits, its first question due at once.
func (f *fixture) create(o *order.Order) *order.Order {
	f.Helper()
	f.ok(f.s.Create(f.Context(), o, o.CreatedAt, store.PendingLimits{}))
	return o
}

// created makes an order of shopA at t0+after.
func (f *fixture) created(after time.Duration) *order.Order {
	f.Helper()
	return f.create(newOrder(shopA, t0.Add(after)))
}

func (f *fixture) order(o *order.Order) *order.Order {
	f.Helper()
	got, err := f.s.Order(f.Context(), o.Shop, o.ID)
	f.ok(err)
	return got
}

func (f *fixture) detail(o *order.Order) (*order.Order, []store.Delivery) {
	f.Helper()
	got, deliveries, err := f.s.Detail(f.Context(), o.ID)
	f.ok(err)
	return got, deliveries
}

// change writes what edit does to a Change that leaves the order as it is.
func (f *fixture) change(o *order.Order, edit func(c *store.Change)) *order.Order {
	f.Helper()
	got, err := f.s.Update(f.Context(), o.Shop, o.ID, "", changeBy(edit))
	f.ok(err)
	return got
}

func changeBy(edit func(c *store.Change)) func(store.Subject) (*store.Change, error) {
	return func(sub store.Subject) (*store.Change, error) {
		c := &store.Change{Order: sub.Order}
		edit(c)
		return c, nil
	}
}

// setState puts the order into a state, at an hour after its making.
func (f *fixture) setState(o *order.Order, s order.State) *order.Order {
	f.Helper()
	return f.change(o, func(c *store.Change) {
		c.Order.State = s
		if s == order.Paid {
			c.Order.PaidAt = o.CreatedAt.Add(time.Hour)
		}
	})
}

// payment is a payment of a mug, told by a notify.
func payment(payid string, at time.Time) *order.Payment {
	return &order.Payment{
		PayID: payid, PayMoney: "39.00", RealPay: "39.00",
		Source: order.SourceNotify, Verdict: "paid", At: at,
	}
}

// pay decides as a notify does: the first payment pays, a repeat is nothing, a
// second payid is kept.
func pay(payid string, at time.Time, targets ...string) func(store.Subject) (*store.Change, error) {
	return func(sub store.Subject) (*store.Change, error) {
		if slices.ContainsFunc(sub.Order.Payments, func(p order.Payment) bool { return p.PayID == payid }) {
			return nil, nil
		}
		c := &store.Change{Order: sub.Order, Payment: payment(payid, at), SetNextQuery: true}
		if len(sub.Order.Payments) > 0 {
			c.Payment.Verdict = "second"
			c.Entries = []order.Entry{{At: at, Who: order.SourceNotify, What: "second_payment"}}
			return c, nil
		}
		c.Order.State, c.Order.PaidAt = order.Paid, at
		c.Entries = []order.Entry{{At: at, Who: order.SourceNotify, What: "paid"}}
		c.Events = []store.Event{event("checkout.paid", at, targets...)}
		return c, nil
	}
}

func event(typ string, at time.Time, targets ...string) store.Event {
	return store.Event{
		ID: order.NewID(at), Type: typ, At: at,
		Payload: fmt.Appendf(nil, `{"type":%q,"名":"\u0000"}`, typ), Targets: targets,
	}
}

func (f *fixture) ok(err error) {
	f.Helper()
	if err != nil {
		f.Fatalf("unexpected error: %v", err)
	}
}

func (f *fixture) want(what string, got, want any) {
	f.Helper()
	g, w := asJSON(got), asJSON(want)
	if g != w {
		f.Fatalf("%s:\n got %s\nwant %s", what, g, w)
	}
}

func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%+v (%v)", v, err)
	}
	return string(b)
}

// await waits for ch to be closed or to deliver.
func await[T any](f *fixture, what string, ch <-chan T) T {
	f.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(failsafe):
		f.Fatalf("%s never came", what)
		panic("unreachable")
	}
}

// together calls fn n times at once and returns the errors.
func together(n int, fn func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = fn(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

func (f *fixture) allOK(errs []error) {
	f.Helper()
	for _, err := range errs {
		f.ok(err)
	}
}

// entries counts the history entries that say what.
func entries(o *order.Order, what string) (n int) {
	for _, e := range o.History {
		if e.What == what {
			n++
		}
	}
	return n
}

// cancelled returns a context that is over already.
func cancelled(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}
