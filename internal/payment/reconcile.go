package payment

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/caddy-checkout/checkout/internal/gateway"
	"github.com/caddy-checkout/checkout/internal/order"
)

// The reconciler's schedule. A pending order is asked about first when a
// notify has had its time to come, then ever more rarely, and once more when
// it expires. An expired one is asked about once more.
const (
	firstDelay  = 2 * time.Minute
	maxDelay    = 6 * time.Hour
	afterExpiry = 10 * time.Minute
	giveUp      = 72 * time.Hour // after expiry, of a gateway that never answers about an expired order
)

// batch bounds the questions that are under way at once.
const batch = 16

// Reconcile asks about the orders that are due, within the shop's rate, and
// applies the answers. It returns how many it asked about: zero when none is
// due or the rate is used up.
func (s *Service) Reconcile(ctx context.Context) (asked int, err error) {
	now := s.c.Now()
	n := min(batch, int(s.pace.TokensAt(now)))
	if n == 0 {
		return 0, nil
	}
	youngest := now.Add(-min(shortest(firstDelay), s.c.Expire))
	due, err := s.st.ClaimDue(ctx, s.id, now, youngest, gateway.StatusInterval, n, func(o order.Order) time.Time {
		return s.nextQuery(&o, now)
	})
	if err != nil {
		return 0, err
	}
	s.pace.AllowN(now, len(due))

	errs := make([]error, len(due))
	var wg sync.WaitGroup
	for i, o := range due {
		wg.Go(func() {
			if _, err := s.askClaimed(ctx, o.ID, true); err != nil && !errors.Is(err, gateway.ErrNoAnswer) {
				errs[i] = err
			}
		})
	}
	wg.Wait()
	return len(due), errors.Join(errs...)
}

// firstQuery is when the reconciler asks first about a new order.
func (s *Service) firstQuery(o *order.Order) time.Time {
	return sooner(o.CreatedAt.Add(s.c.Jitter(firstDelay)), o.ExpiresAt)
}

// nextQuery is when the reconciler asks again about an order that it asks
// about now, if the answer does not end the asking.
func (s *Service) nextQuery(o *order.Order, now time.Time) time.Time {
	switch {
	case o.State == order.Expired && now.Sub(o.ExpiresAt) > giveUp:
		return time.Time{}
	case now.Before(o.ExpiresAt):
		return sooner(now.Add(s.c.Jitter(bounded(now.Sub(o.CreatedAt)))), o.ExpiresAt)
	default:
		return now.Add(s.c.Jitter(bounded(now.Sub(o.ExpiresAt))))
	}
}

func bounded(d time.Duration) time.Duration {
	return min(max(d, firstDelay), maxDelay)
}

// jitter spreads d over ±10 %.
func jitter(d time.Duration) time.Duration {
	return shortest(d) + rand.N(d/5+1)
}

// shortest is the least that jitter makes of d.
func shortest(d time.Duration) time.Duration { return d - d/10 }

func sooner(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
