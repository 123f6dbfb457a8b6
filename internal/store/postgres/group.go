package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

var (
	// errGone is wrapped when there is no connection, or none any more.
	errGone = errors.New("no connection to PostgreSQL")

	// errUnknown is wrapped beside it when that happened while committing.
	errUnknown = errors.New("lost while committing")
)

// groupPlans has the plans of a group's statements kept, and keeps them from
// reading a whole table, for they are made while the tables are small.
const groupPlans = "SELECT set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true)"

// groupLockTimeout bounds what one held lock may cost a group.
const groupLockTimeout = ", set_config('lock_timeout', '250ms', true)"

// notify has more patience for the COMMIT, which takes its turn with those of
// other nodes because of the notices. Giving up there would waste the group.
const notify = "SELECT set_config('lock_timeout', '5s', true), pg_notify($1, payload) FROM unnest($2::text[]) AS payload"

// group is one transaction of Creates and Updates.
type group struct {
	created []*op
	updates []*op
	orders  map[string]*row   // by id, locked
	holders map[holder]string // id of the order that holds a payid

	touched    []*row
	payids     []holder // new ones among holders
	events     []eventRow
	deliveries []deliveryRow
}

type holder struct{ shop, payid string }

// row is an order with what the group does to it.
type row struct {
	order.Order
	nextQuery int64
	history   string // to be appended
	touched   bool
}

type eventRow struct {
	store.Event
	shop, orderID string
}

type deliveryRow struct {
	eventRow
	target string
}

// transact runs ops in one transaction. left are those that were passed over
// because their order is locked or not there; if patient, it waits for the
// lock and there are none. An error means that nothing of it was written,
// unless it wraps errUnknown. The callers of ops are not told yet.
func (s *Store) transact(ops []*op, patient bool) (left []*op, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	for retry := false; ; retry = true {
		left, err = s.transactOnce(ctx, ops, patient)
		if err == nil || retry || errors.Is(err, errUnknown) || !untouched(err) {
			return left, err
		}
	}
}

func (s *Store) transactOnce(ctx context.Context, ops []*op, patient bool) (left []*op, err error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errGone, err)
	}
	defer conn.Release()
	c := conn.Conn()

	g := &group{orders: make(map[string]*row), holders: make(map[holder]string)}
	left, err = g.begin(ctx, c, ops, patient, &s.totals)
	if err == nil {
		err = s.flush(ctx, c, g)
	}
	switch {
	case err == nil:
		return left, nil
	case c.IsClosed():
		return nil, fmt.Errorf("%w: %w", errGone, err)
	case c.PgConn().TxStatus() != 'I':
		if _, rollback := c.Exec(ctx, "ROLLBACK"); rollback != nil {
			_ = c.Close(ctx) // then the server does
		}
	}
	return nil, err
}

// begin opens the transaction, reads what ops need to know and decides them.
func (g *group) begin(ctx context.Context, c *pgx.Conn, ops []*op, patient bool, t *totals) (left []*op, err error) {
	var b pgx.Batch
	b.Queue("BEGIN")
	settings := groupPlans
	if !patient {
		settings += groupLockTimeout
	}
	b.Queue(settings)
	var creates []*op
	ids := make(map[string]bool)
	for _, o := range ops {
		o.result, o.notice, o.err = nil, nil, nil
		switch {
		case o.create == nil:
			g.updates = append(g.updates, o)
		case ids[o.id]:
			left = append(left, o)
		default:
			ids[o.id] = true
			creates = append(creates, o)
		}
	}
	pending := t.count(&b, creates)
	g.read(&b, patient)
	if err := c.SendBatch(ctx, &b).Close(); err != nil {
		return nil, err
	}
	for _, o := range creates {
		if o.err = pending.admit(o); o.err == nil {
			g.created = append(g.created, o)
		}
	}
	for _, o := range g.updates {
		r := g.orders[o.id]
		switch {
		case r != nil && r.Shop == o.shop:
			g.decide(o, r)
		case r == nil && !patient:
			left = append(left, o)
		default:
			o.err = store.ErrNotFound
		}
	}
	return left, nil
}

// read queues the reading of the orders that are to be updated, locked, and
// whose the payids are that the updates bring.
func (g *group) read(b *pgx.Batch, patient bool) {
	if len(g.updates) == 0 {
		return
	}
	ids := make(map[string]bool)
	payids := make(map[holder]bool)
	for _, o := range g.updates {
		ids[o.id] = true
		if o.payid != "" {
			payids[holder{o.shop, o.payid}] = true
		}
	}
	list := slices.Sorted(maps.Keys(ids))
	lock := "FOR UPDATE SKIP LOCKED"
	if patient {
		lock = "FOR UPDATE"
	}
	b.Queue("SELECT "+orderColumns+", next_query FROM orders WHERE id = ANY($1) ORDER BY id "+lock, list).Query(func(rows pgx.Rows) error {
		return each(rows, func(cr pgx.CollectableRow) (err error) {
			r := &row{}
			r.Order, err = scanOrder(cr, &r.nextQuery)
			g.orders[r.ID] = r
			return err
		})
	})
	if len(payids) == 0 {
		return
	}
	keys := slices.Collect(maps.Keys(payids))
	b.Queue("SELECT shop, payid, order_id FROM payids WHERE shop = ANY($1) AND payid = ANY($2)",
		column(keys, func(h holder) string { return h.shop }), column(keys, func(h holder) string { return h.payid }),
	).Query(func(rows pgx.Rows) error {
		return each(rows, func(cr pgx.CollectableRow) error {
			var h holder
			var id string
			err := cr.Scan(&h.shop, &h.payid, &id)
			g.holders[h] = id
			return err
		})
	})
}

// each calls fn for every row.
func each(rows pgx.Rows, fn func(pgx.CollectableRow) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// decide runs the decision of o on r and takes note of what it changes.
func (g *group) decide(o *op, r *row) {
	sub := store.Subject{Order: r.snapshot()}
	if of := g.holders[holder{o.shop, o.payid}]; of != r.ID {
		sub.PayidOf = of
	}
	c, err := o.ask(sub)
	if err == nil && c != nil {
		err = g.apply(o, r, c)
	}
	if o.err = err; err == nil {
		after := r.snapshot()
		o.result = &after
	}
}

// ask calls decide and keeps a panic for the goroutine that it belongs to.
func (o *op) ask(sub store.Subject) (c *store.Change, err error) {
	defer func() {
		if o.panicked = recover(); o.panicked != nil {
			c = nil
		}
	}()
	return o.decide(sub)
}

// snapshot is a copy that shares nothing with r.
func (r *row) snapshot() order.Order {
	o := r.Order
	o.Lines = slices.Clone(o.Lines)
	o.Payments = slices.Clone(o.Payments)
	return o
}

// apply does to r what c says, or returns an error and does nothing.
func (g *group) apply(o *op, r *row, c *store.Change) error {
	if err := g.pay(r, c); err != nil {
		return err
	}
	was := r.State
	r.State, r.Late, r.Note = c.Order.State, c.Order.Late, clean(c.Order.Note)
	r.PaidAt, r.ShippedAt, r.RefundedAt = at(ms(c.Order.PaidAt)), at(ms(c.Order.ShippedAt)), at(ms(c.Order.RefundedAt))
	r.AnsweredAt, r.Answer = at(ms(c.Order.AnsweredAt)), clean(c.Order.Answer)
	r.history += encodeHistory(c.Entries)
	if c.SetNextQuery {
		r.nextQuery = ms(c.NextQuery)
	}
	if !r.touched {
		r.touched = true
		g.touched = append(g.touched, r)
	}
	for _, e := range c.Events {
		if len(e.Targets) == 0 {
			continue
		}
		ev := eventRow{e, r.Shop, r.ID}
		g.events = append(g.events, ev)
		for _, target := range e.Targets {
			g.deliveries = append(g.deliveries, deliveryRow{ev, clean(target)})
		}
	}
	o.notice = &store.Notice{Shop: r.Shop, ID: r.ID, State: r.State, Was: was}
	return nil
}

// pay adds the payment of c to r, or gives its payid to the one that waits
// for it, unless it is there already.
func (g *group) pay(r *row, c *store.Change) error {
	if c.Payment == nil {
		return nil
	}
	p := *c.Payment
	for _, text := range []*string{&p.PayID, &p.PayMoney, &p.RealPay, &p.Source, &p.Verdict} {
		*text = clean(*text)
	}
	p.At = at(ms(p.At))
	key := holder{r.Shop, p.PayID}
	if of := g.holders[key]; p.PayID != "" && of != "" && of != r.ID {
		return fmt.Errorf("writing payment %q of order %s: it belongs to order %s", p.PayID, r.ID, of)
	}
	sameAmounts := func(q order.Payment) bool { return q.PayID == "" && q.PayMoney == p.PayMoney && q.RealPay == p.RealPay }
	if slices.ContainsFunc(r.Payments, func(q order.Payment) bool {
		return q.PayID == p.PayID && (p.PayID != "" || sameAmounts(q))
	}) {
		return nil
	}
	if p.PayID != "" {
		g.holders[key] = r.ID
		g.payids = append(g.payids, key)
	}
	if i := slices.IndexFunc(r.Payments, sameAmounts); i >= 0 && c.AdoptID {
		r.Payments[i].PayID = p.PayID
		return nil
	}
	r.Payments = append(r.Payments, p)
	return nil
}
