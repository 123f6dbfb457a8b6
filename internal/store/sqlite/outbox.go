package sqlite

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/caddy-checkout/checkout/internal/store"
)

// claimPage is how many due deliveries are looked at in one transaction.
const claimPage = 64

// ClaimDeliveries is [store.Outbox].ClaimDeliveries.
func (s *Store) ClaimDeliveries(ctx context.Context, target string, now time.Time, lease time.Duration, n int) ([]store.Delivery, error) {
	var claimed []store.Delivery
	last := int64(0)
	for len(claimed) < n {
		// What is due is looked up beside the writer, which looks again. The
		// newer ones of an order that waits for an older one are passed over.
		var page []int64
		err := s.reader(ctx).query(`SELECT n FROM deliveries INDEXED BY deliveries_due
			WHERE state = 'pending' AND target = ? AND next <= ? AND n > ? ORDER BY n LIMIT ?`,
			[]any{target, ms(now), last, max(n, claimPage)}, func(rows scanner) error {
				err := rows.Scan(&last)
				page = append(page, last)
				return err
			})
		if err != nil {
			return claimed, fmt.Errorf("finding due deliveries: %w", err)
		}
		if len(page) == 0 {
			break
		}
		some, err := s.claimDeliveries(ctx, page, now, now.Add(lease), n-len(claimed))
		if err != nil {
			return claimed, fmt.Errorf("claiming deliveries: %w", err)
		}
		claimed = append(claimed, some...)
	}
	return claimed, nil
}

// claimDeliveries claims up to n of page that are the oldest of their order.
func (s *Store) claimDeliveries(ctx context.Context, page []int64, now, until time.Time, n int) (claimed []store.Delivery, err error) {
	err = s.write(ctx, func(t *tx) error {
		claimed = nil
		for _, number := range page {
			if len(claimed) == n {
				return nil
			}
			rows, err := t.exec(`UPDATE deliveries AS d SET next = ? WHERE n = ? AND state = 'pending' AND next <= ?
				AND NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.order_id = d.order_id AND e.target = d.target AND e.n < d.n AND e.state = 'pending')`,
				ms(until), number, ms(now))
			if err != nil {
				return err
			}
			if rows == 0 {
				continue
			}
			if err := readDeliveries(t, &claimed, "WHERE d.n = ?", number); err != nil {
				return err
			}
		}
		return nil
	})
	return claimed, err
}

// readDeliveries appends the deliveries d that where picks.
func readDeliveries(q querier, list *[]store.Delivery, where string, args ...any) error {
	return q.query(`SELECT d.n, s.name, d.order_id, d.event_id, e.type, d.target, d.state, d.attempts, d.next, d.created, e.payload
		FROM deliveries d JOIN shops s ON s.n = d.shop JOIN events e ON e.order_id = d.order_id AND e.id = d.event_id `+where, args,
		func(rows scanner) error {
			var (
				d                store.Delivery
				n, next, created int64
			)
			err := rows.Scan(&n, &d.Shop, &d.OrderID, &d.EventID, &d.Type, &d.Target, &d.State, &d.Attempts, &next, &created, &d.Payload)
			d.ID, d.CreatedAt = strconv.FormatInt(n, 10), at(created)
			if d.State == store.DeliveryPending {
				d.NextAt = at(next)
			}
			*list = append(*list, d)
			return err
		})
}

// RecordAttempt is [store.Outbox].RecordAttempt. A delivery that is settled
// already keeps its state.
func (s *Store) RecordAttempt(ctx context.Context, deliveryID string, a store.Attempt, state string, next time.Time) error {
	err := s.write(ctx, func(t *tx) error {
		n, err := deliveryNumber(deliveryID)
		if err != nil {
			return err
		}
		found, err := t.exec("UPDATE deliveries SET attempts = attempts + 1 WHERE n = ?", n)
		if err != nil {
			return err
		}
		if found == 0 {
			return store.ErrNotFound
		}
		if _, err := t.exec("UPDATE deliveries SET state = ?, next = ? WHERE n = ? AND state = 'pending'", state, ms(next), n); err != nil {
			return err
		}
		_, err = t.exec(`INSERT INTO attempts (delivery, seq, at, took, status, answer)
			VALUES (?1, (SELECT attempts FROM deliveries WHERE n = ?1), ?, ?, ?, ?)`, n, ms(a.At), int64(a.Took), a.Status, a.Answer)
		return err
	})
	if err != nil {
		return fmt.Errorf("recording an attempt: %w", err)
	}
	return nil
}

// Redeliver is [store.Outbox].Redeliver.
func (s *Store) Redeliver(ctx context.Context, deliveryID string, now time.Time) error {
	err := s.write(ctx, func(t *tx) error {
		n, err := deliveryNumber(deliveryID)
		if err != nil {
			return err
		}
		found, err := t.exec("UPDATE deliveries SET state = 'pending', next = ? WHERE n = ?", ms(now), n)
		if err == nil && found == 0 {
			return store.ErrNotFound
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("redelivering: %w", err)
	}
	return nil
}

// deliveryNumber is the key that a delivery's ID spells.
func deliveryNumber(id string) (int64, error) {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != id {
		return 0, store.ErrNotFound
	}
	return n, nil
}

// PendingTargets is [store.Outbox].PendingTargets. It hops from one target to
// the next, however many deliveries each has.
func (s *Store) PendingTargets(ctx context.Context) (targets []string, err error) {
	err = s.reader(ctx).query(`WITH RECURSIVE t (target) AS (
			SELECT min(target) FROM deliveries WHERE state = 'pending'
			UNION ALL
			SELECT (SELECT min(target) FROM deliveries WHERE state = 'pending' AND target > t.target) FROM t WHERE t.target IS NOT NULL
		) SELECT target FROM t WHERE target IS NOT NULL`, nil, func(rows scanner) error {
		var target string
		err := rows.Scan(&target)
		targets = append(targets, target)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading pending targets: %w", err)
	}
	return targets, nil
}
