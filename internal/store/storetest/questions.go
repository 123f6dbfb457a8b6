package storetest

import (
	"errors"
	"time"
	"unsafe"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// claim is one try to get the right to ask.
type claim struct {
	name string
	at   time.Duration // after t0
	want bool
}

// claimSteps hold for ClaimQuestion and ClaimBalance alike, at an interval of
// a minute.
var claimSteps = []claim{
	{"first", 0, true},
	{"at the same time", 0, false},
	{"just before the interval is over", time.Minute - time.Millisecond, false},
	{"when it is over", time.Minute, true},
	{"within the second", 90 * time.Second, false},
	{"after it", 10 * time.Minute, true},
	{"with the clock set back", 5 * time.Minute, false},
	{"still within the interval since", 6*time.Minute - time.Millisecond, false},
	{"an interval after it was set back", 6 * time.Minute, true},
	{"a day forward", 24 * time.Hour, true},
}

func runClaims(f *fixture, claim func(now time.Time) (bool, error)) {
	for _, c := range claimSteps {
		granted, err := claim(t0.Add(c.at))
		f.ok(err)
		if granted != c.want {
			f.Fatalf("%s: granted %v", c.name, granted)
		}
	}
}

// forward returns the time that a clock shows which started at a monotonic
// reading of from, was then set forward by set, and ran for ran.
func forward(f *fixture, from time.Time, set, ran time.Duration) time.Time {
	f.Helper()
	at := from.Add(set + ran)
	// There is no other way to part the two clocks that a time.Time holds.
	(*struct {
		wall uint64
		ext  int64
		loc  *time.Location
	})(unsafe.Pointer(&at)).ext -= int64(set)
	if at.Sub(from) != ran || at.Round(0).Sub(from.Round(0)) != set+ran {
		f.Fatal("time.Time is laid out in another way than this test takes it to be")
	}
	return at
}

// runForward checks that a clock set forward does not open the interval early.
func runForward(f *fixture, claim func(now time.Time) (bool, error)) {
	now := time.Now()
	for _, c := range []struct {
		name     string
		set, ran time.Duration
		want     bool
	}{
		{"first", 0, 0, true},
		{"a day forward", 24 * time.Hour, time.Second, false},
		{"just before the interval is over", 24 * time.Hour, time.Minute - time.Nanosecond, false},
		{"when it is over", 24 * time.Hour, time.Minute, true},
		{"within the second", 48 * time.Hour, 90 * time.Second, false},
	} {
		granted, err := claim(forward(f, now, c.set, c.ran))
		f.ok(err)
		if granted != c.want {
			f.Fatalf("%s: granted %v", c.name, granted)
		}
	}
}

func granted(f *fixture, n int, claim func() (bool, error)) int {
	f.Helper()
	yes := make([]bool, n)
	f.allOK(together(n, func(i int) (err error) {
		yes[i], err = claim()
		return err
	}))
	sum := 0
	for _, y := range yes {
		if y {
			sum++
		}
	}
	return sum
}

var questionTests = []test{
	{"once per interval, with the clock set back and forward", func(f *fixture) {
		o, other := f.created(0), f.created(time.Second)
		runClaims(f, func(now time.Time) (bool, error) {
			yes, err := f.s.ClaimQuestion(f.Context(), shopA, o.ID, now, time.Minute)
			if got := f.order(o).AskedAt; yes && !got.Equal(now) {
				f.Fatalf("asked at %v, want %v", got, now)
			}
			return yes, err
		})
		yes, err := f.s.ClaimQuestion(f.Context(), shopA, other.ID, t0, time.Minute)
		f.ok(err)
		f.want("granted for another order", yes, true)
	}},
	{"a clock set forward does not open the interval early", func(f *fixture) {
		o := f.created(0)
		runForward(f, func(now time.Time) (bool, error) {
			return f.s.ClaimQuestion(f.Context(), shopA, o.ID, now, time.Minute)
		})
	}},
	{"of many at once one is granted", func(f *fixture) {
		o := f.created(0)
		for i := range 3 {
			f.want("granted", granted(f, 32, func() (bool, error) {
				return f.s.ClaimQuestion(f.Context(), shopA, o.ID, t0.Add(time.Duration(i)*time.Minute), time.Minute)
			}), 1)
		}
	}},
	{"a change keeps the claim", func(f *fixture) {
		o := f.created(0)
		yes, err := f.s.ClaimQuestion(f.Context(), shopA, o.ID, t0, time.Minute)
		f.ok(err)
		f.want("granted", yes, true)
		f.change(o, func(c *store.Change) { c.Order.AskedAt = time.Time{} })
		yes, err = f.s.ClaimQuestion(f.Context(), shopA, o.ID, t0, time.Minute)
		f.ok(err)
		f.want("granted again", yes, false)
	}},
}

// due claims up to n due orders of shopA at the time and returns their ids.
// Each is due again an hour later.
func (f *fixture) due(now time.Time, n int) []string {
	f.Helper()
	got, err := f.s.ClaimDue(f.Context(), shopA, now, now, time.Minute, n, func(order.Order) time.Time { return now.Add(time.Hour) })
	f.ok(err)
	ids := []string{}
	for _, o := range got {
		if !o.AskedAt.Equal(now) {
			f.Fatalf("order claimed at %v says that it was asked about at %v", now, o.AskedAt)
		}
		ids = append(ids, o.ID)
	}
	return ids
}

func ids(orders ...*order.Order) []string {
	list := []string{}
	for _, o := range orders {
		list = append(list, o.ID)
	}
	return list
}

var dueTests = []test{
	{"pending and expired orders that are due, newest first, of one shop", func(f *fixture) {
		now := t0.Add(time.Hour)
		oldest, expired, paid, review, later, newest := f.created(0), f.created(1*time.Second),
			f.created(2*time.Second), f.created(3*time.Second), newOrder(shopA, t0.Add(4*time.Second)), f.created(5*time.Second)
		f.create(newOrder(shopB, t0))
		f.ok(f.s.Create(f.Context(), later, now.Add(time.Millisecond), store.PendingLimits{}))
		f.setState(expired, order.Expired)
		f.setState(paid, order.Paid)
		f.setState(review, order.Review)
		f.want("first two", f.due(now, 2), ids(newest, expired))
		f.want("the rest", f.due(now, 10), ids(oldest))
		f.want("none left", f.due(now, 10), ids())
		f.want("due later", f.due(now.Add(time.Millisecond), 10), ids(later))
		f.want("all again", f.due(now.Add(time.Hour), 10), ids(newest, expired, oldest))
		f.want("kept", f.order(newest).AskedAt, now.Add(time.Hour))
	}},
	{"orders created after the youngest are not looked at", func(f *fixture) {
		older, youngest, newer := f.created(0), f.created(time.Second), f.created(2*time.Second)
		now := t0.Add(time.Hour)
		got, err := f.s.ClaimDue(f.Context(), shopA, now, youngest.CreatedAt, time.Minute, 10, func(order.Order) time.Time { return now.Add(time.Hour) })
		f.ok(err)
		claimed := []string{}
		for _, o := range got {
			claimed = append(claimed, o.ID)
		}
		f.want("claimed", claimed, ids(youngest, older))
		f.want("the newer one is due", f.due(now, 10), ids(newer))
	}},
	{"orders come with payments and next says when each is due again", func(f *fixture) {
		soon, never := f.created(0), f.created(time.Second)
		f.change(soon, func(c *store.Change) { c.Payment = payment("P1", t0) })
		next := func(o order.Order) time.Time {
			if o.ID == never.ID {
				return time.Time{}
			}
			return t0.Add(10 * time.Minute)
		}
		now := t0.Add(5 * time.Minute)
		got, err := f.s.ClaimDue(f.Context(), shopA, now, now, time.Minute, 10, next)
		f.ok(err)
		f.want("first", []int{len(got), len(got[0].Payments), len(got[1].Payments)}, []int{2, 0, 1})
		f.want("too early", f.due(t0.Add(10*time.Minute-time.Millisecond), 10), ids())
		f.want("again", f.due(t0.Add(10*time.Minute), 10), ids(soon))
	}},
	{"those asked about within the interval are passed over and stay due", func(f *fixture) {
		a, b := f.created(0), f.created(time.Second)
		now := t0.Add(time.Minute)
		yes, err := f.s.ClaimQuestion(f.Context(), shopA, b.ID, now, time.Minute)
		f.ok(err)
		f.want("granted", yes, true)
		f.want("passed over", f.due(now.Add(time.Second), 1), ids(a))
		f.want("still due", f.due(now.Add(time.Minute), 1), ids(b))
		yes, err = f.s.ClaimQuestion(f.Context(), shopA, b.ID, now.Add(time.Minute), time.Minute)
		f.ok(err)
		f.want("granted to ask after ClaimDue", yes, false)
	}},
	{"a claim in the future is moved to now and refused", func(f *fixture) {
		o := f.created(0)
		yes, err := f.s.ClaimQuestion(f.Context(), shopA, o.ID, t0.Add(24*time.Hour), time.Minute)
		f.ok(err)
		f.want("granted", yes, true)
		now := t0.Add(time.Hour)
		f.want("with the clock set back", f.due(now, 1), ids())
		f.want("just before the interval is over", f.due(now.Add(time.Minute-time.Millisecond), 1), ids())
		f.want("an interval later", f.due(now.Add(time.Minute), 1), ids(o))
	}},
	{"a clock set forward does not open the interval early", func(f *fixture) {
		now := time.Now()
		o, other := newOrder(shopA, now), newOrder(shopA, now.Add(-time.Second))
		for _, o := range []*order.Order{o, other} {
			f.ok(f.s.Create(f.Context(), o, now.Add(-time.Minute), store.PendingLimits{}))
		}
		yes, err := f.s.ClaimQuestion(f.Context(), shopA, o.ID, now, time.Minute)
		f.ok(err)
		f.want("granted", yes, true)
		claim := func(now time.Time) []string {
			got, err := f.s.ClaimDue(f.Context(), shopA, now, now, time.Minute, 1, func(order.Order) time.Time { return time.Time{} })
			f.ok(err)
			list := []string{}
			for _, o := range got {
				list = append(list, o.ID)
			}
			return list
		}
		f.want("passed over", claim(forward(f, now, 24*time.Hour, time.Second)), ids(other))
		f.want("still closed", claim(forward(f, now, 24*time.Hour, time.Minute-time.Nanosecond)), ids())
		f.want("open", claim(forward(f, now, 24*time.Hour, time.Minute)), ids(o))
	}},
	{"many at once never get the same order", func(f *fixture) {
		const n = 40
		for i := range n {
			f.created(time.Duration(i) * time.Second)
		}
		now := t0.Add(time.Hour)
		seen := make(map[string]int)
		for range 20 { // those that another holds may be passed over
			got := make([][]order.Order, 8)
			f.allOK(together(len(got), func(i int) (err error) {
				got[i], err = f.s.ClaimDue(f.Context(), shopA, now, now, time.Minute, 3, func(order.Order) time.Time { return now.Add(time.Hour) })
				return err
			}))
			for _, page := range got {
				for _, o := range page {
					seen[o.ID]++
				}
			}
		}
		f.want("orders", len(seen), n)
		for id, times := range seen {
			f.want("claims of "+id, times, 1)
		}
	}},
	{"ClaimDue and ClaimQuestion at once grant once", func(f *fixture) {
		for i := range 10 {
			o := f.created(time.Duration(i) * time.Second)
			now := t0.Add(time.Hour)
			f.want("granted", granted(f, 8, func() (bool, error) {
				return f.s.ClaimQuestion(f.Context(), shopA, o.ID, now, time.Minute)
			})+len(f.due(now, 1)), 1)
			o = f.created(time.Duration(i)*time.Second + time.Millisecond)
			sum := make([]int, 8)
			f.allOK(together(len(sum), func(i int) error {
				if i%2 == 0 {
					yes, err := f.s.ClaimQuestion(f.Context(), shopA, o.ID, now, time.Minute)
					if yes {
						sum[i]++
					}
					return err
				}
				got, err := f.s.ClaimDue(f.Context(), shopA, now, now, time.Minute, 1, func(order.Order) time.Time { return now.Add(time.Hour) })
				sum[i] += len(got)
				return err
			}))
			total := 0
			for _, n := range sum {
				total += n
			}
			f.want("granted at once", total, 1)
		}
	}},
}

var balanceTests = []test{
	{"once per interval, with the clock set back and forward", func(f *fixture) {
		runClaims(f, func(now time.Time) (bool, error) {
			return f.s.ClaimBalance(f.Context(), "m1", now, time.Minute)
		})
		yes, err := f.s.ClaimBalance(f.Context(), "m2", t0, time.Minute)
		f.ok(err)
		f.want("granted for another merchant", yes, true)
	}},
	{"a clock set forward does not open the interval early", func(f *fixture) {
		runForward(f, func(now time.Time) (bool, error) {
			return f.s.ClaimBalance(f.Context(), "m1", now, time.Minute)
		})
	}},
	{"of many at once one is granted", func(f *fixture) {
		for i := range 3 {
			f.want("granted", granted(f, 32, func() (bool, error) {
				return f.s.ClaimBalance(f.Context(), "m1", t0.Add(time.Duration(i)*time.Minute), time.Minute)
			}), 1)
		}
	}},
	{"the last one is kept, apart from the claim", func(f *fixture) {
		if _, err := f.s.Balance(f.Context(), "m1"); !errors.Is(err, store.ErrNotFound) {
			f.Fatalf("got %v, want ErrNotFound", err)
		}
		_, err := f.s.ClaimBalance(f.Context(), "m1", t0, time.Minute)
		f.ok(err)
		if _, err := f.s.Balance(f.Context(), "m1"); !errors.Is(err, store.ErrNotFound) {
			f.Fatalf("after a claim: got %v, want ErrNotFound", err)
		}
		for _, b := range []store.Balance{
			{Merchant: "m1", Amount: "12.30", At: t0},
			{Merchant: "m1", Amount: "0.00", At: t0.Add(time.Hour)},
			{Merchant: "m2", Amount: "7.00", At: t0},
		} {
			f.ok(f.s.SaveBalance(f.Context(), b))
			got, err := f.s.Balance(f.Context(), b.Merchant)
			f.ok(err)
			f.want("balance", got, b)
		}
		got, err := f.s.Balance(f.Context(), "m1")
		f.ok(err)
		f.want("balance of the other", got.Amount, "0.00")
		yes, err := f.s.ClaimBalance(f.Context(), "m1", t0.Add(time.Second), time.Minute)
		f.ok(err)
		f.want("granted after saving", yes, false)
	}},
}
