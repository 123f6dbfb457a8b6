package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// payTimes are the upper ends of all but the last of Summary.PayTimes.
var payTimes = []time.Duration{
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 24 * time.Hour,
}

// Summarize implements [store.Records].
func (s *Store) Summarize(ctx context.Context, shop string, from, to time.Time, loc *time.Location) (*store.Summary, error) {
	if loc == nil {
		loc = time.UTC
	}
	sum := emptySummary()
	w, err := where(store.Filter{Shop: shop, From: from, To: to})
	if err != nil {
		return sum, s.Ping(ctx)
	}
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		opts := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly} // all parts of one moment
		return pgx.BeginTxFunc(ctx, c, opts, func(tx pgx.Tx) error {
			sum = emptySummary() // a lost connection begins it anew
			var first, last *int64
			if err := tx.QueryRow(ctx, "SELECT min(created_at), max(created_at) FROM orders"+w.sql, w.args...).Scan(&first, &last); err != nil || first == nil {
				return err
			}
			var b pgx.Batch
			queueDays(&b, sum, w, midnights(at(*first), at(*last), loc), loc)
			queueProducts(&b, sum, w)
			queuePayTimes(&b, sum, w)
			return tx.SendBatch(ctx, &b).Close()
		})
	})
	if err != nil {
		return nil, err
	}
	return sum, nil
}

func emptySummary() *store.Summary {
	return &store.Summary{Days: []store.DaySummary{}, Products: []store.ProductSummary{}, PayTimes: make([]int, len(payTimes)+1)}
}

// midnights are when the days of loc begin on which first to last fall.
func midnights(first, last time.Time, loc *time.Location) (list []time.Time) {
	year, month, day := first.In(loc).Date()
	for {
		t := time.Date(year, month, day, 0, 0, 0, 0, loc)
		if t.Hour() == 23 { // there is no midnight on that day, the clock is set forward then
			t = t.Add(time.Hour)
		}
		if t.After(last) {
			return list
		}
		list = append(list, t)
		day++
	}
}

func queueDays(b *pgx.Batch, sum *store.Summary, w conditions, days []time.Time, loc *time.Location) {
	bucket := "width_bucket(created_at, " + w.arg(column(days, ms)) + "::bigint[])"
	b.Queue("SELECT "+bucket+", state, count(*), sum(total)::bigint FROM orders"+w.sql+" GROUP BY 1, 2 ORDER BY 1, 2", w.args...).
		Query(func(rows pgx.Rows) error {
			return each(rows, func(cr pgx.CollectableRow) error {
				var n, count int
				var state int16
				var money int64
				if err := cr.Scan(&n, &state, &count, &money); err != nil {
					return err
				}
				name := days[n-1].In(loc).Format(time.DateOnly)
				if len(sum.Days) == 0 || sum.Days[len(sum.Days)-1].Day != name {
					sum.Days = append(sum.Days, store.DaySummary{Day: name, Orders: make(map[string]int), Money: make(map[string]order.Money)})
				}
				day := sum.Days[len(sum.Days)-1]
				day.Orders[order.State(state).String()] = count
				day.Money[order.State(state).String()] = order.Money(money)
				return nil
			})
		})
}

func queueProducts(b *pgx.Batch, sum *store.Summary, w conditions) {
	w.and("state = 1")
	b.Queue(`SELECT l->>'sku', max(l->>'name'), sum((l->>'qty')::bigint)::bigint, sum((l->>'price')::bigint * (l->>'qty')::bigint)::bigint AS money
		FROM orders, jsonb_array_elements(lines::jsonb) AS l`+w.sql+` GROUP BY 1 ORDER BY money DESC, 1 LIMIT 20`, w.args...).
		Query(func(rows pgx.Rows) error {
			return each(rows, func(cr pgx.CollectableRow) error {
				var p store.ProductSummary
				var money int64
				err := cr.Scan(&p.SKU, &p.Name, &p.Qty, &money)
				p.Money = order.Money(money)
				sum.Products = append(sum.Products, p)
				return err
			})
		})
}

func queuePayTimes(b *pgx.Batch, sum *store.Summary, w conditions) {
	w.and("state = 1 AND paid_at > 0")
	over := w.arg(column(payTimes, func(d time.Duration) int64 { return d.Milliseconds() + 1 }))
	b.Queue("SELECT width_bucket(paid_at - created_at, "+over+"::bigint[]), count(*) FROM orders"+w.sql+" GROUP BY 1", w.args...).
		Query(func(rows pgx.Rows) error {
			return each(rows, func(cr pgx.CollectableRow) error {
				var bucket, n int
				err := cr.Scan(&bucket, &n)
				sum.PayTimes[bucket] = n
				return err
			})
		})
}
