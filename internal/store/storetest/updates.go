package storetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

var updateTests = []test{
	{"decide sees the order as it stands, with payments", func(f *fixture) {
		o := f.created(0)
		_, err := f.s.Update(f.Context(), shopA, o.ID, "P1", pay("P1", t0))
		f.ok(err)
		var seen store.Subject
		after, err := f.s.Update(f.Context(), shopA, o.ID, "P1", func(sub store.Subject) (*store.Change, error) {
			seen = sub
			return nil, nil
		})
		f.ok(err)
		want := *o
		want.History = nil
		want.State, want.PaidAt = order.Paid, t0
		want.Payments = []order.Payment{*payment("P1", t0)}
		f.want("subject", seen, store.Subject{Order: want})
		f.want("order returned", after, want)
		f.want("order kept", f.order(o), want)
	}},
	{"an error of decide is returned as it is and writes nothing", func(f *fixture) {
		o := f.created(0)
		mine := errors.New("mine")
		_, err := f.s.Update(f.Context(), shopA, o.ID, "", func(sub store.Subject) (*store.Change, error) {
			return &store.Change{Order: order.Order{State: order.Paid}, Payment: payment("P1", t0)}, mine
		})
		if err != mine { //nolint:errorlint // not even wrapped
			f.Fatalf("got %v, want decide's own error", err)
		}
		got, _ := f.detail(o)
		f.want("order", got, o)
	}},
	{"writes what a change may write, nothing else", func(f *fixture) {
		o := f.created(0)
		granted, err := f.s.ClaimQuestion(f.Context(), shopA, o.ID, t0, time.Minute)
		f.ok(err)
		f.want("granted", granted, true)
		at := t0.Add(time.Hour)
		entry := order.Entry{At: at, Who: "Ada", What: "shipped", Reason: `parcel "7" \ 包裹`}
		after := f.change(o, func(c *store.Change) {
			c.Order = order.Order{
				ID: order.NewID(t0), Shop: shopB, Title: "other", Total: 1, Client: "other", Buyer: order.Buyer{Name: "other"},
				CreatedAt: at, ExpiresAt: at, AskedAt: at, Test: true, Language: "zh", OrderUID: "other",
				Lines:    []order.Line{{SKU: "other", Qty: 7}},
				Payments: []order.Payment{*payment("P9", at)},
				History:  []order.Entry{entry},
				State:    order.Review, Late: true, Note: "note", PaidAt: at, ShippedAt: at.Add(1 * time.Second),
				RefundedAt: at.Add(2 * time.Second), AnsweredAt: at.Add(3 * time.Second), Answer: "-1",
			}
			c.Entries = []order.Entry{entry, entry}
		})
		want := *o
		want.State, want.Late, want.Note, want.PaidAt, want.ShippedAt = order.Review, true, "note", at, at.Add(time.Second)
		want.RefundedAt, want.AnsweredAt, want.Answer = at.Add(2*time.Second), at.Add(3*time.Second), "-1"
		want.AskedAt, want.History = t0, nil
		f.want("order returned", after, want)
		f.want("order kept", f.order(o), want)
		want.History = append(slices.Clone(o.History), entry, entry)
		got, _ := f.detail(o)
		f.want("history", got, want)

		f.change(o, func(c *store.Change) { c.Order = order.Order{} })
		f.want("cleared", f.order(o).PaidAt.IsZero(), true)
	}},
	{"what decide does to its copy of the order does not matter", func(f *fixture) {
		o := f.created(0)
		after := f.change(o, func(c *store.Change) {
			c.Order.Lines[0].SKU = "spoilt"
			c.Order.State = order.Paid
		})
		f.want("lines returned", after.Lines, o.Lines)
		f.want("lines kept", f.order(o).Lines, o.Lines)
	}},
	{"the next question is kept unless it is set", func(f *fixture) {
		o := f.created(0)
		due := func(at time.Time) int {
			got, err := f.s.ClaimDue(f.Context(), shopA, at, at, time.Minute, 10, func(order.Order) time.Time { return at })
			f.ok(err)
			return len(got)
		}
		f.change(o, func(c *store.Change) { c.NextQuery = t0.Add(time.Hour) })
		f.want("due when it is not set", due(t0), 1)
		f.change(o, func(c *store.Change) { c.NextQuery, c.SetNextQuery = t0.Add(time.Hour), true })
		f.want("due before", due(t0.Add(time.Hour-time.Millisecond)), 0)
		f.want("due then", due(t0.Add(time.Hour)), 1)
		f.change(o, func(c *store.Change) { c.SetNextQuery = true })
		f.want("due ever again", due(t0.Add(100*24*time.Hour)), 0)
	}},
	{"order, payment, history and outbox are one transaction", func(f *fixture) {
		holder, o := f.created(0), f.created(time.Second)
		_, err := f.s.Update(f.Context(), shopA, holder.ID, "P1", pay("P1", t0))
		f.ok(err)
		_, err = f.s.Update(f.Context(), shopA, o.ID, "", pay("P1", t0, "webhook:x"))
		if err == nil || errors.Is(err, store.ErrNotFound) {
			f.Fatalf("a payid that another order holds was written, got %v", err)
		}
		got, deliveries := f.detail(o)
		f.want("order", got, o)
		f.want("deliveries", len(deliveries), 0)
		targets, err := f.s.PendingTargets(f.Context())
		f.ok(err)
		f.want("targets", len(targets), 0)
	}},
	{"many at once on one order come one after the other", func(f *fixture) {
		o := f.created(0)
		const n = 64
		f.allOK(together(n, func(i int) error {
			_, err := f.s.Update(f.Context(), shopA, o.ID, "", func(sub store.Subject) (*store.Change, error) {
				c := &store.Change{Order: sub.Order, Entries: []order.Entry{{At: t0, Who: "x", What: sub.Order.Note}}}
				c.Order.Note += "+"
				return c, nil
			})
			return err
		}))
		got, _ := f.detail(o)
		f.want("length of the note", len(got.Note), n)
		for i, e := range got.History[1:] {
			f.want("entry", len(e.What), i)
		}
	}},
	{"many at once on many orders", func(f *fixture) {
		orders := make([]*order.Order, 64)
		for i := range orders {
			orders[i] = f.created(time.Duration(i) * time.Second)
		}
		mine := errors.New("mine")
		for i, err := range together(2*len(orders), func(i int) error {
			o := orders[i/2]
			if i%2 == 1 {
				_, err := f.s.Update(f.Context(), shopA, o.ID, "", func(store.Subject) (*store.Change, error) { return nil, mine })
				return err
			}
			payid := fmt.Sprint("P", i)
			_, err := f.s.Update(f.Context(), shopA, o.ID, payid, pay(payid, t0, "webhook:x"))
			return err
		}) {
			if i%2 == 0 {
				f.ok(err)
			} else if err != mine { //nolint:errorlint // not even wrapped
				f.Fatalf("got %v, want decide's own error", err)
			}
		}
		for _, o := range orders {
			got, deliveries := f.detail(o)
			f.want("state", got.State, order.Paid)
			f.want("payments, deliveries", [2]int{len(got.Payments), len(deliveries)}, [2]int{1, 1})
		}
	}},
}

// payidOf returns what decide is told of the payid.
func (f *fixture) payidOf(o *order.Order, payid string) (of string) {
	f.Helper()
	_, err := f.s.Update(f.Context(), o.Shop, o.ID, payid, func(sub store.Subject) (*store.Change, error) {
		of = sub.PayidOf
		return nil, nil
	})
	f.ok(err)
	return of
}

var paymentTests = []test{
	{"256 notifies of one payment at once pay once", func(f *fixture) {
		o := f.created(0)
		f.allOK(together(256, func(int) error {
			got, err := f.s.Update(f.Context(), shopA, o.ID, "P1", pay("P1", t0, "webhook:x"))
			if err == nil && got.State != order.Paid {
				err = fmt.Errorf("acknowledged in state %s", got.State)
			}
			return err
		}))
		got, deliveries := f.detail(o)
		f.want("paid transitions", entries(got, "paid"), 1)
		f.want("payments", got.Payments, []order.Payment{*payment("P1", t0)})
		f.want("deliveries", len(deliveries), 1)
	}},
	{"64 payments of one order at once pay once and are all kept", func(f *fixture) {
		o := f.created(0)
		f.allOK(together(64, func(i int) error {
			payid := fmt.Sprint("P", i)
			_, err := f.s.Update(f.Context(), shopA, o.ID, payid, pay(payid, t0, "webhook:x"))
			return err
		}))
		got, deliveries := f.detail(o)
		f.want("paid transitions", entries(got, "paid"), 1)
		f.want("others", entries(got, "second_payment"), 63)
		f.want("payments", len(got.Payments), 64)
		f.want("deliveries", len(deliveries), 1)
	}},
	{"one payid for many orders at once is kept once", func(f *fixture) {
		orders := make([]*order.Order, 32)
		for i := range orders {
			orders[i] = f.created(time.Duration(i) * time.Second)
		}
		f.allOK(together(len(orders), func(i int) error {
			o := orders[i]
			_, err := f.s.Update(f.Context(), shopA, o.ID, "P1", func(sub store.Subject) (*store.Change, error) {
				if sub.PayidOf == "" {
					return pay("P1", t0)(sub)
				}
				return changeBy(func(c *store.Change) { c.Order.State, c.Order.Note = order.Review, sub.PayidOf })(sub)
			})
			return err
		}))
		var payer *order.Order
		for _, o := range orders {
			if got := f.order(o); got.State == order.Paid {
				f.want("payers before this", payer == nil, true)
				payer = got
			}
		}
		for _, o := range orders {
			if got := f.order(o); o.ID != payer.ID {
				f.want("holder told to the others", got.Note, payer.ID)
				f.want("their payments", len(got.Payments), 0)
			}
		}
	}},
	{"PayidOf names another order of the same shop only", func(f *fixture) {
		holder, other, foreign := f.created(0), f.created(time.Second), f.create(newOrder(shopB, t0))
		_, err := f.s.Update(f.Context(), shopA, holder.ID, "P1", pay("P1", t0))
		f.ok(err)
		for _, tt := range []struct {
			o           *order.Order
			payid, want string
		}{
			{holder, "P1", ""}, {other, "P1", holder.ID}, {foreign, "P1", ""},
			{other, "P2", ""}, {other, "", ""}, {other, "p1", ""},
		} {
			f.want("PayidOf for "+tt.payid, f.payidOf(tt.o, tt.payid), tt.want)
		}
	}},
	{"two shops may hold the same payid", func(f *fixture) {
		for _, shop := range []string{shopA, shopB} {
			o := f.create(newOrder(shop, t0))
			_, err := f.s.Update(f.Context(), shop, o.ID, "P1", pay("P1", t0))
			f.ok(err)
			f.want("payments", len(f.order(o).Payments), 1)
		}
	}},
	{"a payid kept for this order already is not added again, the rest is written", func(f *fixture) {
		o := f.created(0)
		add := func(p *order.Payment) {
			f.change(o, func(c *store.Change) {
				c.Payment, c.Order.Note = p, c.Order.Note+"+"
			})
		}
		add(payment("P1", t0))
		again := payment("P1", t0.Add(time.Hour))
		again.Verdict = "second"
		add(again)
		add(payment("P2", t0))
		got := f.order(o)
		f.want("payments, oldest first", got.Payments, []order.Payment{*payment("P1", t0), *payment("P2", t0)})
		f.want("note", got.Note, "+++")
	}},
	{"payments without payid are the same when their amounts are", func(f *fixture) {
		less := payment("", t0)
		less.RealPay = "38.00"
		want := []order.Payment{*payment("", t0), *less}
		for i := range 2 {
			o := f.created(time.Duration(i) * time.Second)
			for _, p := range []*order.Payment{payment("", t0), less, less, payment("", t0)} {
				f.change(o, func(c *store.Change) { c.Payment = p })
			}
			f.want("payments", f.order(o).Payments, want)
		}
		o := f.created(time.Minute)
		f.change(o, func(c *store.Change) { c.Payment = payment("", t0) })
		f.change(o, func(c *store.Change) { c.Payment = less })
		less.PayID = "P1"
		f.change(o, func(c *store.Change) { c.Payment, c.AdoptID = less, true })
		f.want("adopted by the one of its amounts", f.order(o).Payments, []order.Payment{*payment("", t0), *less})
	}},
	{"AdoptID gives the payid to the payment that has none", func(f *fixture) {
		o, other := f.created(0), f.created(time.Second)
		asked := payment("", t0)
		asked.Source = order.SourceQuery
		f.change(o, func(c *store.Change) { c.Payment, c.Order.State = asked, order.Paid })
		f.change(other, func(c *store.Change) { c.Payment = asked })
		after := f.change(o, func(c *store.Change) { c.Payment, c.AdoptID = payment("P1", t0.Add(time.Minute)), true })
		asked.PayID = "P1"
		f.want("payments returned", after.Payments, []order.Payment{*asked})
		f.want("payments kept", f.order(o).Payments, []order.Payment{*asked})
		f.want("payments of another order", f.order(other).Payments[0].PayID, "")
		f.want("PayidOf", f.payidOf(other, "P1"), o.ID)
		if _, err := f.s.Update(f.Context(), shopA, other.ID, "", changeBy(func(c *store.Change) {
			c.Payment, c.AdoptID = payment("P1", t0), true
		})); err == nil {
			f.Fatal("adopted a payid that another order holds")
		}
	}},
	{"AdoptID without a payment that has none adds one", func(f *fixture) {
		o := f.created(0)
		for _, payid := range []string{"P1", "P2", "P2"} {
			f.change(o, func(c *store.Change) { c.Payment, c.AdoptID = payment(payid, t0), true })
		}
		f.want("payments", f.order(o).Payments, []order.Payment{*payment("P1", t0), *payment("P2", t0)})
	}},
	{"AdoptID of a payid kept for this order already changes no payment", func(f *fixture) {
		o := f.created(0)
		f.change(o, func(c *store.Change) { c.Payment = payment("", t0) })
		f.change(o, func(c *store.Change) { c.Payment = payment("P1", t0) })
		f.change(o, func(c *store.Change) { c.Payment, c.AdoptID = payment("P1", t0), true })
		f.want("payments", f.order(o).Payments, []order.Payment{*payment("", t0), *payment("P1", t0)})
	}},
}
