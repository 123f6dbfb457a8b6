// Package merchant is the merchant's side of all shops of a Caddy: see,
// search, export, repair. The admin API and the back office are two doors to
// it.
package merchant

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/payment"
	"github.com/caddy-checkout/checkout/internal/store"
)

// MaxPage is the most rows of one page of a list.
const MaxPage = 500

// maxWho is the most bytes of a name in the history.
const maxWho = 100

var (
	// ErrNoShop is wrapped where an order's shop is not in the configuration,
	// so that nobody can act for it.
	ErrNoShop = errors.New("no such shop in the configuration")

	// ErrWho is wrapped where a name cannot stand in the history.
	ErrWho = errors.New("not a name for the history")
)

// Desk serves the merchant. It is safe for concurrent use.
type Desk struct {
	Store store.Store
	Shops map[string]*payment.Service // by identity
	Wake  func()                      // makes the outbox look for what is due; may be nil
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
	return &Detail{o, present(deliveries)}, nil
}

// Orders returns a page of orders, newest first, at most MaxPage, and the
// cursor of the next page. A cursor that is none wraps ErrQuery.
func (d *Desk) Orders(ctx context.Context, f store.Filter, cursor string, n int) ([]order.Order, string, error) {
	page, next, err := d.Store.List(ctx, f, cursor, min(n, MaxPage))
	return present(page), next, listError(err, cursor)
}

// Deliveries returns a page of deliveries, newest first, as Orders does. An
// empty shop or state does not filter.
func (d *Desk) Deliveries(ctx context.Context, shop, state, cursor string, n int) ([]store.Delivery, string, error) {
	page, next, err := d.Store.Deliveries(ctx, shop, state, cursor, min(n, MaxPage))
	return present(page), next, listError(err, cursor)
}

// Orphans returns a page of verified notifies that fit no order, newest first,
// as Orders does.
func (d *Desk) Orphans(ctx context.Context, shop, cursor string, n int) ([]store.Orphan, string, error) {
	page, next, err := d.Store.Orphans(ctx, shop, cursor, min(n, MaxPage))
	return present(page), next, listError(err, cursor)
}

// present returns an empty list for none, so that it is [] in JSON.
func present[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// listError takes an error of a list for a bad cursor where it can be nothing
// else: stores wrap ErrUnavailable in all that is not the caller's fault.
func listError(err error, cursor string) error {
	if err == nil || cursor == "" || errors.Is(err, store.ErrUnavailable) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w: cursor: take next of the page before, unchanged", ErrQuery)
}

// Summary is what was sold in a time.
type Summary struct {
	*store.Summary
	Zone string `json:"zone"` // of the days, like "CST" or "UTC"
}

// Summary counts orders by day of creation in loc. An empty shop, from or to
// does not filter.
func (d *Desk) Summary(ctx context.Context, shop string, from, to time.Time, loc *time.Location) (*Summary, error) {
	s, err := d.Store.Summarize(ctx, shop, from, to, loc)
	if err != nil {
		return nil, err
	}
	s.Days, s.Products = present(s.Days), present(s.Products)
	zone, _ := time.Now().In(loc).Zone()
	return &Summary{s, zone}, nil
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
// less than a minute ago. An error that wraps gateway.ErrNoAnswer changed
// nothing.
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
// package payment, store.ErrNotFound, ErrNoShop and ErrWho.
func (d *Desk) Decide(ctx context.Context, a Action, id, who, reason string) (*order.Order, error) {
	if err := checkWho(who); err != nil {
		return nil, err
	}
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

// checkWho refuses names that the history could not be read with.
func checkWho(who string) error {
	switch {
	case strings.TrimSpace(who) == "":
		return fmt.Errorf("%w: who is empty", ErrWho)
	case len(who) > maxWho:
		return fmt.Errorf("%w: who has %d bytes, at most %d are kept", ErrWho, len(who), maxWho)
	case !utf8.ValidString(who) || strings.ContainsFunc(who, unicode.IsControl):
		return fmt.Errorf("%w: who holds a control character or is no UTF-8", ErrWho)
	case slices.Contains([]string{order.SourceNotify, order.SourceQuery, order.SourceClock, order.SourceBuyer}, who):
		return fmt.Errorf("%w: %q stands for what no person did", ErrWho, who)
	}
	return nil
}

// Balance is what one merchant account holds.
type Balance struct {
	Shop string `json:"shop"` // one of those that are paid into it
	store.Balance
	Error string `json:"error,omitempty"` // why there is no newer one
}

// Balances returns the balance of every shop by identity, asking gateways
// where that is allowed.
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
	slices.SortFunc(balances, func(a, b Balance) int { return cmp.Compare(a.Shop, b.Shop) })
	return balances
}

// Redeliver makes a delivery due now, whatever became of it.
func (d *Desk) Redeliver(ctx context.Context, id string, now time.Time) error {
	if err := d.Store.Redeliver(ctx, id, now); err != nil {
		return err
	}
	if d.Wake != nil {
		d.Wake()
	}
	return nil
}
