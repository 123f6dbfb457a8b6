package postgres

import (
	"context"

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

// order reads an order of any shop with its payments, and its history as it is
// stored.
func (s *Store) order(ctx context.Context, id string) (o *order.Order, history string, err error) {
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		if !storable(id) {
			return store.ErrNotFound
		}
		var b pgx.Batch
		b.Queue("SELECT "+orderColumns+", history FROM orders WHERE id = $1", id).Query(func(rows pgx.Rows) error {
			return each(rows, func(cr pgx.CollectableRow) error {
				got, err := scanOrder(cr, &history)
				o = &got
				return err
			})
		})
		b.Queue("SELECT "+paymentColumns+" FROM payments WHERE order_id = $1 ORDER BY seq", id).Query(func(rows pgx.Rows) error {
			return each(rows, func(cr pgx.CollectableRow) error {
				p, err := scanPayment(cr)
				if o != nil {
					o.Payments = append(o.Payments, p.Payment)
				}
				return err
			})
		})
		if err := c.SendBatch(ctx, &b).Close(); err != nil {
			return err
		}
		if o == nil {
			return store.ErrNotFound
		}
		return nil
	})
	return o, history, err
}

// addPayments reads the payments of orders.
func addPayments(ctx context.Context, q interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}, orders []order.Order) error {
	if len(orders) == 0 {
		return nil
	}
	byID := make(map[string]*order.Order, len(orders))
	for i := range orders {
		byID[orders[i].ID] = &orders[i]
	}
	rows, err := q.Query(ctx, "SELECT "+paymentColumns+" FROM payments WHERE order_id = ANY($1) ORDER BY seq",
		column(orders, func(o order.Order) string { return o.ID }))
	if err != nil {
		return err
	}
	return each(rows, func(cr pgx.CollectableRow) error {
		p, err := scanPayment(cr)
		if o := byID[p.orderID]; o != nil {
			o.Payments = append(o.Payments, p.Payment)
		}
		return err
	})
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
