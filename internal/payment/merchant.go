package payment

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

var (
	// ErrNotThat is wrapped where the order's state does not allow what the
	// merchant asks.
	ErrNotThat = errors.New("order is not in a state for that")
	// ErrNoReason: the merchant must say why.
	ErrNoReason = errors.New("a reason is required")
)

// Confirm takes an order in review as paid, unless it was refunded. It is
// idempotent.
func (s *Service) Confirm(ctx context.Context, id, who, reason string) (*order.Order, error) {
	return s.decide(ctx, id, who, reason, func(o order.Order, e order.Entry) (*store.Change, error) {
		switch {
		case o.State == order.Paid:
			return nil, nil
		case !o.RefundedAt.IsZero():
			return nil, fmt.Errorf("%w: the order was refunded", ErrNotThat)
		}
		if o.State = o.State.Next(order.MerchantConfirmed); o.State != order.Paid {
			return nil, fmt.Errorf("%w: only an order in review can be confirmed, this one is %s", ErrNotThat, o.State)
		}
		o.PaidAt, e.What = e.At, "confirmed"
		return s.change(o, nil, EventPaid, e), nil
	})
}

// Ship marks a paid order as shipped; the reason is, for example, the parcel's
// number. It is idempotent.
func (s *Service) Ship(ctx context.Context, id, who, reason string) (*order.Order, error) {
	return s.decide(ctx, id, who, reason, func(o order.Order, e order.Entry) (*store.Change, error) {
		switch {
		case !o.ShippedAt.IsZero():
			return nil, nil
		case o.State != order.Paid:
			return nil, fmt.Errorf("%w: only a paid order can be shipped, this one is %s", ErrNotThat, o.State)
		case !o.RefundedAt.IsZero():
			return nil, fmt.Errorf("%w: the order was refunded", ErrNotThat)
		}
		o.ShippedAt, e.What = e.At, "shipped"
		return &store.Change{Order: o, Entries: []order.Entry{e}}, nil
	})
}

// Refund marks an order that is paid or holds a payment as refunded; the money
// itself goes back by the gateway's own means. It is idempotent.
func (s *Service) Refund(ctx context.Context, id, who, reason string) (*order.Order, error) {
	return s.decide(ctx, id, who, reason, func(o order.Order, e order.Entry) (*store.Change, error) {
		if !o.RefundedAt.IsZero() {
			return nil, nil
		}
		if o.State != order.Paid && len(o.Payments) == 0 {
			return nil, fmt.Errorf("%w: no payment is known of this order, it is %s", ErrNotThat, o.State)
		}
		o.RefundedAt, e.What = e.At, "refunded"
		return &store.Change{Order: o, Entries: []order.Entry{e}}, nil
	})
}

// decide applies what a person decides.
func (s *Service) decide(ctx context.Context, id, who, reason string, do func(order.Order, order.Entry) (*store.Change, error)) (*order.Order, error) {
	if !order.ValidID(id) {
		return nil, store.ErrNotFound
	}
	if reason = plainReason(reason); reason == "" {
		return nil, ErrNoReason
	}
	e := order.Entry{At: s.c.Now(), Who: who, Reason: reason}
	var was order.State
	o, err := s.st.Update(ctx, s.id, id, "", func(sub store.Subject) (*store.Change, error) {
		was = sub.Order.State
		return do(sub.Order, e)
	})
	if err != nil {
		return nil, err
	}
	if o.State != was {
		s.c.Observer.StateChanged(o, was)
	}
	return o, nil
}
