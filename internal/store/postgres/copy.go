package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// The table unfinished_copy is there from BeginImport to EndImport and holds
// the mark.

var errUnfinished = errors.New("the database holds an unfinished copy of another store; finish it with caddy checkout migrate-store")

// refuseUnfinished fails if a copy into the database was begun and not ended.
func (s *Store) refuseUnfinished(ctx context.Context) error {
	return s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		there, err := hasTable(ctx, c, "unfinished_copy")
		if err == nil && there {
			err = errUnfinished
		}
		return err
	})
}

// BeginImport implements [store.Importer].
func (s *Store) BeginImport(ctx context.Context) (mark string, err error) {
	var filled bool
	err = s.write(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		return inTx(ctx, c, func(tx pgx.Tx) error {
			const none = "SELECT EXISTS (SELECT FROM orders) OR EXISTS (SELECT FROM orphans) OR EXISTS (SELECT FROM balances)"
			if _, err := tx.Exec(ctx, "LOCK TABLE orders IN SHARE ROW EXCLUSIVE MODE"); err != nil { // one at a time
				return err
			}
			begun, err := hasTable(ctx, tx, "unfinished_copy")
			if err != nil {
				return err
			}
			if begun {
				return tx.QueryRow(ctx, "SELECT mark FROM unfinished_copy").Scan(&mark)
			}
			if err := tx.QueryRow(ctx, none).Scan(&filled); err != nil || filled {
				return err
			}
			_, err = tx.Exec(ctx, "CREATE TABLE unfinished_copy AS SELECT ''::text AS mark")
			return err
		})
	})
	if err == nil && filled {
		err = store.ErrNotEmpty
	}
	return mark, err
}

// Import implements [store.Importer].
func (s *Store) Import(ctx context.Context, batch store.Batch, from, to string) error {
	err := s.use(ctx, readTimeout, context.WithoutCancel, func(ctx context.Context, c *pgxpool.Conn) error {
		return inTx(ctx, c, func(tx pgx.Tx) error { return importTx(ctx, tx, batch, from, to) })
	})
	if errors.Is(err, store.ErrMarkMoved) {
		return store.ErrMarkMoved
	}
	return err
}

func importTx(ctx context.Context, tx pgx.Tx, batch store.Batch, from, to string) error {
	tag, err := tx.Exec(ctx, "UPDATE unfinished_copy SET mark = $2 WHERE mark = $1", from, to)
	if err != nil {
		return err
	}
	if tag.RowsAffected() != 1 {
		return store.ErrMarkMoved
	}
	var b pgx.Batch
	orders := queueRecords(&b, batch.Records)
	queueOrphans(&b, batch.Orphans)
	queueQuestions(&b, batch.Questions)
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return err
	}
	for _, o := range orders {
		if o.err != nil {
			return fmt.Errorf("order %s: %w", o.id, o.err)
		}
	}
	return nil
}

// queueRecords queues the writing of orders as a group writes them, apart from
// their deliveries, which have a past. The orders whose id is taken get an
// error.
func queueRecords(b *pgx.Batch, records []store.Record) []*op {
	g := &group{holders: make(map[holder]string)}
	var deliveries []store.Delivery
	for i := range records {
		r := &records[i]
		o := &r.Order
		g.created = append(g.created, &op{create: o, firstQuery: r.NextQuery, payments: o.Payments, shop: o.Shop, id: o.ID})
		for _, p := range o.Payments {
			if p.PayID != "" {
				key := holder{o.Shop, p.PayID}
				g.holders[key] = o.ID
				g.payids = append(g.payids, key)
			}
		}
		for _, e := range r.Events {
			g.events = append(g.events, eventRow{e, o.Shop, o.ID})
		}
		deliveries = append(deliveries, r.Deliveries...)
	}
	g.queueCreated(b)
	g.queuePayids(b)
	g.queueEvents(b)
	if len(deliveries) > 0 {
		b.Queue(`INSERT INTO deliveries (id, event_id, shop, order_id, target, state, attempts, next_at, created_at, log) OVERRIDING SYSTEM VALUE
			SELECT * FROM unnest($1::text[]::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::integer[], $8::bigint[], $9::bigint[], $10::text[])`,
			column(deliveries, func(d store.Delivery) string { return d.ID }),
			column(deliveries, func(d store.Delivery) string { return d.EventID }),
			column(deliveries, func(d store.Delivery) string { return d.Shop }),
			column(deliveries, func(d store.Delivery) string { return d.OrderID }),
			column(deliveries, func(d store.Delivery) string { return d.Target }),
			column(deliveries, func(d store.Delivery) string { return d.State }),
			column(deliveries, func(d store.Delivery) int { return d.Attempts }),
			column(deliveries, func(d store.Delivery) int64 { return ms(d.NextAt) }),
			column(deliveries, func(d store.Delivery) int64 { return ms(d.CreatedAt) }),
			column(deliveries, func(d store.Delivery) string { return encodeLog(d.Log...) }),
		)
	}
	return g.created
}

func queueOrphans(b *pgx.Batch, orphans []store.Orphan) {
	for _, o := range orphans {
		b.Queue(`INSERT INTO orphans (id, shop, payid, orderid, paymoney, realpay, orderuid, at, seen) OVERRIDING SYSTEM VALUE
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			o.ID, o.Shop, o.PayID, o.OrderID, o.PayMoney, o.RealPay, o.OrderUID, ms(o.At), o.Seen)
	}
}

func queueQuestions(b *pgx.Batch, questions []store.Question) {
	for _, q := range questions {
		b.Queue("INSERT INTO balances (merchant, asked_at, amount, at) VALUES ($1, $2, $3, $4)", q.Merchant, ms(q.AskedAt), q.Amount, ms(q.At))
	}
}

// EndImport implements [store.Importer].
func (s *Store) EndImport(ctx context.Context) error {
	var b pgx.Batch
	for _, table := range []string{"deliveries", "orphans"} {
		b.Queue("SELECT setval(pg_get_serial_sequence($1, 'id'), max(id)) FROM "+table, table)
	}
	b.Queue("ANALYZE orders, payids, events, deliveries, orphans")
	b.Queue("DROP TABLE unfinished_copy")
	return s.use(ctx, readTimeout, context.WithoutCancel, func(ctx context.Context, c *pgxpool.Conn) error {
		return inTx(ctx, c, func(tx pgx.Tx) error { return tx.SendBatch(ctx, &b).Close() })
	})
}

// Export implements [store.Exporter].
func (s *Store) Export(ctx context.Context, after string, n int) (page []store.Record, err error) {
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, "SELECT "+orderColumns+", next_query, history FROM orders WHERE id > $1 ORDER BY id LIMIT $2", after, n)
		if err != nil {
			return err
		}
		if page, err = pgx.CollectRows(rows, scanRecord); err != nil {
			return err
		}
		place := make(map[string]*store.Record, len(page))
		for i := range page {
			place[page[i].Order.ID] = &page[i]
		}
		ids := column(page, func(r store.Record) string { return r.Order.ID })
		var b pgx.Batch
		b.Queue("SELECT order_id, id, type, at, payload FROM events WHERE order_id = ANY($1) ORDER BY id", ids).Query(func(rows pgx.Rows) error {
			return each(rows, func(cr pgx.CollectableRow) error {
				var e store.Event
				var id string
				var ms int64
				err := cr.Scan(&id, &e.ID, &e.Type, &ms, &e.Payload)
				e.At = at(ms)
				if r := place[id]; r != nil {
					r.Events = append(r.Events, e)
				}
				return err
			})
		})
		b.Queue(selectDeliveriesWithLog+"WHERE d.order_id = ANY($1) ORDER BY d.id", ids).Query(func(rows pgx.Rows) error {
			return each(rows, func(cr pgx.CollectableRow) error {
				d, err := scanDeliveryWithLog(cr)
				if r := place[d.OrderID]; r != nil {
					r.Deliveries = append(r.Deliveries, d)
				}
				return err
			})
		})
		return c.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return nil, err
	}
	return page, nil
}

func scanRecord(cr pgx.CollectableRow) (r store.Record, err error) {
	var next int64
	var history string
	if r.Order, err = scanOrder(cr, &next, &history); err != nil {
		return r, err
	}
	r.NextQuery = at(next)
	r.Order.History, err = decodeAll[order.Entry](history)
	return r, err
}

// ExportQuestions implements [store.Exporter].
func (s *Store) ExportQuestions(ctx context.Context) (all []store.Question, err error) {
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, "SELECT merchant, asked_at, amount, at FROM balances ORDER BY merchant")
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, func(cr pgx.CollectableRow) (q store.Question, err error) {
			var asked, ms int64
			err = cr.Scan(&q.Merchant, &asked, &q.Amount, &ms)
			q.AskedAt, q.At = at(asked), at(ms)
			return q, err
		})
		return err
	})
	return all, err
}

var _ store.Importer = (*Store)(nil)
