package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// flush writes what g holds and ends the transaction. The COMMIT goes out only
// after every row that was decided on was written.
func (s *Store) flush(ctx context.Context, c *pgx.Conn, g *group) error {
	var writes pgx.Batch
	g.queueCreated(&writes)
	written := len(g.touched)
	g.queueUpdated(&writes, &written)
	if err := c.SendBatch(ctx, &writes).Close(); err != nil {
		return err
	}
	if written != len(g.touched) {
		return fmt.Errorf("writing %d orders: %d are there", len(g.touched), written)
	}
	var end pgx.Batch
	if told := slices.Concat(notices(g.created), notices(g.updates)); len(told) > 0 {
		end.Queue(notify, s.channel, payloads(*s.node.Load(), told))
	}
	var answer string
	end.Queue("COMMIT").Exec(func(tag pgconn.CommandTag) error {
		answer = tag.String()
		return nil
	})
	switch err := c.SendBatch(ctx, &end).Close(); {
	case err != nil && c.IsClosed():
		s.rename()
		return fmt.Errorf("%w: %w", errUnknown, err)
	case err != nil:
		return err
	case answer != "COMMIT":
		return fmt.Errorf("committing: the server answered %s", answer)
	}
	return nil
}

// notices are those of ops, in their order.
func notices(ops []*op) (list []store.Notice) {
	for _, o := range ops {
		if o.notice != nil {
			list = append(list, *o.notice)
		}
	}
	return list
}

const insertOrders = `INSERT INTO orders (` + orderColumns + `, next_query, history)
	SELECT * FROM unnest(
		$1::text[], $2::text[], $3::smallint[], $4::bool[], $5::text[], $6::bigint[], $7::text[],
		$8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::bool[],
		$17::bigint[], $18::bigint[], $19::bigint[], $20::text[], $21::bigint[], $22::bigint[], $23::bigint[], $24::bigint[], $25::text[],
		$26::text[], $27::bigint[], $28::text[])
	ON CONFLICT (id) DO NOTHING RETURNING id`

// queueCreated queues the new orders. Those whose id is taken get ErrExists,
// the others their notice.
func (g *group) queueCreated(b *pgx.Batch) {
	if len(g.created) == 0 {
		return
	}
	text := func(field func(o *order.Order) string) []string {
		return column(g.created, func(o *op) string { return clean(field(o.create)) })
	}
	number := func(field func(o *order.Order) int64) []int64 {
		return column(g.created, func(o *op) int64 { return field(o.create) })
	}
	flag := func(field func(o *order.Order) bool) []bool {
		return column(g.created, func(o *op) bool { return field(o.create) })
	}
	b.Queue(insertOrders,
		column(g.created, func(o *op) string { return o.create.ID }),
		text(func(o *order.Order) string { return o.Shop }),
		column(g.created, func(o *op) int16 { return int16(o.create.State) }),
		flag(func(o *order.Order) bool { return o.Late }),
		column(g.created, func(o *op) string { return encodeLines(o.create.Lines) }),
		number(func(o *order.Order) int64 { return int64(o.Total) }),
		text(func(o *order.Order) string { return o.Title }),
		text(func(o *order.Order) string { return o.Buyer.Name }),
		text(func(o *order.Order) string { return o.Buyer.Email }),
		text(func(o *order.Order) string { return o.Buyer.Tel }),
		text(func(o *order.Order) string { return o.Buyer.Address }),
		text(func(o *order.Order) string { return o.Buyer.Note }),
		text(func(o *order.Order) string { return o.OrderUID }),
		text(func(o *order.Order) string { return o.Language }),
		text(func(o *order.Order) string { return o.Client }),
		flag(func(o *order.Order) bool { return o.Test }),
		number(func(o *order.Order) int64 { return ms(o.CreatedAt) }),
		number(func(o *order.Order) int64 { return ms(o.ExpiresAt) }),
		number(func(o *order.Order) int64 { return ms(o.PaidAt) }),
		text(func(o *order.Order) string { return o.Note }),
		number(func(o *order.Order) int64 { return ms(o.ShippedAt) }),
		number(func(o *order.Order) int64 { return ms(o.RefundedAt) }),
		number(func(o *order.Order) int64 { return ms(o.AskedAt) }),
		number(func(o *order.Order) int64 { return ms(o.AnsweredAt) }),
		text(func(o *order.Order) string { return o.Answer }),
		column(g.created, func(o *op) string { return encodePayments(o.payments) }),
		column(g.created, func(o *op) int64 { return ms(o.firstQuery) }),
		column(g.created, func(o *op) string { return encodeHistory(o.create.History) }),
	).Query(func(rows pgx.Rows) error {
		there := make(map[string]bool, len(g.created))
		if err := each(rows, func(cr pgx.CollectableRow) error {
			var id string
			err := cr.Scan(&id)
			there[id] = true
			return err
		}); err != nil {
			return err
		}
		for _, o := range g.created {
			if !there[o.id] {
				o.err = store.ErrExists
				continue
			}
			o.notice = &store.Notice{Shop: o.shop, ID: o.id, State: o.create.State, Was: o.create.State, New: true}
		}
		return nil
	})
}

// queueUpdated queues all that the updates write. Once the batch was run,
// written is how many orders it found.
func (g *group) queueUpdated(b *pgx.Batch, written *int) {
	if len(g.touched) == 0 {
		return
	}
	t := g.touched
	b.Queue(`UPDATE orders SET state = u.state, late = u.late, note = u.note, paid_at = u.paid, shipped_at = u.shipped,
			refunded_at = u.refunded, answered_at = u.answered, answer = u.answer, payments = u.payments,
			next_query = u.next, history = history || u.more
		FROM unnest($1::text[], $2::smallint[], $3::bool[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
			$9::text[], $10::text[], $11::bigint[], $12::text[])
			AS u (id, state, late, note, paid, shipped, refunded, answered, answer, payments, next, more)
		WHERE orders.id = u.id AND orders.id = ANY($1)`, // ANY: else a plan made while the table was small may scan it
		column(t, func(r *row) string { return r.ID }),
		column(t, func(r *row) int16 { return int16(r.State) }),
		column(t, func(r *row) bool { return r.Late }),
		column(t, func(r *row) string { return r.Note }),
		column(t, func(r *row) int64 { return ms(r.PaidAt) }),
		column(t, func(r *row) int64 { return ms(r.ShippedAt) }),
		column(t, func(r *row) int64 { return ms(r.RefundedAt) }),
		column(t, func(r *row) int64 { return ms(r.AnsweredAt) }),
		column(t, func(r *row) string { return r.Answer }),
		column(t, func(r *row) string { return encodePayments(r.Payments) }),
		column(t, func(r *row) int64 { return r.nextQuery }),
		column(t, func(r *row) string { return r.history }),
	).Exec(func(tag pgconn.CommandTag) error {
		*written = int(tag.RowsAffected())
		return nil
	})
	g.queuePayids(b)
	g.queueEvents(b)
}

func (g *group) queuePayids(b *pgx.Batch) {
	if len(g.payids) == 0 {
		return
	}
	b.Queue("INSERT INTO payids (shop, payid, order_id) SELECT * FROM unnest($1::text[], $2::text[], $3::text[])",
		column(g.payids, func(h holder) string { return h.shop }),
		column(g.payids, func(h holder) string { return h.payid }),
		column(g.payids, func(h holder) string { return g.holders[h] }),
	)
}

func (g *group) queueEvents(b *pgx.Batch) {
	if len(g.events) > 0 {
		b.Queue(`INSERT INTO events (id, shop, order_id, type, at, payload)
			SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bytea[])`,
			column(g.events, func(e eventRow) string { return clean(e.ID) }),
			column(g.events, func(e eventRow) string { return e.shop }),
			column(g.events, func(e eventRow) string { return e.orderID }),
			column(g.events, func(e eventRow) string { return clean(e.Type) }),
			column(g.events, func(e eventRow) int64 { return ms(e.At) }),
			column(g.events, func(e eventRow) []byte { return append([]byte{}, e.Payload...) }),
		)
	}
	if len(g.deliveries) > 0 {
		b.Queue(`INSERT INTO deliveries (event_id, shop, order_id, target, next_at, created_at)
			SELECT event_id, shop, order_id, target, at, at FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[])
			WITH ORDINALITY AS u (event_id, shop, order_id, target, at, n) ORDER BY n`,
			column(g.deliveries, func(d deliveryRow) string { return clean(d.ID) }),
			column(g.deliveries, func(d deliveryRow) string { return d.shop }),
			column(g.deliveries, func(d deliveryRow) string { return d.orderID }),
			column(g.deliveries, func(d deliveryRow) string { return d.target }),
			column(g.deliveries, func(d deliveryRow) int64 { return ms(d.At) }),
		)
	}
}
