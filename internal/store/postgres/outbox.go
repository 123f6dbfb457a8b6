package postgres

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/caddy-checkout/checkout/internal/store"
)

// deliveryColumns are what scanDelivery reads, of deliveries d and events e.
const deliveryColumns = `d.id, d.shop, d.order_id, d.event_id, e.type, d.target, d.state, d.attempts, d.next_at, d.created_at, e.payload`

func scanDelivery(row pgx.CollectableRow, more ...any) (store.Delivery, error) {
	var d store.Delivery
	var id, next, created int64
	err := row.Scan(append([]any{
		&id, &d.Shop, &d.OrderID, &d.EventID, &d.Type, &d.Target, &d.State, &d.Attempts, &next, &created, &d.Payload,
	}, more...)...)
	d.ID, d.CreatedAt = strconv.FormatInt(id, 10), at(created)
	if d.State == store.DeliveryPending {
		d.NextAt = at(next)
	}
	return d, err
}

const selectDeliveriesWithLog = "SELECT " + deliveryColumns + ", d.log FROM deliveries d JOIN events e ON e.id = d.event_id "

func scanDeliveryWithLog(row pgx.CollectableRow) (store.Delivery, error) {
	var log string
	d, err := scanDelivery(row, &log)
	if err == nil {
		d.Log, err = decodeAll[store.Attempt](log)
	}
	return d, err
}

// deliveryID is the inverse of what scanDelivery does to an id.
func deliveryID(id string) (int64, error) {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != id {
		return 0, store.ErrNotFound
	}
	return n, nil
}

// ClaimDeliveries implements [store.Outbox]. Of many that are due, those due
// for longest are taken. Deliveries that another node is claiming are passed
// over.
func (s *Store) ClaimDeliveries(ctx context.Context, target string, now time.Time, lease time.Duration, n int) (got []store.Delivery, err error) {
	err = s.write(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, `
			UPDATE deliveries d SET next_at = $3 FROM events e
			WHERE e.id = d.event_id AND d.id = ANY(ARRAY(
				SELECT id FROM deliveries d
				WHERE target = $1 AND state = 'pending' AND next_at <= $2 AND NOT EXISTS (
					SELECT FROM deliveries older
					WHERE older.target = d.target AND older.order_id = d.order_id AND older.state = 'pending' AND older.id < d.id)
				ORDER BY next_at, id LIMIT $4 FOR UPDATE SKIP LOCKED))
			RETURNING `+deliveryColumns, clean(target), ms(now), ms(now.Add(lease)), n)
		if err != nil {
			return err
		}
		got, err = pgx.CollectRows(rows, func(cr pgx.CollectableRow) (store.Delivery, error) { return scanDelivery(cr) })
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(got, func(a, b store.Delivery) int {
		if n := len(a.ID) - len(b.ID); n != 0 {
			return n
		}
		return strings.Compare(a.ID, b.ID)
	})
	return got, nil
}

// RecordAttempt implements [store.Outbox].
func (s *Store) RecordAttempt(ctx context.Context, id string, a store.Attempt, state string, next time.Time) error {
	return s.deliver(ctx, id, `UPDATE deliveries SET attempts = attempts + 1, log = log || $2,
			state = CASE WHEN state = 'pending' THEN $3 ELSE state END,
			next_at = CASE WHEN state = 'pending' THEN $4 ELSE next_at END
		WHERE id = $1`, encodeLog(a), clean(state), ms(next))
}

// Redeliver implements [store.Outbox].
func (s *Store) Redeliver(ctx context.Context, id string, now time.Time) error {
	return s.deliver(ctx, id, "UPDATE deliveries SET state = 'pending', next_at = $2 WHERE id = $1", ms(now))
}

// deliver runs an UPDATE of one delivery.
func (s *Store) deliver(ctx context.Context, id, sql string, args ...any) error {
	return s.write(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		n, err := deliveryID(id)
		if err != nil {
			return err
		}
		tag, err := c.Exec(ctx, sql, append([]any{n}, args...)...)
		if err == nil && tag.RowsAffected() == 0 {
			err = store.ErrNotFound
		}
		return err
	})
}

// PendingTargets implements [store.Outbox].
func (s *Store) PendingTargets(ctx context.Context) (targets []string, err error) {
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, "SELECT DISTINCT target FROM deliveries WHERE state = 'pending'")
		if err != nil {
			return err
		}
		targets, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	return targets, err
}
