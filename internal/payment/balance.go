package payment

import (
	"context"
	"errors"

	"github.com/caddy-checkout/checkout/internal/gateway"
	"github.com/caddy-checkout/checkout/internal/store"
)

// Balance returns the last known balance of the merchant, after asking the
// gateway where that is allowed. It returns store.ErrNotFound before the first
// answer, and an error that wraps gateway.ErrNoAnswer where the gateway had to
// be asked but did not answer.
func (s *Service) Balance(ctx context.Context) (store.Balance, error) {
	merchant := s.c.UID + "@" + s.c.GatewayBase
	now := s.c.Now()
	granted, err := s.st.ClaimBalance(ctx, merchant, now, gateway.BalanceInterval)
	if err != nil {
		return store.Balance{}, err
	}
	if !granted {
		return s.st.Balance(ctx, merchant)
	}
	amount, err := s.c.Gateway.Balance(ctx, now)
	if err != nil {
		known, missing := s.st.Balance(ctx, merchant)
		return known, errors.Join(err, missing)
	}
	b := store.Balance{Merchant: merchant, Amount: amount, At: now}
	if err := s.st.SaveBalance(ctx, b); err != nil {
		return store.Balance{}, err
	}
	s.c.Observer.BalanceKnown(amount, now)
	return b, nil
}
