package payment

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
	"github.com/caddy-checkout/checkout/internal/webhook"
)

// Types of events in the outbox.
const (
	EventPaid    = webhook.TypePaid
	EventReview  = webhook.TypeReview
	EventExpired = webhook.TypeExpired
	EventSecond  = webhook.TypeSecondPayment
)

// Verdicts of a payment, kept with it.
const (
	paymentPaid     = "paid"
	paymentLate     = "late"
	paymentMismatch = "mismatch"
	paymentSecond   = "second"
	paymentTimeout  = "timeout" // status 1 with a realpay
)

// outcome is what a change did, for the observer.
type outcome struct {
	verdict Verdict
	was     order.State
	alarm   string
}

// apply runs decide on the order, and tells the observer once it is on disk.
func (s *Service) apply(ctx context.Context, id, payid string, decide func(store.Subject) (*store.Change, outcome)) (*order.Order, Verdict, error) {
	var out outcome
	o, err := s.st.Update(ctx, s.id, id, payid, func(sub store.Subject) (*store.Change, error) {
		var c *store.Change
		c, out = decide(sub)
		out.was = sub.Order.State
		return c, nil
	})
	if err != nil {
		return nil, "", err
	}
	if o.State != out.was {
		s.c.Observer.StateChanged(o, out.was)
	}
	if out.alarm != "" {
		s.c.Observer.Alarm(out.alarm, o.ID, o.Note)
	}
	return o, out.verdict, nil
}

// settle decides what a verified payment does to an order. Applying the same
// payment again changes nothing.
func (s *Service) settle(sub store.Subject, p order.Payment) (*store.Change, outcome) {
	o := sub.Order
	matches := p.PayMoney == o.Total.String() && p.RealPay == o.Total.String()

	known := slices.IndexFunc(o.Payments, func(q order.Payment) bool { return p.PayID != "" && q.PayID == p.PayID })
	if known >= 0 {
		if q := o.Payments[known]; q.PayMoney == p.PayMoney && q.RealPay == p.RealPay {
			return nil, outcome{verdict: NotifyDuplicate}
		}
		return s.suspect(o, nil, p, order.PaymentMismatched, fmt.Sprintf(
			"payment %s was told again with other amounts: paymoney %s, realpay %s", p.PayID, p.PayMoney, p.RealPay))
	}
	if sub.PayidOf != "" {
		return s.suspect(o, nil, p, order.PaymentMismatched, fmt.Sprintf(
			"payment %s of %s belongs to order %s already", p.PayID, p.RealPay, sub.PayidOf))
	}
	if i := slices.IndexFunc(o.Payments, func(q order.Payment) bool { return samePayment(q, p) }); i >= 0 {
		if p.PayID == "" {
			return nil, outcome{verdict: NotifyDuplicate}
		}
		return &store.Change{Order: o, Payment: &p, AdoptID: true}, outcome{verdict: NotifyDuplicate}
	}
	if len(o.Payments) > 0 {
		p.Verdict = paymentSecond
		return s.suspect(o, &p, p, order.SecondPayment, fmt.Sprintf(
			"second payment %s: realpay %s", p.PayID, p.RealPay))
	}
	if !matches {
		p.Verdict = paymentMismatch
		return s.suspect(o, &p, p, order.PaymentMismatched, fmt.Sprintf(
			"payment %s does not fit: paymoney %s, realpay %s, order %s", p.PayID, p.PayMoney, p.RealPay, o.Total))
	}

	was := o.State
	p.Verdict = paymentPaid
	if was == order.Expired {
		p.Verdict = paymentLate
	}
	o.State = was.Next(order.PaymentMatched)
	switch {
	case was == order.Paid: // the merchant confirmed it before any payment was known
		return &store.Change{Order: o, Payment: &p}, outcome{verdict: NotifyDuplicate}
	case o.State != order.Paid: // in review: the payment is kept, a person decides
		return s.suspect(sub.Order, &p, p, order.PaymentMatched, fmt.Sprintf(
			"payment %s of %s came while the order was in review", p.PayID, p.RealPay))
	}
	o.Payments = append(slices.Clip(o.Payments), p)
	o.PaidAt, o.Late = p.At, was == order.Expired
	verdict := NotifyPaid
	if o.Late {
		verdict = NotifyLate
	}
	return s.change(o, &p, EventPaid, order.Entry{At: p.At, Who: p.Source, What: "paid"}), outcome{verdict: verdict}
}

// samePayment reports whether p tells of the payment q: by its id, or, where
// one of them came without an id, by its amounts.
func samePayment(q, p order.Payment) bool {
	if q.PayID == "" || p.PayID == "" {
		return q.PayMoney == p.PayMoney && q.RealPay == p.RealPay
	}
	return q.PayID == p.PayID
}

// suspect keeps a payment that does not simply pay the order: note says why.
// kept is nil where the payment itself is on record already.
func (s *Service) suspect(o order.Order, kept *order.Payment, p order.Payment, e order.Event, note string) (*store.Change, outcome) {
	if kept == nil && o.Note == note {
		return nil, outcome{verdict: NotifyDuplicate}
	}
	o.State, o.Note = o.State.Next(e), note
	if kept != nil {
		o.Payments = append(slices.Clip(o.Payments), *kept)
	}
	if o.State == order.Paid {
		entry := order.Entry{At: p.At, Who: p.Source, What: "second_payment", Reason: note}
		return s.change(o, kept, EventSecond, entry), outcome{verdict: NotifySecond, alarm: AlarmSecond}
	}
	entry := order.Entry{At: p.At, Who: p.Source, What: "review", Reason: note}
	return s.change(o, kept, EventReview, entry), outcome{verdict: NotifyReview, alarm: AlarmReview}
}

// expire ends an order that nobody paid. One more question follows, for a
// payment in the last minute whose notify was lost.
func (s *Service) expire(o order.Order, e order.Event, now time.Time, who, reason string) *store.Change {
	was := o.State
	if o.State = was.Next(e); o.State != order.Expired || was == order.Expired {
		return nil
	}
	c := s.change(o, nil, EventExpired, order.Entry{At: now, Who: who, What: "expired", Reason: reason})
	c.NextQuery = now.Add(afterExpiry)
	return c
}

// change is a Change with a history entry, and an event if anybody is told.
// The order is not asked about any more.
func (s *Service) change(o order.Order, p *order.Payment, eventType string, entry order.Entry) *store.Change {
	c := &store.Change{Order: o, Payment: p, Entries: []order.Entry{entry}, SetNextQuery: true}
	if targets := s.targets(eventType, &o); len(targets) > 0 {
		c.Events = []store.Event{{
			ID:      order.NewID(entry.At),
			Type:    eventType,
			At:      entry.At,
			Payload: webhook.Payload(eventType, &o, entry.At),
			Targets: targets,
		}}
	}
	return c
}
