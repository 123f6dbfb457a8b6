package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
	_ "time/tzdata" // the days of a summary

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

var recordTests = []test{
	{"Detail has payments, history and deliveries with their log", func(f *fixture) {
		o := f.created(0)
		_, err := f.s.Update(f.Context(), shopA, o.ID, "P1", pay("P1", t0, hook, other))
		f.ok(err)
		f.record(f.claim(hook, t0, 1)[0], 200, store.DeliveryDone, time.Time{})
		got, deliveries := f.detail(o)
		want := *o
		want.State, want.PaidAt = order.Paid, t0
		want.Payments = []order.Payment{*payment("P1", t0)}
		want.History = append(slices.Clone(o.History), order.Entry{At: t0, Who: order.SourceNotify, What: "paid"})
		f.want("order", got, want)
		f.want("deliveries", len(deliveries), 2)
		for i, target := range []string{hook, other} {
			f.want("target", deliveries[i].Target, target)
			f.want("log", len(deliveries[i].Log), 1-i)
		}
	}},
	{"Stats count what is there now", func(f *fixture) {
		a, b := f.created(0), f.created(time.Second)
		f.created(2 * time.Second)
		f.create(newOrder(shopB, t0))
		f.setState(a, order.Review)
		f.setState(b, order.Paid)
		f.emit(a, []string{hook, other}, "1")
		f.emit(b, []string{hook}, "1", "2")
		f.record(f.claim(other, t0, 1)[0], 200, store.DeliveryDone, time.Time{})
		for i := range 3 {
			_, err := f.s.KeepOrphan(f.Context(), store.Orphan{Shop: []string{shopA, shopB}[i%2], PayID: fmt.Sprint(i), At: t0})
			f.ok(err)
		}
		got, err := f.s.Stats(f.Context())
		f.ok(err)
		f.want("orders of a", [3]int{got.Orders[shopA]["pending"], got.Orders[shopA]["review"], got.Orders[shopA]["paid"]}, [3]int{1, 1, 0})
		f.want("orders of b", [2]int{got.Orders[shopB]["pending"], got.Orders[shopB]["review"]}, [2]int{1, 0})
		f.want("orphans", got.Orphans, map[string]int{shopA: 2, shopB: 1})
		f.want("pending deliveries", got.OutboxPending[hook], 3)
		f.want("pending deliveries of the other", got.OutboxPending[other], 0)
		f.want("oldest", got.OutboxOldest[hook], t0)
		if _, there := got.OutboxOldest[other]; there {
			f.Fatal("a target without pending deliveries has an oldest one")
		}
	}},
}

var summaryTests = []test{
	{"nothing", func(f *fixture) {
		got, err := f.s.Summarize(f.Context(), "", time.Time{}, time.Time{}, time.UTC)
		f.ok(err)
		f.want("days, products", [2]int{len(got.Days), len(got.Products)}, [2]int{0, 0})
		f.want("pay times", got.PayTimes, make([]int, 8))
	}},
	{"days by time zone", testSummaryDays},
	{"products of paid orders, most money first, at most 20", func(f *fixture) {
		at := t0
		sell := func(state order.State, lines ...order.Line) {
			at = at.Add(time.Second)
			o := newOrder(shopA, at)
			o.Lines = lines
			f.setState(f.create(o), state)
		}
		mug := order.Line{SKU: "mug", Name: "Coffee mug", Price: 3900, Qty: 1}
		sell(order.Paid, mug, order.Line{SKU: "tee", Name: "Tee", Price: 10000, Qty: 2})
		sell(order.Paid, order.Line{SKU: "mug", Name: "Coffee mug", Price: 4000, Qty: 3}) // the price rose
		for _, state := range []order.State{order.Pending, order.Expired, order.Review} {
			sell(state, mug)
		}
		var many []order.Line
		for i := range 25 {
			many = append(many, order.Line{SKU: fmt.Sprint("s", i), Name: "S", Price: order.Money(100 + i), Qty: 1})
		}
		sell(order.Paid, many...)
		got, err := f.s.Summarize(f.Context(), shopA, t0, at.Add(time.Second), time.UTC)
		f.ok(err)
		f.want("number of products", len(got.Products), 20)
		f.want("first", got.Products[0], store.ProductSummary{SKU: "tee", Name: "Tee", Qty: 2, Money: 20000})
		f.want("second", got.Products[1], store.ProductSummary{SKU: "mug", Name: "Coffee mug", Qty: 4, Money: 15900})
		f.want("last", got.Products[19].SKU, "s7")
	}},
	{"a product whose name changed is one product", func(f *fixture) {
		for i, name := range []string{"Old", "New"} {
			o := newOrder(shopA, t0.Add(time.Duration(i)*time.Second))
			o.Lines[0].Name = name
			f.setState(f.create(o), order.Paid)
		}
		got, err := f.s.Summarize(f.Context(), "", time.Time{}, time.Time{}, time.UTC)
		f.ok(err)
		f.want("products", len(got.Products), 1)
		f.want("qty", got.Products[0].Qty, 2)
	}},
	{"times from order to payment", func(f *fixture) {
		for i, d := range []time.Duration{
			0, time.Minute, time.Minute + 1e6, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute,
			time.Hour, time.Hour + 1e6, 24 * time.Hour, 24*time.Hour + 1e6, 100 * time.Hour,
		} {
			o := f.created(time.Duration(i) * time.Second)
			f.change(o, func(c *store.Change) { c.Order.State, c.Order.PaidAt = order.Paid, o.CreatedAt.Add(d) })
		}
		f.created(time.Hour)
		f.setState(f.created(time.Hour), order.Review)
		got, err := f.s.Summarize(f.Context(), shopA, time.Time{}, time.Time{}, time.UTC)
		f.ok(err)
		f.want("pay times", got.PayTimes, []int{2, 2, 1, 1, 1, 1, 2, 2})
	}},
}

func testSummaryDays(f *fixture) {
	newYork, err := time.LoadLocation("America/New_York")
	f.ok(err)
	for _, o := range []struct {
		at    string
		shop  string
		total order.Money
		state order.State
	}{
		{"2026-03-07T15:59:59.999Z", shopA, 1, order.Paid},
		{"2026-03-07T16:00:00.000Z", shopA, 10, order.Paid},
		{"2026-03-08T04:59:59.999Z", shopA, 100, order.Paid}, // 23:59 in New York
		{"2026-03-08T05:00:00.000Z", shopA, 1000, order.Paid},
		{"2026-03-09T03:59:59.999Z", shopA, 10000, order.Expired}, // the day has 23 hours
		{"2026-03-09T04:00:00.000Z", shopA, 100000, order.Review},
		{"2026-03-09T05:00:00.000Z", shopB, 1000000, order.Pending},
	} {
		at, err := time.Parse(time.RFC3339, o.at)
		f.ok(err)
		made := newOrder(o.shop, at)
		made.Total = o.total
		f.create(made)
		if o.state != order.Pending {
			f.setState(made, o.state)
		}
	}
	at := func(s string) time.Time {
		if s == "" {
			return time.Time{}
		}
		ts, err := time.Parse(time.RFC3339, s)
		f.ok(err)
		return ts
	}
	for _, tt := range []struct {
		name, shop, from, to string
		loc                  *time.Location
		want                 string
	}{
		{"all in UTC", "", "", "", time.UTC, "2026-03-07 paid 2 0.11; 2026-03-08 paid 2 11.00; 2026-03-09 expired 1 100.00, pending 1 10000.00, review 1 1000.00; "},
		{"all without a zone", "", "", "", nil, "2026-03-07 paid 2 0.11; 2026-03-08 paid 2 11.00; 2026-03-09 expired 1 100.00, pending 1 10000.00, review 1 1000.00; "},
		{"New York", shopA, "", "", newYork, "2026-03-07 paid 3 1.11; 2026-03-08 expired 1 100.00, paid 1 10.00; 2026-03-09 review 1 1000.00; "},
		{"China", shopA, "", "", time.FixedZone("", 8*3600), "2026-03-07 paid 1 0.01; 2026-03-08 paid 3 11.10; 2026-03-09 expired 1 100.00, review 1 1000.00; "},
		{"Nepal", shopA, "2026-03-08T00:00:00Z", "", time.FixedZone("", 5*3600+45*60), "2026-03-08 paid 2 11.00; 2026-03-09 expired 1 100.00, review 1 1000.00; "},
		{"from and to", "", "2026-03-07T16:00:00Z", "2026-03-08T05:00:00Z", time.UTC, "2026-03-07 paid 1 0.10; 2026-03-08 paid 1 1.00; "},
		{"nobody's", "no-such", "", "", time.UTC, ""},
		{"in the future", "", "2027-01-01T00:00:00Z", "", time.UTC, ""},
		{"from after to", "", "2026-03-09T00:00:00Z", "2026-03-08T00:00:00Z", time.UTC, ""},
	} {
		got, err := f.s.Summarize(f.Context(), tt.shop, at(tt.from), at(tt.to), tt.loc)
		f.ok(err)
		f.want(tt.name, spell(got.Days), tt.want)
	}
}

// spell writes days in one line.
func spell(days []store.DaySummary) (s string) {
	for _, d := range days {
		s += d.Day
		sep := " "
		for _, state := range []string{"expired", "paid", "pending", "review"} {
			if n := d.Orders[state]; n > 0 {
				s += fmt.Sprintf("%s%s %d %s", sep, state, n, d.Money[state])
				sep = ", "
			}
		}
		s += "; "
	}
	return s
}

var purgeTests = []test{
	{"only expired orders that never saw money, made before the time", func(f *fixture) {
		before := t0.Add(time.Hour)
		gone := f.expired(0)
		f.emit(gone, []string{hook}, "checkout.expired")
		var kept []*order.Order
		keep := func(after time.Duration, edit func(c *store.Change)) {
			o := f.created(after)
			f.change(o, edit)
			kept = append(kept, o)
		}
		keep(0, func(c *store.Change) {})
		keep(0, func(c *store.Change) { c.Order.State, c.Order.PaidAt = order.Paid, t0 })
		keep(0, func(c *store.Change) { c.Order.State = order.Review })
		keep(0, func(c *store.Change) { c.Order.State, c.Payment = order.Expired, payment("P1", t0) })
		keep(0, func(c *store.Change) { c.Order.State, c.Payment = order.Expired, payment("", t0) })
		keep(0, func(c *store.Change) { c.Order.State, c.Order.PaidAt = order.Expired, t0 })
		keep(0, func(c *store.Change) { c.Order.State, c.Payment = order.Paid, payment("P2", t0) })
		keep(time.Hour, func(c *store.Change) { c.Order.State = order.Expired })

		n, err := f.s.Purge(f.Context(), before, 100)
		f.ok(err)
		f.want("purged", n, 1)
		if _, _, err := f.s.Detail(f.Context(), gone.ID); !errors.Is(err, store.ErrNotFound) {
			f.Fatalf("got %v, want ErrNotFound", err)
		}
		targets, err := f.s.PendingTargets(f.Context())
		f.ok(err)
		f.want("targets", len(targets), 0)
		for _, o := range kept {
			f.order(o)
		}
		n, err = f.s.Purge(f.Context(), before, 100)
		f.ok(err)
		f.want("purged again", n, 0)
		f.create(gone)
		_, deliveries := f.detail(gone)
		f.want("deliveries after the id was used again", len(deliveries), 0)
	}},
	{"at most n at a time", func(f *fixture) {
		for i := range 5 {
			f.setState(f.created(time.Duration(i)*time.Second), order.Expired)
		}
		for _, want := range []int{2, 2, 1, 0} {
			n, err := f.s.Purge(f.Context(), t0.Add(time.Hour), 2)
			f.ok(err)
			f.want("purged", n, want)
		}
	}},
	{"never beside a late payment", func(f *fixture) {
		for i := range 20 {
			o := f.expired(time.Duration(i) * time.Second)
			var updated error
			f.allOK(together(2, func(i int) (err error) {
				if i == 0 {
					_, err = f.s.Purge(f.Context(), t0.Add(time.Hour), 1)
					return err
				}
				_, updated = f.s.Update(f.Context(), shopA, o.ID, "P1", pay(o.ID, t0))
				return nil
			}))
			got, err := f.s.Order(f.Context(), shopA, o.ID)
			switch {
			case updated == nil:
				f.ok(err)
				f.want("state", got.State, order.Paid)
			case !errors.Is(updated, store.ErrNotFound) || !errors.Is(err, store.ErrNotFound):
				f.Fatalf("the update said %v, the order %v", updated, err)
			}
		}
	}},
}

// calls are all methods that may fail, as one would call them for the order
// and the delivery.
func calls(s store.Store, o *order.Order, deliveryID string) map[string]func(ctx context.Context) error {
	return map[string]func(ctx context.Context) error{
		"Create": func(ctx context.Context) error {
			return s.Create(ctx, newOrder(shopA, t0), t0, store.PendingLimits{PerClient: 100, Total: 100})
		},
		"Order": func(ctx context.Context) error { _, err := s.Order(ctx, o.Shop, o.ID); return err },
		"Update": func(ctx context.Context) error {
			_, err := s.Update(ctx, o.Shop, o.ID, "P1", pay("P1", t0, hook))
			return err
		},
		"KeepOrphan": func(ctx context.Context) error {
			_, err := s.KeepOrphan(ctx, store.Orphan{Shop: shopA, PayID: "P1", At: t0})
			return err
		},
		"ClaimQuestion": func(ctx context.Context) error {
			_, err := s.ClaimQuestion(ctx, o.Shop, o.ID, t0, time.Minute)
			return err
		},
		"ClaimDue": func(ctx context.Context) error {
			_, err := s.ClaimDue(ctx, o.Shop, t0, t0, time.Minute, 10, func(order.Order) time.Time { return t0 })
			return err
		},
		"ClaimBalance": func(ctx context.Context) error { _, err := s.ClaimBalance(ctx, "m1", t0, time.Minute); return err },
		"SaveBalance": func(ctx context.Context) error {
			return s.SaveBalance(ctx, store.Balance{Merchant: "m1", Amount: "1.00", At: t0})
		},
		"Balance": func(ctx context.Context) error {
			_, err := s.Balance(ctx, "m1")
			if errors.Is(err, store.ErrNotFound) {
				return nil
			}
			return err
		},
		"ClaimDeliveries": func(ctx context.Context) error { _, err := s.ClaimDeliveries(ctx, hook, t0, lease, 10); return err },
		"RecordAttempt": func(ctx context.Context) error {
			return s.RecordAttempt(ctx, deliveryID, store.Attempt{At: t0}, store.DeliveryDone, t0)
		},
		"Redeliver":      func(ctx context.Context) error { return s.Redeliver(ctx, deliveryID, t0.Add(time.Hour)) },
		"PendingTargets": func(ctx context.Context) error { _, err := s.PendingTargets(ctx); return err },
		"Detail":         func(ctx context.Context) error { _, _, err := s.Detail(ctx, o.ID); return err },
		"List":           func(ctx context.Context) error { _, _, err := s.List(ctx, store.Filter{}, "", 10); return err },
		"Each": func(ctx context.Context) error {
			return s.Each(ctx, store.Filter{}, func(*order.Order) error { return nil })
		},
		"Summarize":  func(ctx context.Context) error { _, err := s.Summarize(ctx, "", t0, t0, time.UTC); return err },
		"Deliveries": func(ctx context.Context) error { _, _, err := s.Deliveries(ctx, "", "", "", 10); return err },
		"Orphans":    func(ctx context.Context) error { _, _, err := s.Orphans(ctx, "", "", 10); return err },
		"Stats":      func(ctx context.Context) error { _, err := s.Stats(ctx); return err },
		"Purge":      func(ctx context.Context) error { _, err := s.Purge(ctx, t0.Add(time.Hour), 10); return err },
		"Ping":       s.Ping,
	}
}
