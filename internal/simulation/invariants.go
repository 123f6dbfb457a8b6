package simulation

import (
	"context"
	"fmt"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/payment"
	"github.com/caddy-checkout/checkout/internal/store"
)

func (w *world) breaks(format string, args ...any) {
	said := fmt.Sprintf(format, args...)
	w.trace("BROKEN: %s", said)
	w.broken = append(w.broken, said)
}

// check looks at every order: what must hold at every moment.
func (w *world) check() {
	orphans, _, err := w.base.Orphans(context.Background(), w.svc.ID(), "", 1000)
	if err != nil || len(orphans) < w.stats.Orphans {
		w.breaks("%d of %d acknowledged orphans are kept: %v", len(orphans), w.stats.Orphans, err)
	}
	for _, p := range w.orders {
		o, deliveries, err := w.base.Detail(context.Background(), p.id)
		if err != nil {
			w.breaks("order %d is lost: %v", p.n, err)
			continue
		}
		w.checkOrder(p, o, deliveries)
	}
}

func (w *world) checkOrder(p *purchase, o *order.Order, deliveries []store.Delivery) {
	what := make(map[string]int)
	for _, e := range o.History {
		what[e.What]++
	}
	told := make(map[string]int)
	for _, d := range deliveries {
		told[d.Type]++
	}
	turned := what["paid"] + what["confirmed"]
	if turned > 1 || (turned == 1) != (o.State == order.Paid) {
		w.breaks("order %d is %v after %d paid transitions", p.n, o.State, turned)
	}
	if what["expired"] > 1 {
		w.breaks("order %d expired %d times", p.n, what["expired"])
	}
	if p.turned > 1 {
		w.breaks("order %d: the observer heard %d paid transitions", p.n, p.turned)
	}
	for event, n := range map[string]int{
		payment.EventPaid: turned, payment.EventReview: what["review"],
		payment.EventExpired: what["expired"], payment.EventSecond: what["second_payment"],
	} {
		if told[event] != n {
			w.breaks("order %d: %d events %s in the outbox for %d changes", p.n, told[event], event, n)
		}
	}
	if what["paid"] == 1 && !p.paidInFull() {
		w.breaks("order %d is paid, but the gateway took %+v", p.n, p.payments)
	}
	known := told[payment.EventPaid] + told[payment.EventReview] + told[payment.EventExpired] + told[payment.EventSecond]
	if known != len(deliveries) {
		w.breaks("order %d: events of no known type in the outbox: %v", p.n, told)
	}
	if len(p.acked) > 1 && what["review"]+what["second_payment"] == 0 {
		w.breaks("order %d: two payments were acknowledged and nobody was told of the second: %v", p.n, p.acked)
	}
	for m := range p.acked {
		if !kept(o, m) {
			w.breaks("order %d: the notify %+v was acknowledged, but is not kept", p.n, m)
		}
	}
}

func (p *purchase) paidInFull() bool {
	for _, m := range p.payments {
		if m.paymoney == p.total && m.realpay == p.total {
			return true
		}
	}
	return false
}

// kept reports whether a payment is on record: among the payments, or, where
// its id is another's, in the words of the history.
func kept(o *order.Order, m paid) bool {
	for _, q := range o.Payments {
		if q.PayMoney == m.paymoney && q.RealPay == m.realpay && (q.PayID == m.payid || q.PayID == "") {
			return true
		}
	}
	for _, e := range o.History {
		if e.What == "review" || e.What == "second_payment" {
			return true
		}
	}
	return false
}

// rest lets all come to an end: the gateway answers, the store works, the
// clock runs on. Then no payment may be left unseen.
func (w *world) rest(seed uint64) {
	w.trace("rest")
	w.failIn, w.down, w.resting = -1, false, true
	w.restart(seed)
	end := w.now.Add(30 * time.Hour)
	for w.now.Before(end) {
		w.now = w.now.Add(5 * time.Minute)
		for range len(w.orders) {
			w.now = w.now.Add(time.Second)
			if _, err := w.svc.Reconcile(context.Background()); err != nil {
				w.breaks("reconcile at rest: %v", err)
				return
			}
		}
	}
	w.check()
	for _, p := range w.orders {
		o, err := w.base.Order(context.Background(), w.svc.ID(), p.id)
		if err != nil {
			w.breaks("order %d at rest: %v", p.n, err)
			continue
		}
		switch o.State {
		case order.Paid:
			w.stats.Paid++
			if o.Late {
				w.stats.Late++
			}
		case order.Review:
			w.stats.Review++
		case order.Expired:
			w.stats.Expired++
		case order.Pending:
			w.breaks("order %d is pending for ever", p.n)
		}
		// Nobody can know of a payment after the last question whose notify was
		// lost, too.
		if o.State == order.Expired && p.told {
			w.breaks("order %d expired, but the gateway took %+v", p.n, p.payments)
		}
	}
}

// OrderCreated is part of payment.Observer.
func (w *world) OrderCreated(*order.Order) {}

// StateChanged is part of payment.Observer.
func (w *world) StateChanged(o *order.Order, was order.State) {
	w.trace("order %s: %v → %v", o.ID, was, o.State)
	if p := w.byID[o.ID]; p != nil && o.State == order.Paid {
		p.turned++
	}
}

// NotifyAnswered is part of payment.Observer.
func (w *world) NotifyAnswered(payment.Verdict, string) {}

// Alarm is part of payment.Observer.
func (w *world) Alarm(string, string, string) {}

// BalanceKnown is part of payment.Observer.
func (w *world) BalanceKnown(string, time.Time) {}
