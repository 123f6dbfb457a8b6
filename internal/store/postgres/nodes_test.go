package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// pay decides as a notify does: the first one pays, a repeat is nothing.
func pay(payid string) func(store.Subject) (*store.Change, error) {
	return func(sub store.Subject) (*store.Change, error) {
		if len(sub.Order.Payments) > 0 {
			return nil, nil
		}
		c := &store.Change{
			Order:   sub.Order,
			Payment: &order.Payment{PayID: payid, PayMoney: "39.00", RealPay: "39.00", Source: order.SourceNotify, Verdict: "paid", At: t0},
			Entries: []order.Entry{{At: t0, Who: order.SourceNotify, What: "paid"}},
			Events:  []store.Event{{ID: order.NewID(t0), Type: "checkout.paid", At: t0, Payload: []byte("{}"), Targets: []string{"webhook:x"}}},
		}
		c.Order.State, c.Order.PaidAt = order.Paid, t0
		return c, nil
	}
}

func noted(note string) func(store.Subject) (*store.Change, error) {
	return func(sub store.Subject) (*store.Change, error) {
		c := &store.Change{Order: sub.Order}
		c.Order.Note = note
		return c, nil
	}
}

func create(t testing.TB, s *Store, o *order.Order) *order.Order {
	t.Helper()
	if err := s.Create(context.Background(), o, t0, store.PendingLimits{}); err != nil {
		t.Fatal(err)
	}
	return o
}

func update(t testing.TB, s *Store, o *order.Order, payid string, decide func(store.Subject) (*store.Change, error)) {
	t.Helper()
	if _, err := s.Update(context.Background(), o.Shop, o.ID, payid, decide); err != nil {
		t.Fatal(err)
	}
}

func await[T any](t testing.TB, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(failsafe):
		t.Fatalf("%s never came", what)
		panic("unreachable")
	}
}

// twoNodes are two stores on one database.
func twoNodes(t testing.TB) (a, b *Store) {
	dsn := server(t).Schema(t)
	return open(t, dsn), open(t, dsn)
}

func TestNoticesCrossOnce(t *testing.T) {
	a, b := twoNodes(t)
	atA, stopA := a.Feed()
	defer stopA()
	atB, stopB := b.Feed()
	defer stopB()

	o := create(t, a, newOrder("shop"))
	changed, stop := b.Watch(o.Shop, o.ID)
	defer stop()
	update(t, a, o, "P1", pay("P1"))
	await(t, "the wake-up on the other node", changed)
	got, err := b.Order(t.Context(), o.Shop, o.ID)
	if err != nil || got.State != order.Paid {
		t.Fatalf("woken, the other node sees %v, %v", got, err)
	}

	// Notices arrive in the order of their commits. So when A hears of this
	// one, an echo of its own would have come before.
	last := create(t, b, newOrder("shop"))
	want := []store.Notice{
		{Shop: o.Shop, ID: o.ID, New: true},
		{Shop: o.Shop, ID: o.ID, State: order.Paid},
		{Shop: last.Shop, ID: last.ID, New: true},
	}
	for name, feed := range map[string]<-chan store.Notice{"A": atA, "B": atB} {
		for i, w := range want {
			if n := await(t, "a notice", feed); n != w {
				t.Errorf("notice %d at %s: got %+v, want %+v", i, name, n, w)
			}
		}
	}
}

func TestNodesPayOnce(t *testing.T) {
	a, b := twoNodes(t)
	o := create(t, a, newOrder("shop"))
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			s := []*Store{a, b}[i%2]
			got, err := s.Update(t.Context(), o.Shop, o.ID, "P1", pay("P1"))
			if err != nil || got.State != order.Paid {
				t.Errorf("update %d: %v, %v", i, got, err)
			}
		})
	}
	wg.Wait()
	got, deliveries, err := b.Detail(t.Context(), o.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.History) != 2 || len(got.Payments) != 1 || len(deliveries) != 1 {
		t.Errorf("paid with %d entries, %d payments, %d deliveries; want 2, 1, 1", len(got.History), len(got.Payments), len(deliveries))
	}
}

func TestNodesKeepPayidOnce(t *testing.T) {
	a, b := twoNodes(t)
	orders := make([]*order.Order, 32)
	for i := range orders {
		orders[i] = create(t, a, newOrder("shop"))
	}
	var payers atomic.Int32
	var wg sync.WaitGroup
	for i, o := range orders {
		wg.Go(func() {
			s := []*Store{a, b}[i%2]
			got, err := s.Update(t.Context(), o.Shop, o.ID, "P1", func(sub store.Subject) (*store.Change, error) {
				if sub.PayidOf != "" {
					return nil, nil
				}
				return pay("P1")(sub)
			})
			if err != nil {
				t.Error(err)
			} else if got.State == order.Paid {
				payers.Add(1)
			}
		})
	}
	wg.Wait()
	if n := payers.Load(); n != 1 {
		t.Errorf("one payment paid %d orders", n)
	}
}

func TestNodesClaimExclusively(t *testing.T) {
	a, b := twoNodes(t)
	const n = 30
	for range n {
		o := create(t, a, newOrder("shop"))
		update(t, a, o, "", func(sub store.Subject) (*store.Change, error) {
			return &store.Change{Order: sub.Order, Events: []store.Event{{
				ID: order.NewID(t0), Type: "x", At: t0, Payload: []byte("{}"), Targets: []string{"webhook:x"},
			}}}, nil
		})
	}
	var mu sync.Mutex
	claims := make(map[string]int)
	count := func(keys ...string) {
		mu.Lock()
		defer mu.Unlock()
		for _, k := range keys {
			claims[k]++
		}
	}
	now := t0.Add(time.Hour)
	for round := range 20 { // what the other node is claiming may be passed over
		var wg sync.WaitGroup
		for _, s := range []*Store{a, b, a, b} {
			wg.Go(func() {
				due, err := s.ClaimDue(t.Context(), "shop", now, now, time.Minute, 2, func(order.Order) time.Time { return now.Add(time.Hour) })
				if err != nil {
					t.Error(err)
				}
				for _, o := range due {
					count("order " + o.ID)
				}
			})
			wg.Go(func() {
				got, err := s.ClaimDeliveries(t.Context(), "webhook:x", now, time.Hour, 2)
				if err != nil {
					t.Error(err)
				}
				for _, d := range got {
					count("delivery " + d.ID)
				}
			})
			wg.Go(func() {
				yes, err := s.ClaimBalance(t.Context(), fmt.Sprint("m", round), now, time.Minute)
				if err != nil {
					t.Error(err)
				}
				if yes {
					count(fmt.Sprint("balance ", round))
				}
			})
		}
		wg.Wait()
	}
	if len(claims) != 2*n+20 {
		t.Errorf("%d things were claimed, want %d", len(claims), 2*n+20)
	}
	for key, times := range claims {
		if times != 1 {
			t.Errorf("%s was claimed %d times", key, times)
		}
	}
}

func TestDeadNodesWorkIsTakenOver(t *testing.T) {
	dsn := server(t).Schema(t)
	a := open(t, dsn)
	o := create(t, a, newOrder("shop"))
	update(t, a, o, "P1", pay("P1"))
	claim := func(s *Store, now time.Time) int {
		got, err := s.ClaimDeliveries(t.Context(), "webhook:x", now, time.Minute, 10)
		if err != nil {
			t.Fatal(err)
		}
		return len(got)
	}
	if n := claim(a, t0); n != 1 {
		t.Fatalf("%d deliveries", n)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	b := open(t, dsn)
	for _, tt := range []struct {
		at   time.Duration
		want int
	}{{time.Minute - time.Millisecond, 0}, {time.Minute, 1}} {
		if n := claim(b, t0.Add(tt.at)); n != tt.want {
			t.Errorf("after %v: %d deliveries, want %d", tt.at, n, tt.want)
		}
	}
}

func TestLostListenerWakesAndReconnects(t *testing.T) {
	pg := server(t)
	dsn := pg.Schema(t)
	a, b := open(t, dsn), open(t, dsn)
	o := create(t, a, newOrder("shop"))
	changed, stop := b.Watch(o.Shop, o.ID)
	defer stop()
	pg.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'LISTEN "+b.channel+"'")
	await(t, "the wake-up after the reconnect", changed)
	changed, stop = b.Watch(o.Shop, o.ID)
	defer stop()
	update(t, a, o, "P1", pay("P1"))
	await(t, "the wake-up by the other node", changed)
}

func TestPayloads(t *testing.T) {
	var notices []store.Notice
	for range 300 {
		notices = append(notices, store.Notice{Shop: "shop \"1\"", ID: order.NewID(t0), State: order.Paid})
	}
	notices = slices.Insert(notices, 150, store.Notice{Shop: string(make([]byte, 8000))}) // fits no payload
	s, heard := &Store{}, 0
	s.rename()
	feed, stop := s.Feed()
	defer stop()
	for _, p := range payloads("me", notices) {
		if len(p) > 7999 {
			t.Errorf("a payload of %d bytes", len(p))
		}
		s.hear(p)
		for ; len(feed) > 0; heard++ {
			<-feed
		}
	}
	if heard != 300 {
		t.Errorf("%d of 300 notices were heard", heard)
	}
	if got := payloads("me", nil); got != nil {
		t.Errorf("no notices make %q", got)
	}
}

func TestBackup(t *testing.T) {
	if err := (&Store{}).Backup(t.Context(), "x"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v, want errors.ErrUnsupported", err)
	}
}

// TestSameIDInOneGroup has the first of three orders refused by its limit, so
// that it is up to the others, which wait for their turn apart.
func TestSameIDInOneGroup(t *testing.T) {
	s := open(t, server(t).Schema(t))
	create(t, s, newOrder("shop"))
	o := newOrder("shop")
	ops := make([]*op, 3)
	for i := range ops {
		ops[i] = &op{create: o, firstQuery: t0, shop: o.Shop, id: o.ID, done: make(chan struct{})}
	}
	ops[0].limits = store.PendingLimits{Total: 1}
	s.commitGroup(slices.Clone(ops))
	for _, o := range ops {
		await(t, "the end of a create", o.done)
	}
	if !errors.As(ops[0].err, new(*store.LimitError)) || ops[1].err != nil || !errors.Is(ops[2].err, store.ErrExists) {
		t.Errorf("got %v, %v, %v; want LimitError, nil, ErrExists", ops[0].err, ops[1].err, ops[2].err)
	}
}
