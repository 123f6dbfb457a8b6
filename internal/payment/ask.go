package payment

import (
	"context"
	"time"

	"github.com/caddy-checkout/checkout/internal/gateway"
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// patience is how long a buyer's status request waits for the gateway. The
// question itself goes on, and its answer is kept.
const patience = 5 * time.Second

// Status reads an order; while it is pending and the right to ask is free, it
// asks the gateway first, for a few seconds at most. A gateway in trouble
// changes nothing. Errors are those of [Service.Order].
func (s *Service) Status(ctx context.Context, id string) (*order.Order, error) {
	return s.await(ctx, id, 0)
}

// Wait is Status, but while the order stays pending it waits until the state
// changes or d is over. At the end of ctx it returns the order as last seen.
func (s *Service) Wait(ctx context.Context, id string, d time.Duration) (*order.Order, error) {
	return s.await(ctx, id, d)
}

func (s *Service) await(ctx context.Context, id string, d time.Duration) (*order.Order, error) {
	o, err := s.Order(ctx, id)
	if err != nil || o.State != order.Pending {
		return o, err
	}
	end := s.waitsEnd()
	changed, stop := s.st.Watch(s.id, id)
	defer stop()
	// A change between the first read and the watch would be missed.
	if o, err = s.st.Order(ctx, s.id, id); err != nil || o.State != order.Pending {
		return o, err
	}
	if o, err = s.expireOverdue(ctx, o); err != nil || o.State != order.Pending {
		return o, err
	}

	answered := s.askInBackground(o)
	if answered == nil && d == 0 {
		return o, nil
	}
	limit := d
	if d == 0 {
		limit = patience
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for waiting := true; waiting; {
		select {
		case <-answered:
			answered = nil
			waiting = d > 0
		case <-changed:
			waiting = false
		case <-timer.C:
			waiting = false
		case <-end:
			waiting = false
		case <-s.ctx.Done():
			waiting = false
		case <-ctx.Done():
			return o, nil
		}
	}
	return s.st.Order(ctx, s.id, id)
}

// askInBackground asks the gateway about the order, if the right to ask seems
// to be free, and closes the channel when the answer is kept. It returns nil
// where nothing is asked.
func (s *Service) askInBackground(o *order.Order) <-chan struct{} {
	if since := s.c.Now().Sub(o.AskedAt); since >= 0 && since < gateway.StatusInterval {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	answered := make(chan struct{})
	s.asks.Go(func() {
		defer close(answered)
		// An error leaves the order as it is; the next question finds out.
		_, _, _ = s.ask(s.ctx, o.ID)
	})
	return answered
}

// ask claims the right to ask, asks, and applies the answer.
func (s *Service) ask(ctx context.Context, id string) (o *order.Order, asked bool, err error) {
	granted, err := s.st.ClaimQuestion(ctx, s.id, id, s.c.Now(), gateway.StatusInterval)
	if err != nil || !granted {
		return nil, false, err
	}
	o, err = s.askClaimed(ctx, id, false)
	return o, true, err
}

// askClaimed asks about an order whose question is claimed. scheduled says
// that it is the reconciler that asks.
func (s *Service) askClaimed(ctx context.Context, id string, scheduled bool) (*order.Order, error) {
	reply, err := s.c.Gateway.Status(ctx, id)
	if err != nil {
		return nil, err
	}
	o, _, err := s.apply(ctx, id, reply.PayID, func(sub store.Subject) (*store.Change, outcome) {
		return s.answer(sub, reply, scheduled)
	})
	return o, err
}

// answer decides what a strict reply of the gateway does to an order
// (protocol section 4).
func (s *Service) answer(sub store.Subject, reply gateway.StatusReply, scheduled bool) (*store.Change, outcome) {
	now := s.c.Now()
	sub.Order.AnsweredAt, sub.Order.Answer = now, reply.Status
	o := sub.Order
	paid := order.Payment{
		PayID:    reply.PayID,
		PayMoney: reply.PayMoney,
		RealPay:  reply.RealPay,
		Source:   order.SourceQuery,
		At:       now,
	}
	var c *store.Change
	var out outcome
	switch {
	case reply.Status == gateway.StatusPaid:
		c, out = s.settle(sub, paid)
	case reply.Status == gateway.StatusTimeout && holdsMoney(reply.RealPay):
		c, out = s.timedOutWithMoney(sub, paid)
	case reply.Status == gateway.StatusTimeout:
		c = s.expire(o, order.TimedOut, now, order.SourceQuery, "the gateway's time to pay is over")
	case !now.Before(o.ExpiresAt):
		c = s.expire(o, order.ExpiryReached, now, order.SourceClock, "not paid in time")
	}
	if c != nil {
		return c, out
	}
	// An expired order has had its last question when the reconciler asked it.
	return &store.Change{Order: o, SetNextQuery: scheduled && o.State != order.Pending}, out
}

// timedOutWithMoney keeps what the gateway took for an order that timed out.
func (s *Service) timedOutWithMoney(sub store.Subject, p order.Payment) (*store.Change, outcome) {
	for _, q := range sub.Order.Payments {
		if samePayment(q, p) {
			return nil, outcome{verdict: NotifyDuplicate}
		}
	}
	if sub.PayidOf != "" {
		return s.settle(sub, p)
	}
	p.Verdict = paymentTimeout
	return s.suspect(sub.Order, &p, p, order.TimedOutWithMoney,
		"the gateway says timed out, but holds a payment "+p.PayID+" of "+p.RealPay)
}

// holdsMoney reports whether a realpay tells of money: it is empty when
// nothing was paid, and zero is nothing.
func holdsMoney(realpay string) bool {
	if realpay == "" {
		return false
	}
	m, err := order.ParsePrice(realpay)
	return err != nil || m > 0
}

// expireOverdue ends a pending order whose time is over, if the gateway has
// just said that it is not paid: it may not be asked again that soon.
func (s *Service) expireOverdue(ctx context.Context, o *order.Order) (*order.Order, error) {
	now := s.c.Now()
	overdue := func(o *order.Order) bool {
		since := now.Sub(o.AnsweredAt)
		return o.State == order.Pending && !now.Before(o.ExpiresAt) && since >= 0 && since < gateway.StatusInterval
	}
	if !overdue(o) {
		return o, nil
	}
	o, _, err := s.apply(ctx, o.ID, "", func(sub store.Subject) (*store.Change, outcome) {
		if !overdue(&sub.Order) {
			return nil, outcome{}
		}
		return s.expire(sub.Order, order.ExpiryReached, now, order.SourceClock, "not paid in time"), outcome{}
	})
	return o, err
}

// Refresh asks the gateway, for a person, about an order in any state. asked
// is false when the limit does not allow it yet.
func (s *Service) Refresh(ctx context.Context, id string) (o *order.Order, asked bool, err error) {
	if _, err := s.Order(ctx, id); err != nil {
		return nil, false, err
	}
	o, asked, err = s.ask(ctx, id)
	if err != nil || asked {
		return o, asked, err
	}
	o, err = s.Order(ctx, id)
	return o, false, err
}
