package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// Order implements [store.Orders]. A change by another node may show a moment
// later, or after trust if the connection that listens is dead without a sign.
func (s *Store) Order(ctx context.Context, shop, id string) (*order.Order, error) {
	known := s.hears() // at first: once all are forgotten it may be true again
	o, ticket := s.recent.Get(id)
	if o == nil || !known || ctx.Err() != nil {
		var err error
		if o, _, err = s.order(ctx, id); err != nil {
			return nil, err
		}
		s.recent.Put(o, ticket)
	}
	if o.Shop != shop {
		return nil, store.ErrNotFound
	}
	return o, nil
}

// order reads an order of any shop, and its history as it is stored.
func (s *Store) order(ctx context.Context, id string) (*order.Order, string, error) {
	var o order.Order
	var history string
	err := s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		if !storable(id) {
			return store.ErrNotFound
		}
		rows, err := c.Query(ctx, "SELECT "+orderColumns+", history FROM orders WHERE id = $1", id)
		if err != nil {
			return err
		}
		o, err = pgx.CollectExactlyOneRow(rows, func(cr pgx.CollectableRow) (order.Order, error) { return scanOrder(cr, &history) })
		if errors.Is(err, pgx.ErrNoRows) {
			return store.ErrNotFound
		}
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return &o, history, nil
}

// KeepOrphan implements [store.Orders].
func (s *Store) KeepOrphan(ctx context.Context, o store.Orphan) (fresh bool, err error) {
	err = s.write(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		var seen int
		err := c.QueryRow(ctx, `INSERT INTO orphans AS o (shop, payid, orderid, paymoney, realpay, orderuid, at)
			VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (shop, payid, orderid, paymoney, realpay) DO UPDATE SET seen = o.seen + 1
			RETURNING seen`,
			clean(o.Shop), clean(o.PayID), clean(o.OrderID), clean(o.PayMoney), clean(o.RealPay), clean(o.OrderUID), ms(o.At)).Scan(&seen)
		fresh = seen == 1
		return err
	})
	return fresh && err == nil, err
}
