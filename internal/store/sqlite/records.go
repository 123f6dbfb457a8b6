package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// Detail is [store.Records].Detail.
func (s *Store) Detail(ctx context.Context, id string) (*order.Order, []store.Delivery, error) {
	var (
		o          *row
		deliveries []store.Delivery
	)
	err := s.snapshot(ctx, func(r reader) (err error) {
		if o, err = find(r, id); err != nil {
			return err
		}
		if o == nil {
			return store.ErrNotFound
		}
		if o.History, err = r.history(id); err != nil {
			return err
		}
		if err := readDeliveries(r, &deliveries, "WHERE d.order_id = ? ORDER BY d.n", id); err != nil {
			return err
		}
		for i := range deliveries {
			if deliveries[i].Log, err = r.attempts(deliveries[i].ID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("reading order: %w", err)
	}
	return &o.Order, deliveries, nil
}

func (r reader) history(id string) (entries []order.Entry, err error) {
	err = r.query("SELECT history FROM orders WHERE id = ?", []any{id}, func(rows scanner) error {
		var text sql.RawBytes
		if err := rows.Scan(&text); err != nil {
			return err
		}
		entries, err = decodeHistory(text)
		return err
	})
	return entries, err
}

func (r reader) attempts(deliveryID string) (log []store.Attempt, err error) {
	err = r.query("SELECT at, took, status, answer FROM attempts WHERE delivery = ? ORDER BY seq", []any{deliveryID}, func(rows scanner) error {
		a, err := scanAttempt(rows)
		log = append(log, a)
		return err
	})
	return log, err
}

// scanAttempt reads what comes before an attempt, and the attempt.
func scanAttempt(rows scanner, before ...any) (a store.Attempt, err error) {
	var when int64
	err = rows.Scan(append(before, &when, &a.Took, &a.Status, &a.Answer)...)
	a.At = at(when)
	return a, err
}

// before parses the cursor of a list that is ordered by a row number.
func before(cursor string) (int64, error) {
	if cursor == "" {
		return math.MaxInt64, nil
	}
	n, err := strconv.ParseInt(cursor, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("cursor %q is none of this list", cursor)
	}
	return n, nil
}

// Deliveries is [store.Records].Deliveries.
func (s *Store) Deliveries(ctx context.Context, shop, state, cursor string, n int) (page []store.Delivery, next string, err error) {
	last, err := before(cursor)
	if err != nil {
		return nil, "", fmt.Errorf("listing deliveries: %w", err)
	}
	states := []string{state}
	if state == "" {
		states = []string{store.DeliveryPending, store.DeliveryDone, store.DeliveryFailed, store.DeliveryDisabled}
	}
	err = s.snapshot(ctx, func(r reader) error {
		shops, err := r.shops(shop)
		if err != nil {
			return err
		}
		var numbers []int64
		for _, shop := range shops {
			for _, state := range states {
				if err := r.query("SELECT n FROM deliveries WHERE shop = ? AND state = ? AND n < ? ORDER BY n DESC LIMIT ?",
					[]any{shop, state, last, n + 1}, func(rows scanner) error {
						var number int64
						err := rows.Scan(&number)
						numbers = append(numbers, number)
						return err
					}); err != nil {
					return err
				}
			}
		}
		slices.SortFunc(numbers, func(a, b int64) int { return cmp.Compare(b, a) })
		if len(numbers) > n {
			numbers = numbers[:n]
			next = strconv.FormatInt(numbers[n-1], 10)
		}
		for _, number := range numbers {
			if err := readDeliveries(r, &page, "WHERE d.n = ?", number); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, "", fmt.Errorf("listing deliveries: %w", err)
	}
	return page, next, nil
}

// Orphans is [store.Records].Orphans.
func (s *Store) Orphans(ctx context.Context, shop, cursor string, n int) (page []store.Orphan, next string, err error) {
	last, err := before(cursor)
	if err != nil {
		return nil, "", fmt.Errorf("listing orphans: %w", err)
	}
	err = s.reader(ctx).query(`SELECT o.n, s.name, o.order_id, o.payid, o.orderuid, o.paymoney, o.realpay, o.at, o.seen
		FROM orphans o JOIN shops s ON s.n = o.shop WHERE (?1 = '' OR s.name = ?1) AND o.n < ? ORDER BY o.n DESC LIMIT ?`,
		[]any{shop, last, n + 1}, func(rows scanner) error {
			var (
				o            store.Orphan
				number, when int64
			)
			err := rows.Scan(&number, &o.Shop, &o.OrderID, &o.PayID, &o.OrderUID, &o.PayMoney, &o.RealPay, &when, &o.Seen)
			o.ID, o.At = strconv.FormatInt(number, 10), at(when)
			page = append(page, o)
			return err
		})
	if err != nil {
		return nil, "", fmt.Errorf("listing orphans: %w", err)
	}
	if len(page) > n {
		page = page[:n]
		next = page[n-1].ID
	}
	return page, next, nil
}

// Stats is [store.Records].Stats. It reads counts that are kept, and the
// pending deliveries.
func (s *Store) Stats(ctx context.Context) (*store.Stats, error) {
	st := &store.Stats{
		Orders:        make(map[string]map[string]int),
		Orphans:       make(map[string]int),
		OutboxPending: make(map[string]int),
		OutboxOldest:  make(map[string]time.Time),
	}
	err := s.snapshot(ctx, func(r reader) error {
		if err := r.query("SELECT name, pending, review, (SELECT count(*) FROM orphans WHERE shop = s.n) FROM shops s", nil, func(rows scanner) error {
			var (
				shop                     string
				pending, review, orphans int
			)
			err := rows.Scan(&shop, &pending, &review, &orphans)
			st.Orders[shop] = map[string]int{order.Pending.String(): pending, order.Review.String(): review}
			if orphans > 0 {
				st.Orphans[shop] = orphans
			}
			return err
		}); err != nil {
			return err
		}
		return r.query("SELECT target, count(*), min(created) FROM deliveries WHERE state = 'pending' GROUP BY target", nil, func(rows scanner) error {
			var (
				target string
				n      int
				oldest int64
			)
			err := rows.Scan(&target, &n, &oldest)
			st.OutboxPending[target], st.OutboxOldest[target] = n, at(oldest)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("reading stats: %w", err)
	}
	return st, nil
}
