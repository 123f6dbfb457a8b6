package payment

import (
	"context"
	"errors"

	"github.com/caddy-checkout/checkout/internal/gateway"
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
	"github.com/caddy-checkout/checkout/sign"
)

// Verdict is what became of a notify.
type Verdict string

// The verdicts.
const (
	NotifyPaid      Verdict = "paid"
	NotifyLate      Verdict = "late"
	NotifyDuplicate Verdict = "duplicate" // acknowledged, changes nothing
	NotifyReview    Verdict = "review"    // kept; a person decides
	NotifySecond    Verdict = "second"    // kept; the order was paid already
	NotifyOrphan    Verdict = "orphan"    // kept; no such order here
	NotifyMalformed Verdict = "malformed"
	NotifyBadKey    Verdict = "bad_key"
	NotifyFailed    Verdict = "failed" // could not be stored
)

// Verdicts are all verdicts.
var Verdicts = []Verdict{
	NotifyPaid, NotifyLate, NotifyDuplicate, NotifyReview, NotifySecond,
	NotifyOrphan, NotifyMalformed, NotifyBadKey, NotifyFailed,
}

// Notify verifies n and applies it. With a nil error it is kept durably, or
// refused for good, and is answered by the verdict: NotifyOrphan 404,
// NotifyBadKey 403, NotifyMalformed 400, else success. An error means that it
// could not be kept: the gateway must try again.
func (s *Service) Notify(ctx context.Context, n gateway.Notify) (Verdict, error) {
	v, err := s.notify(ctx, n)
	if err != nil {
		v = NotifyFailed
	}
	s.c.Observer.NotifyAnswered(v, n.OrderID)
	return v, err
}

// NotifyMalformed counts a notify that could not even be read.
func (s *Service) NotifyMalformed() {
	s.c.Observer.NotifyAnswered(NotifyMalformed, "")
}

func (s *Service) notify(ctx context.Context, n gateway.Notify) (Verdict, error) {
	if err := s.c.Gateway.VerifyNotify(n); err != nil {
		if errors.Is(err, sign.ErrValue) {
			return NotifyMalformed, nil
		}
		return NotifyBadKey, nil
	}
	p := order.Payment{
		PayID:    n.PayID,
		PayMoney: n.PayMoney,
		RealPay:  n.RealPay,
		Source:   order.SourceNotify,
		At:       s.c.Now(),
	}
	_, v, err := s.apply(ctx, n.OrderID, n.PayID, func(sub store.Subject) (*store.Change, outcome) {
		return s.settle(sub, p)
	})
	if errors.Is(err, store.ErrNotFound) {
		return s.orphan(ctx, n, p)
	}
	return v, err
}

// orphan keeps a verified notify that fits no order of this shop.
func (s *Service) orphan(ctx context.Context, n gateway.Notify, p order.Payment) (Verdict, error) {
	fresh, err := s.st.KeepOrphan(ctx, store.Orphan{
		Shop:     s.id,
		OrderID:  n.OrderID,
		PayID:    n.PayID,
		OrderUID: n.OrderUID,
		PayMoney: n.PayMoney,
		RealPay:  n.RealPay,
		At:       p.At,
	})
	if err != nil {
		return "", err
	}
	if fresh {
		s.c.Observer.Alarm(AlarmOrphan, n.OrderID, "payment "+n.PayID+" of "+n.RealPay+" fits no order of this shop")
	}
	return NotifyOrphan, nil
}
