package postgres

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// recount is how long the count of a shop's pending orders is good for while
// it is under half of the limit.
const recount = time.Second

// totals remembers how many pending orders the shops have, so that they are
// not counted for every group.
type totals struct {
	mu     sync.Mutex
	counts map[string]total // by shop
}

type total struct {
	n  int // when counted, and those admitted since
	at time.Time
}

// pending counts pending orders, as far as the limits of one group reach.
type pending struct {
	totals   *totals
	ofShop   map[string]int
	ofClient map[[2]string]int // shop and client
}

// count queues the counting of pending orders that the limits of creates ask
// for. None counts further than to its limit.
func (t *totals) count(b *pgx.Batch, creates []*op) *pending {
	p := &pending{totals: t, ofShop: make(map[string]int), ofClient: make(map[[2]string]int)}
	for _, o := range creates {
		if n := o.limits.Total; n > 0 {
			p.ofShop[o.shop] = max(p.ofShop[o.shop], n)
		}
		if n := o.limits.PerClient; n > 0 {
			key := [2]string{o.shop, o.create.Client}
			p.ofClient[key] = max(p.ofClient[key], n)
		}
	}
	for shop, limit := range p.ofShop {
		if n, ok := t.known(shop, limit); ok {
			p.ofShop[shop] = n
			continue
		}
		b.Queue("SELECT count(*) FROM (SELECT FROM orders WHERE shop = $1 AND state = 0 LIMIT $2) AS p", clean(shop), limit).
			QueryRow(func(r pgx.Row) error {
				var n int
				err := r.Scan(&n)
				p.ofShop[shop] = n
				t.counted(shop, n)
				return err
			})
	}
	p.countClients(b)
	return p
}

// countClients queues the counting of what clients have.
func (p *pending) countClients(b *pgx.Batch) {
	if len(p.ofClient) == 0 {
		return
	}
	keys := slices.Collect(maps.Keys(p.ofClient))
	b.Queue(`SELECT n, (SELECT count(*) FROM (SELECT FROM orders o WHERE o.shop = k.shop AND o.client = k.client AND state = 0 LIMIT k.most) AS p)
		FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY AS k (shop, client, most, n)`,
		column(keys, func(k [2]string) string { return clean(k[0]) }),
		column(keys, func(k [2]string) string { return clean(k[1]) }),
		column(keys, func(k [2]string) int { return p.ofClient[k] }),
	).Query(func(rows pgx.Rows) error {
		return each(rows, func(cr pgx.CollectableRow) error {
			var n, count int
			err := cr.Scan(&n, &count)
			p.ofClient[keys[n-1]] = count
			return err
		})
	})
}

// known returns the count of the shop if it is good enough for the limit.
func (t *totals) known(shop string, limit int) (int, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, ok := t.counts[shop]
	return c.n, ok && 2*c.n < limit && time.Since(c.at) < recount
}

func (t *totals) counted(shop string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = make(map[string]total)
	}
	t.counts[shop] = total{n, time.Now()}
}

func (t *totals) admitted(shop string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c, ok := t.counts[shop]; ok {
		t.counts[shop] = total{c.n + 1, c.at}
	}
}

// admit counts the order of o, or returns the LimitError that forbids it.
func (p *pending) admit(o *op) error {
	key := [2]string{o.shop, o.create.Client}
	if n := o.limits.PerClient; n > 0 && p.ofClient[key] >= n {
		return &store.LimitError{PerClient: true, Limit: n}
	}
	if n := o.limits.Total; n > 0 && p.ofShop[o.shop] >= n {
		return &store.LimitError{Limit: n}
	}
	if o.create.State == order.Pending {
		p.ofClient[key]++
		p.ofShop[o.shop]++
		p.totals.admitted(o.shop)
	}
	return nil
}
