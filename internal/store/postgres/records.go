package postgres

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// Detail implements [store.Records].
func (s *Store) Detail(ctx context.Context, id string) (*order.Order, []store.Delivery, error) {
	o, history, err := s.order(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	if o.History, err = decodeAll[order.Entry](history); err != nil {
		return nil, nil, unavailable(fmt.Errorf("%w: %w", store.ErrCorrupt, err))
	}
	var deliveries []store.Delivery
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, selectDeliveriesWithLog+"WHERE d.order_id = $1 ORDER BY d.id", id)
		if err != nil {
			return err
		}
		deliveries, err = pgx.CollectRows(rows, scanDeliveryWithLog)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return o, deliveries, nil
}

// conditions are those of a WHERE, with their arguments. A copy may go its own
// way.
type conditions struct {
	sql  string
	args []any
}

// and adds a condition in which each ? stands for the next of args.
func (w *conditions) and(sql string, args ...any) {
	if w.sql == "" {
		w.sql = " WHERE "
	} else {
		w.sql += " AND "
	}
	for _, a := range args {
		sql = strings.Replace(sql, "?", w.arg(a), 1)
	}
	w.sql += sql
}

// arg adds an argument and returns what stands for it.
func (w *conditions) arg(v any) string {
	w.args = append(slices.Clip(w.args), v)
	return "$" + strconv.Itoa(len(w.args))
}

// Deliveries implements [store.Records].
func (s *Store) Deliveries(ctx context.Context, shop, state, cursor string, n int) ([]store.Delivery, string, error) {
	return byID(ctx, s, shop, cursor, n, "SELECT "+deliveryColumns+" FROM deliveries d JOIN events e ON e.id = d.event_id", "d.",
		func(w *conditions) {
			switch state {
			case "":
			case store.DeliveryPending, store.DeliveryDone, store.DeliveryFailed, store.DeliveryDisabled:
				w.and("d.state = '" + state + "'") // a constant: the planner must see which index holds it
			default:
				w.and("false")
			}
		},
		func(cr pgx.CollectableRow) (store.Delivery, error) { return scanDelivery(cr) },
		func(d store.Delivery) string { return d.ID })
}

// Orphans implements [store.Records].
func (s *Store) Orphans(ctx context.Context, shop, cursor string, n int) ([]store.Orphan, string, error) {
	return byID(ctx, s, shop, cursor, n, "SELECT id, shop, orderid, payid, orderuid, paymoney, realpay, at, seen FROM orphans d", "d.",
		func(*conditions) {},
		func(cr pgx.CollectableRow) (o store.Orphan, err error) {
			var id, ms int64
			err = cr.Scan(&id, &o.Shop, &o.OrderID, &o.PayID, &o.OrderUID, &o.PayMoney, &o.RealPay, &ms, &o.Seen)
			o.ID, o.At = strconv.FormatInt(id, 10), at(ms)
			return o, err
		},
		func(o store.Orphan) string { return o.ID })
}

// byID reads a page of rows by their numeric id, newest first. The cursor is
// the id of the last one.
func byID[T any](ctx context.Context, s *Store, shop, cursor string, n int, sql, alias string, more func(*conditions),
	scan func(pgx.CollectableRow) (T, error), id func(T) string,
) (page []T, next string, err error) {
	var w conditions
	if shop != "" {
		w.and(alias+"shop = ?", clean(shop))
	}
	if cursor != "" {
		last, err := strconv.ParseInt(cursor, 10, 64)
		if err != nil {
			return nil, "", errCursor
		}
		w.and(alias+"id < ?", last)
	}
	more(&w)
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, fmt.Sprintf("%s%s ORDER BY %sid DESC LIMIT %d", sql, w.sql, alias, n+1), w.args...)
		if err != nil {
			return err
		}
		page, err = pgx.CollectRows(rows, scan)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	if len(page) > n {
		page = page[:n]
		next = id(page[n-1])
	}
	return page, next, nil
}

// Stats implements [store.Records].
func (s *Store) Stats(ctx context.Context) (*store.Stats, error) {
	st := &store.Stats{
		Orders:        make(map[string]map[string]int),
		Orphans:       make(map[string]int),
		OutboxPending: make(map[string]int),
		OutboxOldest:  make(map[string]time.Time),
	}
	err := s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		var b pgx.Batch
		for _, state := range []order.State{order.Pending, order.Review} {
			b.Queue(fmt.Sprintf("SELECT shop, count(*) FROM orders WHERE state = %d GROUP BY shop", state)).Query(func(rows pgx.Rows) error {
				return each(rows, func(cr pgx.CollectableRow) error {
					var shop string
					var n int
					err := cr.Scan(&shop, &n)
					if st.Orders[shop] == nil {
						st.Orders[shop] = make(map[string]int)
					}
					st.Orders[shop][state.String()] = n
					return err
				})
			})
		}
		b.Queue("SELECT shop, count(*) FROM orphans GROUP BY shop").Query(func(rows pgx.Rows) error {
			return each(rows, func(cr pgx.CollectableRow) error {
				var shop string
				var n int
				err := cr.Scan(&shop, &n)
				st.Orphans[shop] = n
				return err
			})
		})
		b.Queue("SELECT target, count(*), min(created_at) FROM deliveries WHERE state = 'pending' GROUP BY target").Query(func(rows pgx.Rows) error {
			return each(rows, func(cr pgx.CollectableRow) error {
				var target string
				var n int
				var oldest int64
				err := cr.Scan(&target, &n, &oldest)
				st.OutboxPending[target], st.OutboxOldest[target] = n, at(oldest)
				return err
			})
		})
		return c.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return nil, err
	}
	return st, nil
}

// Purge implements [store.Records].
func (s *Store) Purge(ctx context.Context, before time.Time, n int) (purged int, err error) {
	err = s.write(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		return inTx(ctx, c, func(tx pgx.Tx) error {
			rows, err := tx.Query(ctx, `DELETE FROM orders WHERE id = ANY(ARRAY(
					SELECT id FROM orders WHERE state = 2 AND paid_at = 0 AND created_at < $1 AND payments = $2
					ORDER BY created_at LIMIT $3 FOR UPDATE SKIP LOCKED))
				RETURNING id`, msUp(before), noPayments, n)
			if err != nil {
				return err
			}
			ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil || len(ids) == 0 {
				return err
			}
			for _, table := range []string{"deliveries", "events"} {
				if _, err := tx.Exec(ctx, "DELETE FROM "+table+" WHERE order_id = ANY($1)", ids); err != nil {
					return err
				}
			}
			// Of no node: this one must hear it, too, if the answer is lost.
			if _, err := tx.Exec(ctx, "SELECT pg_notify($1, $2)", s.channel, " "+changedMore); err != nil {
				return err
			}
			purged = len(ids)
			return nil
		})
	})
	s.recent.ForgetAll()
	if err != nil {
		return 0, err
	}
	return purged, nil
}
