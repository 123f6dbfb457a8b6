package merchant

import (
	"context"
	"errors"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// Notice tells of a new order or a changed state, with the order as it stood
// when the notice was read.
type Notice struct {
	store.Notice
	Order *order.Order `json:"order"`
}

// Feed calls begun once nothing can be missed any more, and then fn for every
// notice of the shop ("": of all shops), until ctx is done, which is no error,
// or one of them fails. Whoever is slow misses some all the same.
func (d *Desk) Feed(ctx context.Context, shop string, begun func() error, fn func(Notice) error) error {
	notices, stop := d.Store.Feed()
	defer stop()
	if err := begun(); err != nil {
		return err
	}
	for {
		var n store.Notice
		select {
		case <-ctx.Done():
			return nil
		case n = <-notices:
		}
		if shop != "" && n.Shop != shop {
			continue
		}
		o, err := d.Store.Order(ctx, n.Shop, n.ID)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, store.ErrNotFound) { // deleted meanwhile
			continue
		}
		if err != nil {
			return err
		}
		if err := fn(Notice{n, o}); err != nil {
			return err
		}
	}
}
