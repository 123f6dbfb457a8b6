package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// quarter is 15 minutes. Every time zone's days begin at a multiple of it.
const quarter = 15 * 60 * 1000

// soldBy picks orders o of a shop on a list and in a time; its four arguments
// are the shop's number, the list and the bounds.
const soldBy = "orders o INDEXED BY orders_by_list WHERE o.shop = ? AND o.list = ? AND o.created >= ? AND o.created < ?"

// Summarize is [store.Records].Summarize. Days follow an index; products and
// pay times read every paid order of the time.
func (s *Store) Summarize(ctx context.Context, shop string, from, to time.Time, loc *time.Location) (*store.Summary, error) {
	sum := &summary{loc: loc, from: bound(from), to: bound(to), days: make(map[string]*store.DaySummary), products: make(map[string]*product)}
	sum.payTimes = make([]int, 8)
	if sum.loc == nil {
		sum.loc = time.UTC
	}
	if sum.to == 0 {
		sum.to = math.MaxInt64
	}
	err := s.snapshot(ctx, func(r reader) error {
		shops, err := r.shops(shop)
		if err != nil {
			return err
		}
		for _, number := range shops {
			if err := sum.add(r, number); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading summary: %w", err)
	}
	return sum.result(), nil
}

type summary struct {
	loc      *time.Location
	from, to int64
	days     map[string]*store.DaySummary
	products map[string]*product
	payTimes []int
}

// product is a line of the summary under the name it last had.
type product struct {
	store.ProductSummary
	named int64
}

func (s *summary) add(r reader, shop int64) error {
	for _, state := range order.States {
		for _, list := range lists([]order.State{state}, "") {
			args := []any{shop, list, s.from, s.to}
			if err := s.addDays(r, state, args); err != nil {
				return err
			}
			if state != order.Paid {
				continue
			}
			if err := s.addSold(r, args); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *summary) addDays(r reader, state order.State, args []any) error {
	return r.query(fmt.Sprintf("SELECT o.created / %[1]d, count(*), sum(o.total) FROM %[2]s GROUP BY o.created / %[1]d", quarter, soldBy),
		args, func(rows scanner) error {
			var (
				quarters, money int64
				n               int
			)
			err := rows.Scan(&quarters, &n, &money)
			s.addDay(time.UnixMilli(quarters*quarter), state, n, order.Money(money))
			return err
		})
}

// addSold adds pay times and products of paid orders.
func (s *summary) addSold(r reader, args []any) error {
	if err := r.query(`SELECT CASE WHEN took <= 60000 THEN 0 WHEN took <= 120000 THEN 1 WHEN took <= 300000 THEN 2 WHEN took <= 600000 THEN 3
			WHEN took <= 1800000 THEN 4 WHEN took <= 3600000 THEN 5 WHEN took <= 86400000 THEN 6 ELSE 7 END AS bucket, count(*)
		FROM (SELECT o.paid - o.created AS took FROM `+soldBy+`) GROUP BY bucket`, args, func(rows scanner) error {
		var bucket, n int
		err := rows.Scan(&bucket, &n)
		s.payTimes[bucket] += n
		return err
	}); err != nil {
		return err
	}
	// A price is text with two decimals: without the point it is fen.
	return r.query(`SELECT l.value ->> 'sku' AS sku, l.value ->> 'name', max(o.created), sum(l.value ->> 'qty'),
			sum(replace(l.value ->> 'price', '.', '') * (l.value ->> 'qty'))
		FROM (SELECT o.created, o.lines FROM `+soldBy+`) o, json_each(o.lines) l GROUP BY sku`, args, func(rows scanner) error {
		var (
			p     product
			money int64
		)
		err := rows.Scan(&p.SKU, &p.Name, &p.named, &p.Qty, &money)
		s.addProduct(p, order.Money(money))
		return err
	})
}

func (s *summary) addDay(at time.Time, state order.State, n int, money order.Money) {
	name := at.In(s.loc).Format(time.DateOnly)
	d := s.days[name]
	if d == nil {
		d = &store.DaySummary{Day: name, Orders: make(map[string]int), Money: make(map[string]order.Money)}
		s.days[name] = d
	}
	d.Orders[state.String()] += n
	d.Money[state.String()] += money
}

func (s *summary) addProduct(p product, money order.Money) {
	kept := s.products[p.SKU]
	if kept == nil {
		kept = &product{}
		s.products[p.SKU] = kept
	}
	p.Qty += kept.Qty
	p.Money = kept.Money + money
	if kept.named > p.named {
		p.Name, p.named = kept.Name, kept.named
	}
	*kept = p
}

func (s *summary) result() *store.Summary {
	res := &store.Summary{Days: []store.DaySummary{}, Products: []store.ProductSummary{}, PayTimes: s.payTimes}
	for _, d := range s.days {
		res.Days = append(res.Days, *d)
	}
	slices.SortFunc(res.Days, func(a, b store.DaySummary) int { return cmp.Compare(a.Day, b.Day) })
	for _, p := range s.products {
		res.Products = append(res.Products, p.ProductSummary)
	}
	slices.SortFunc(res.Products, func(a, b store.ProductSummary) int {
		return cmp.Or(cmp.Compare(b.Money, a.Money), cmp.Compare(a.SKU, b.SKU))
	})
	res.Products = res.Products[:min(20, len(res.Products))]
	return res
}
