package postgres

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// ClaimQuestion implements [store.Questions].
func (s *Store) ClaimQuestion(ctx context.Context, shop, id string, now time.Time, interval time.Duration) (bool, error) {
	if !storable(shop) || !storable(id) {
		return false, store.ErrNotFound
	}
	// Other nodes are not told: where the time of the question is remembered
	// wrongly, the claim is refused, and this forgets it.
	defer s.recent.Forget([]string{id})
	// Locking the row first makes those that come at once see each other. The id
	// is told twice, else a plan made while the table was small may scan it.
	return s.claim(ctx, questionKey(id), now, interval, `
		WITH o AS (SELECT id, asked_at FROM orders WHERE id = $1 AND shop = $4 FOR UPDATE),
		u AS (UPDATE orders SET asked_at = $2 FROM o
			WHERE orders.id = o.id AND orders.id = $1 AND (o.asked_at = 0 OR o.asked_at > $2 OR o.asked_at <= $3))
		SELECT asked_at FROM o`, id, ms(now), ms(now.Add(-interval)), shop)
}

// ClaimBalance implements [store.Questions].
func (s *Store) ClaimBalance(ctx context.Context, merchant string, now time.Time, interval time.Duration) (bool, error) {
	merchant = clean(merchant)
	err := s.write(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		_, err := c.Exec(ctx, "INSERT INTO balances (merchant) VALUES ($1) ON CONFLICT DO NOTHING", merchant)
		return err
	})
	if err != nil {
		return false, err
	}
	return s.claim(ctx, "balance "+merchant, now, interval, `
		WITH m AS (SELECT merchant, asked_at FROM balances WHERE merchant = $1 FOR UPDATE),
		u AS (UPDATE balances SET asked_at = $2 FROM m
			WHERE balances.merchant = m.merchant AND (m.asked_at = 0 OR m.asked_at > $2 OR m.asked_at <= $3))
		SELECT asked_at FROM m`, merchant, ms(now), ms(now.Add(-interval)))
}

func questionKey(id string) string { return "question " + id }

// claim runs sql, which moves the time of the last claim to now if it is over
// an interval ago or in the future, and returns the time that was there.
func (s *Store) claim(ctx context.Context, key string, now time.Time, interval time.Duration, sql string, args ...any) (granted bool, err error) {
	err = s.write(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		if !s.intervals.Over(key, now, interval) {
			return nil
		}
		var asked int64
		err := c.QueryRow(ctx, sql, args...).Scan(&asked)
		if errors.Is(err, pgx.ErrNoRows) {
			return store.ErrNotFound
		}
		if err != nil {
			return err
		}
		if granted = asked == 0 || asked <= ms(now.Add(-interval)); granted {
			s.intervals.Granted(key, now, interval)
		}
		return nil
	})
	return granted && err == nil, err
}

// ClaimDue implements [store.Questions]. Orders that another node is claiming
// are passed over.
func (s *Store) ClaimDue(ctx context.Context, shop string, now, youngest time.Time, interval time.Duration, n int, next func(order.Order) time.Time) (due []order.Order, err error) {
	if !storable(shop) {
		return nil, nil
	}
	err = s.write(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		return inTx(ctx, c, func(tx pgx.Tx) error {
			due, err = s.claimDue(ctx, tx, shop, now, youngest, interval, n, next)
			return err
		})
	})
	if err != nil {
		s.recent.ForgetAll()
		return nil, err
	}
	s.recent.Forget(column(due, func(o order.Order) string { return o.ID }))
	for _, o := range due {
		s.intervals.Granted(questionKey(o.ID), now, interval)
	}
	return due, nil
}

func (s *Store) claimDue(ctx context.Context, tx pgx.Tx, shop string, now, youngest time.Time, interval time.Duration, n int, next func(order.Order) time.Time) (due []order.Order, err error) {
	const isDue = "shop = $1 AND next_query > 0 AND next_query <= $2 AND state IN (0, 2)"
	early := []string{} // by the monotonic clock
	for len(due) < n {
		rows, err := tx.Query(ctx, "SELECT "+orderColumns+" FROM orders WHERE "+isDue+
			" AND (asked_at <= $3 OR asked_at > $2) AND id <> ALL($4) AND created_at <= $6 ORDER BY created_at DESC, id DESC LIMIT $5 FOR UPDATE SKIP LOCKED",
			shop, ms(now), ms(now.Add(-interval)), append(column(due, func(o order.Order) string { return o.ID }), early...), n-len(due), ms(youngest))
		if err != nil {
			return nil, err
		}
		found, err := pgx.CollectRows(rows, func(cr pgx.CollectableRow) (order.Order, error) { return scanOrder(cr) })
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(found, func(o order.Order) bool { return ms(o.AskedAt) > ms(now) }) {
			if _, err := tx.Exec(ctx, "UPDATE orders SET asked_at = $2 WHERE id IN (SELECT id FROM orders WHERE "+isDue+
				" AND asked_at > $2 ORDER BY id FOR UPDATE SKIP LOCKED)", shop, ms(now)); err != nil {
				return nil, err
			}
			continue
		}
		passed := len(early)
		for _, o := range found {
			if s.intervals.Over(questionKey(o.ID), now, interval) {
				due = append(due, o)
			} else {
				early = append(early, o.ID)
			}
		}
		if len(early) == passed {
			break
		}
	}
	if len(due) == 0 {
		return nil, nil
	}
	slices.SortFunc(due, func(a, b order.Order) int {
		if c := b.CreatedAt.Compare(a.CreatedAt); c != 0 {
			return c
		}
		return strings.Compare(b.ID, a.ID)
	})
	again := make([]int64, len(due))
	for i := range due {
		due[i].AskedAt = at(ms(now))
		again[i] = ms(next(due[i]))
	}
	_, err = tx.Exec(ctx, `UPDATE orders SET asked_at = $3, next_query = u.next
		FROM unnest($1::text[], $2::bigint[]) AS u (id, next) WHERE orders.id = u.id AND orders.id = ANY($1)`,
		column(due, func(o order.Order) string { return o.ID }), again, ms(now))
	return due, err
}

// SaveBalance implements [store.Questions].
func (s *Store) SaveBalance(ctx context.Context, b store.Balance) error {
	return s.write(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		_, err := c.Exec(ctx, `INSERT INTO balances (merchant, amount, at) VALUES ($1, $2, $3)
			ON CONFLICT (merchant) DO UPDATE SET amount = $2, at = $3`, clean(b.Merchant), clean(b.Amount), ms(b.At))
		return err
	})
}

// Balance implements [store.Questions].
func (s *Store) Balance(ctx context.Context, merchant string) (store.Balance, error) {
	b := store.Balance{Merchant: merchant}
	err := s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		var ms int64
		err := c.QueryRow(ctx, "SELECT amount, at FROM balances WHERE merchant = $1 AND at <> 0", clean(merchant)).Scan(&b.Amount, &ms)
		if errors.Is(err, pgx.ErrNoRows) {
			return store.ErrNotFound
		}
		b.At = at(ms)
		return err
	})
	if err != nil {
		return store.Balance{}, err
	}
	return b, nil
}
