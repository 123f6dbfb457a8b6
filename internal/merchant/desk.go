// Package merchant is the merchant's side of all shops of a Caddy: see,
// search, export, repair. The admin API and the back office are two doors to
// it.
package merchant

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/payment"
	"github.com/caddy-checkout/checkout/internal/store"
)

// MaxPage is the most rows of one page of a list.
const MaxPage = 500

// ErrNoShop is wrapped where an order's shop is not in the configuration, so
// that nobody can act for it.
var ErrNoShop = errors.New("no such shop in the configuration")

// Desk serves the merchant. It is safe for concurrent use.
type Desk struct {
	Store store.Store
	Shops map[string]*payment.Service // by identity
}

// Detail is an order with all that is known of it.
type Detail struct {
	*order.Order
	Deliveries []store.Delivery `json:"deliveries"`
}

// Order returns one order. store.ErrNotFound.
func (d *Desk) Order(ctx context.Context, id string) (*Detail, error) {
	if !order.ValidID(id) {
		return nil, store.ErrNotFound
	}
	o, deliveries, err := d.Store.Detail(ctx, id)
	if err != nil {
		return nil, err
	}
	return &Detail{o, deliveries}, nil
}

// Orders returns a page of orders, newest first, at most MaxPage, and the
// cursor of the next page.
func (d *Desk) Orders(ctx context.Context, f store.Filter, cursor string, n int) ([]order.Order, string, error) {
	return d.Store.List(ctx, f, cursor, min(n, MaxPage))
}

// service returns the order's shop.
func (d *Desk) service(ctx context.Context, id string) (*payment.Service, error) {
	o, err := d.Order(ctx, id)
	if err != nil {
		return nil, err
	}
	s := d.Shops[o.Shop]
	if s == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoShop, o.Shop)
	}
	return s, nil
}

// Refresh asks the gateway about the order. asked is false when it was asked
// less than a minute ago.
func (d *Desk) Refresh(ctx context.Context, id string) (o *order.Order, asked bool, err error) {
	s, err := d.service(ctx, id)
	if err != nil {
		return nil, false, err
	}
	return s.Refresh(ctx, id)
}

// Action is what a person decides about an order.
type Action string

// The actions. All require a reason and are idempotent.
const (
	Confirm Action = "confirm"  // takes an order in review as paid
	Ship    Action = "shipped"  // marks a paid order as shipped
	Refund  Action = "refunded" // marks an order as refunded
)

// Decide does what who decided, for the reason given. Errors are those of
// package payment, store.ErrNotFound and ErrNoShop.
func (d *Desk) Decide(ctx context.Context, a Action, id, who, reason string) (*order.Order, error) {
	s, err := d.service(ctx, id)
	if err != nil {
		return nil, err
	}
	switch a {
	case Confirm:
		return s.Confirm(ctx, id, who, reason)
	case Ship:
		return s.Ship(ctx, id, who, reason)
	case Refund:
		return s.Refund(ctx, id, who, reason)
	}
	return nil, fmt.Errorf("unknown action %q: use confirm, shipped or refunded", a)
}

// Balance is what one merchant account holds.
type Balance struct {
	Shop string `json:"shop"` // one of those that are paid into it
	store.Balance
	Error string `json:"error,omitempty"` // why there is no newer one
}

// Balances returns the balance of every shop, asking gateways where that is
// allowed.
func (d *Desk) Balances(ctx context.Context) []Balance {
	balances := make([]Balance, 0, len(d.Shops))
	for id, s := range d.Shops {
		b, err := s.Balance(ctx)
		if errors.Is(err, store.ErrNotFound) {
			err = errors.New("not known yet")
		}
		row := Balance{Shop: id, Balance: b}
		if err != nil {
			row.Error = err.Error()
		}
		balances = append(balances, row)
	}
	return balances
}

// Redeliver makes a delivery due now, whatever became of it.
func (d *Desk) Redeliver(ctx context.Context, id string, now time.Time) error {
	return d.Store.Redeliver(ctx, id, now)
}
