package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

const (
	hook  = "webhook:https://a.example/?x=1"
	other = "webhook:https://b.example/"
	lease = time.Minute
)

// emit writes one event of each type for the order, all in one change.
func (f *fixture) emit(o *order.Order, targets []string, types ...string) {
	f.Helper()
	f.change(o, func(c *store.Change) {
		for _, typ := range types {
			c.Events = append(c.Events, event(typ, o.CreatedAt, targets...))
		}
	})
}

// taken claims up to n deliveries and returns "<title of the order>:<type>" of
// each; the titles are set by titled.
func (f *fixture) taken(target string, now time.Time, n int) []string {
	f.Helper()
	list := []string{}
	for _, d := range f.claim(target, now, n) {
		got, _ := f.detail(&order.Order{ID: d.OrderID})
		list = append(list, got.Title+":"+d.Type)
	}
	return list
}

func (f *fixture) claim(target string, now time.Time, n int) []store.Delivery {
	f.Helper()
	got, err := f.s.ClaimDeliveries(f.Context(), target, now, lease, n)
	f.ok(err)
	return got
}

func (f *fixture) titled(title string, after time.Duration) *order.Order {
	f.Helper()
	o := newOrder(shopA, t0.Add(after))
	o.Title = title
	return f.create(o)
}

func (f *fixture) record(d store.Delivery, status int, state string, next time.Time) {
	f.Helper()
	f.ok(f.s.RecordAttempt(f.Context(), d.ID, store.Attempt{At: t0, Took: time.Second, Status: status, Answer: "ok"}, state, next))
}

var outboxTests = []test{
	{"an event has one delivery for each target", func(f *fixture) {
		o := f.created(0)
		ev := event("checkout.paid", t0, hook, "mail:buyer")
		f.change(o, func(c *store.Change) { c.Events = []store.Event{ev, event("checkout.silent", t0)} })
		for _, target := range ev.Targets {
			got := f.claim(target, t0, 10)
			f.want("deliveries", len(got), 1)
			d := got[0]
			if d.ID == "" || string(d.Payload) != string(ev.Payload) {
				f.Fatalf("claimed %+v", d)
			}
			d.ID, d.NextAt = "", time.Time{}
			f.want("delivery", d, store.Delivery{
				Shop: shopA, OrderID: o.ID, EventID: ev.ID, Type: ev.Type, Target: target,
				State: store.DeliveryPending, CreatedAt: t0,
			})
		}
		f.want("of no target", len(f.claim("webhook:", t0, 10)), 0)
		kept, err := f.s.(store.Exporter).Export(f.Context(), "", 10)
		f.ok(err)
		f.want("events kept", len(kept[0].Events), 1)
	}},
	{"a delivery is due from the time of its event", func(f *fixture) {
		f.emit(f.titled("a", time.Second), []string{hook}, "1")
		f.want("before", f.taken(hook, t0.Add(time.Second-time.Millisecond), 10), []string{})
		f.want("then", f.taken(hook, t0.Add(time.Second), 10), []string{"a:1"})
	}},
	{"a lease hides until it is over", func(f *fixture) {
		f.emit(f.titled("a", 0), []string{hook}, "1")
		f.want("first", f.taken(hook, t0, 10), []string{"a:1"})
		f.want("under lease", f.taken(hook, t0.Add(lease-time.Millisecond), 10), []string{})
		f.want("after it", f.taken(hook, t0.Add(lease), 10), []string{"a:1"})
	}},
	{"oldest first, up to n", func(f *fixture) {
		for i, title := range []string{"a", "b", "c"} {
			f.emit(f.titled(title, time.Duration(i)*time.Second), []string{hook}, "1")
		}
		now := t0.Add(time.Hour)
		f.want("two", f.taken(hook, now, 2), []string{"a:1", "b:1"})
		f.want("the rest", f.taken(hook, now, 2), []string{"c:1"})
	}},
	{"of one order the oldest comes first, and the next only after it", func(f *fixture) {
		a, b := f.titled("a", 0), f.titled("b", 0)
		f.emit(a, []string{hook}, "1", "2")
		f.emit(b, []string{hook}, "1")
		f.emit(a, []string{hook}, "3")
		got := f.claim(hook, t0, 10)
		f.want("first", len(got), 2)
		f.want("hidden ones hold back the next", f.taken(hook, t0, 10), []string{})

		f.record(got[0], 503, store.DeliveryPending, t0.Add(time.Hour))
		f.record(got[1], 200, store.DeliveryDone, time.Time{})
		f.want("a failed one holds back the next", f.taken(hook, t0.Add(time.Hour-time.Millisecond), 10), []string{})
		f.want("retry", f.taken(hook, t0.Add(time.Hour), 10), []string{"a:1"})
		f.record(got[0], 200, store.DeliveryDone, time.Time{})
		got = f.claim(hook, t0, 10)
		f.want("second", got[0].Type, "2")
		f.record(got[0], 410, store.DeliveryDisabled, time.Time{})
		f.want("third, after one given up", f.taken(hook, t0, 10), []string{"a:3"})
	}},
	{"the order of one order's events does not hang on the clock", func(f *fixture) {
		a := f.titled("a", 0)
		f.change(a, func(c *store.Change) { c.Events = []store.Event{event("1", t0.Add(time.Minute), hook)} })
		f.change(a, func(c *store.Change) { c.Events = []store.Event{event("2", t0, hook)} })
		f.want("while the first is not due", f.taken(hook, t0, 10), []string{})
		f.want("later", f.taken(hook, t0.Add(time.Minute), 10), []string{"a:1"})
	}},
	{"a stuck order does not hold up others", func(f *fixture) {
		stuck := f.titled("stuck", 0)
		f.emit(stuck, []string{hook}, "1", "2", "3")
		f.record(f.claim(hook, t0, 1)[0], 500, store.DeliveryPending, t0.Add(24*time.Hour))
		for i := range 3 {
			f.emit(f.titled(fmt.Sprint(i), time.Second), []string{hook}, "1")
		}
		f.want("others", f.taken(hook, t0.Add(time.Second), 10), []string{"0:1", "1:1", "2:1"})
	}},
	{"targets do not touch each other", func(f *fixture) {
		a := f.titled("a", 0)
		f.emit(a, []string{hook, other}, "1", "2")
		f.record(f.claim(hook, t0, 1)[0], 500, store.DeliveryPending, t0.Add(time.Hour))
		f.want("stuck", f.taken(hook, t0, 10), []string{})
		f.record(f.claim(other, t0, 1)[0], 200, store.DeliveryDone, time.Time{})
		f.want("other goes on", f.taken(other, t0, 10), []string{"a:2"})
	}},
	{"many claimers at once never get the same delivery", func(f *fixture) {
		const n = 40
		for i := range n {
			f.emit(f.titled(fmt.Sprint(i), 0), []string{hook}, "1", "2")
		}
		seen := make(map[string]int)
		for range 20 { // those that another holds may be passed over
			got := make([][]store.Delivery, 8)
			f.allOK(together(len(got), func(i int) (err error) {
				got[i], err = f.s.ClaimDeliveries(f.Context(), hook, t0, lease, 3)
				return err
			}))
			for _, page := range got {
				for _, d := range page {
					f.want("type", d.Type, "1")
					seen[d.ID]++
				}
			}
		}
		f.want("deliveries", len(seen), n)
		for id, times := range seen {
			f.want("claims of "+id, times, 1)
		}
	}},
	{"PendingTargets are those with pending deliveries", func(f *fixture) {
		targets := func() []string {
			got, err := f.s.PendingTargets(f.Context())
			f.ok(err)
			slices.Sort(got)
			return append([]string{}, got...)
		}
		f.want("at first", targets(), []string{})
		f.emit(f.titled("a", 0), []string{hook, other}, "1")
		f.emit(f.titled("b", 0), []string{hook}, "1")
		f.want("both", targets(), []string{hook, other})
		f.record(f.claim(other, t0, 1)[0], 0, store.DeliveryFailed, time.Time{})
		f.want("one", targets(), []string{hook})
		for _, d := range f.claim(hook, t0, 10) {
			f.record(d, 200, store.DeliveryDone, time.Time{})
		}
		f.want("at last", targets(), []string{})
	}},
}

var attemptTests = []test{
	{"every attempt is kept, oldest first", func(f *fixture) {
		o := f.created(0)
		f.emit(o, []string{hook}, "1")
		d := f.claim(hook, t0, 1)[0]
		var log []store.Attempt
		for i, a := range []store.Attempt{
			{At: t0, Took: 15 * time.Second, Answer: "no answer: 对方"},
			{At: t0.Add(time.Minute), Took: 1, Status: 503, Answer: strings.Repeat("x", 1024)},
			{At: t0.Add(time.Hour), Took: time.Millisecond, Status: 200},
		} {
			state := store.DeliveryPending
			if i == 2 {
				state = store.DeliveryDone
			}
			f.ok(f.s.RecordAttempt(f.Context(), d.ID, a, state, a.At.Add(time.Minute)))
			log = append(log, a)
			_, deliveries := f.detail(o)
			f.want("deliveries", len(deliveries), 1)
			got := deliveries[0]
			f.want("log", got.Log, log)
			f.want("attempts, state", []any{got.Attempts, got.State}, []any{i + 1, state})
			if state == store.DeliveryPending {
				f.want("due again", got.NextAt, a.At.Add(time.Minute))
			} else {
				f.want("due again, when done", got.NextAt.IsZero(), true)
			}
		}
	}},
	{"an answer may be any bytes", func(f *fixture) {
		o := f.created(0)
		f.emit(o, []string{hook}, "1")
		d := f.claim(hook, t0, 1)[0]
		f.ok(f.s.RecordAttempt(f.Context(), d.ID, store.Attempt{At: t0, Answer: "a\x00b\xff\u2028c"}, store.DeliveryDone, t0))
		_, deliveries := f.detail(o)
		answer := deliveries[0].Log[0].Answer
		if !strings.HasPrefix(answer, "a") || !strings.HasSuffix(answer, "\u2028c") {
			f.Fatalf("the answer became %q", answer)
		}
	}},
	{"an attempt on a delivery that is settled is kept and changes nothing else", func(f *fixture) {
		for _, state := range []string{store.DeliveryDone, store.DeliveryFailed, store.DeliveryDisabled} {
			o := f.created(0)
			f.emit(o, []string{hook}, "1")
			d := f.claim(hook, t0, 1)[0]
			f.record(d, 1, state, time.Time{})
			f.record(d, 500, store.DeliveryPending, t0)
			_, deliveries := f.detail(o)
			f.want("state", deliveries[0].State, state)
			f.want("attempts", [2]int{deliveries[0].Attempts, len(deliveries[0].Log)}, [2]int{2, 2})
			f.want("given out again", len(f.claim(hook, t0.Add(time.Hour), 1)), 0)
		}
	}},
	{"attempts at once are all kept", func(f *fixture) {
		o := f.created(0)
		f.emit(o, []string{hook}, "1")
		d := f.claim(hook, t0, 1)[0]
		f.allOK(together(16, func(i int) error {
			return f.s.RecordAttempt(f.Context(), d.ID, store.Attempt{At: t0, Status: i}, store.DeliveryPending, t0)
		}))
		_, deliveries := f.detail(o)
		f.want("attempts", [2]int{deliveries[0].Attempts, len(deliveries[0].Log)}, [2]int{16, 16})
	}},
	{"a delivery is made pending again", func(f *fixture) {
		o := f.titled("a", 0)
		f.emit(o, []string{hook}, "1", "2")
		first := f.claim(hook, t0, 1)[0]
		for _, state := range []string{store.DeliveryFailed, store.DeliveryDisabled, store.DeliveryDone} {
			f.record(first, 1, state, time.Time{})
			f.ok(f.s.Redeliver(f.Context(), first.ID, t0.Add(time.Hour)))
			f.want("before the time", f.taken(hook, t0.Add(time.Hour-time.Millisecond), 10), []string{})
			f.want("before the next of its order", f.taken(hook, t0.Add(time.Hour), 10), []string{"a:1"})
		}
		f.ok(f.s.Redeliver(f.Context(), first.ID, t0))
		f.want("one under lease too", f.taken(hook, t0, 10), []string{"a:1"})
		_, deliveries := f.detail(o)
		f.want("attempts are kept", deliveries[0].Attempts, 3)
	}},
	{"unknown deliveries are not found", func(f *fixture) {
		for _, id := range []string{"", "0", "999999", "-1", "x", order.NewID(t0), "\x00", "99999999999999999999"} {
			if err := f.s.Redeliver(f.Context(), id, t0); !errors.Is(err, store.ErrNotFound) {
				f.Errorf("Redeliver(%q): got %v, want ErrNotFound", id, err)
			}
			if err := f.s.RecordAttempt(f.Context(), id, store.Attempt{}, store.DeliveryDone, t0); !errors.Is(err, store.ErrNotFound) {
				f.Errorf("RecordAttempt(%q): got %v, want ErrNotFound", id, err)
			}
		}
	}},
	{"deliveries are listed by shop and state, newest first, without log", func(f *fixture) {
		for i := range 6 {
			o := newOrder([]string{shopA, shopB}[i%2], t0)
			f.create(o)
			f.emit(o, []string{hook}, fmt.Sprint(i))
		}
		for _, d := range f.claim(hook, t0, 3) {
			f.record(d, 500, store.DeliveryFailed, time.Time{})
		}
		for _, tt := range []struct{ shop, state, want string }{
			{"", "", "543210"}, {shopA, "", "420"}, {shopB, store.DeliveryPending, "53"},
			{"", store.DeliveryFailed, "210"}, {shopA, store.DeliveryDone, ""}, {"no-such", "", ""}, {"", "no-such", ""},
		} {
			got := ""
			for cursor, more := "", true; more; more = cursor != "" {
				page, next, err := f.s.Deliveries(f.Context(), tt.shop, tt.state, cursor, 2)
				f.ok(err)
				for _, d := range page {
					got += d.Type
					f.want("log", len(d.Log), 0)
				}
				cursor = next
			}
			f.want(fmt.Sprintf("deliveries of %q in state %q", tt.shop, tt.state), got, tt.want)
		}
	}},
}
