package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// ms is how times are kept: milliseconds since 1970, 0 for the zero time.
func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// bound is ms for a time that kept times are compared to: it rounds up, as both
// "at or after" and "before" need it.
func bound(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Add(time.Millisecond - 1).UnixMilli()
}

// at is the inverse of ms.
func at(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// querier is the writer's connection or one that reads.
type querier interface {
	query(query string, args []any, scan func(scanner) error) error
}

// reader reads committed data. With a tx all its queries see the same state.
type reader struct {
	s   *Store
	ctx context.Context
	tx  *sql.Tx
}

func (s *Store) reader(ctx context.Context) reader { return reader{s: s, ctx: ctx} }

// snapshot calls fn with a reader whose queries all see the same state.
func (s *Store) snapshot(ctx context.Context, fn func(reader) error) error {
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return s.readError(ctx, err)
	}
	defer tx.Rollback() //nolint:errcheck // it only read
	return fn(reader{s: s, ctx: ctx, tx: tx})
}

func (r reader) query(query string, args []any, scan func(scanner) error) error {
	stmt, err := r.s.prepare(r.ctx, query)
	if err != nil {
		return r.s.readError(r.ctx, err)
	}
	if r.tx != nil {
		stmt = r.tx.StmtContext(r.ctx, stmt)
	}
	rows, err := stmt.QueryContext(r.ctx, args...)
	if err == nil {
		err = scanAll(rows, scan)
	}
	return r.s.readError(r.ctx, err)
}

// prepare returns the statement of the read side for query. Queries come in a
// few dozen shapes, so all are kept.
func (s *Store) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if stmt, ok := s.stmts.Load(query); ok {
		return stmt.(*sql.Stmt), nil
	}
	stmt, err := s.read.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if kept, loaded := s.stmts.LoadOrStore(query, stmt); loaded {
		_ = stmt.Close()
		return kept.(*sql.Stmt), nil
	}
	return stmt, nil
}

// ready returns why nothing can be read: ctx is over, the store is closed, or
// the file is not where it was.
func (s *Store) ready(ctx context.Context) error {
	if err := s.over(ctx); err != nil {
		return err
	}
	return s.inPlace()
}

// over returns why nothing more is begun: ctx is over or the store is closed.
func (s *Store) over(ctx context.Context) error {
	select {
	case <-s.closing:
		return errClosed
	default:
		return ctx.Err()
	}
}

// readError is classify, for a read: an interrupted one ended because ctx did,
// and a pool that is closed says so in words of its own.
func (s *Store) readError(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if cause := s.ready(ctx); cause != nil {
		return cause
	}
	return classify(err)
}

// scanAll calls scan for every row. A value that scan cannot take is damage.
func scanAll(rows *sql.Rows, scan func(scanner) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return corrupt(err)
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}

// one runs a query of at most one row and returns whether there was one.
func one(q querier, query string, args []any, dest ...any) (found bool, err error) {
	err = q.query(query, args, func(rows scanner) error {
		found = true
		return rows.Scan(dest...)
	})
	return found, err
}

// selectOrder reads what scanOrder scans.
const selectOrder = `SELECT o.id, s.name, o.state, o.late, o.lines, o.total, o.title, o.buyer, o.orderuid, o.language,
	o.client, o.test, o.created, o.expires, o.paid, o.note, o.shipped, o.refunded, o.asked, o.answered, o.answer, o.next,
	o.payments FROM orders o JOIN shops s ON s.n = o.shop `

// row is an order as it is kept.
type row struct {
	order.Order
	next int64
}

// columns is where the columns of selectOrder go.
type columns struct {
	row
	state                                                             string
	lines, buyer, payments                                            sql.RawBytes
	total, created, expires, paid, shipped, refunded, asked, answered int64
	dest                                                              []any
}

// scans are columns that are used again and again: their dest is half of what
// reading an order would leave to be collected.
var scans = sync.Pool{New: func() any {
	c := new(columns)
	c.dest = []any{&c.ID, &c.Shop, &c.state, &c.Late, &c.lines, &c.total, &c.Title, &c.buyer, &c.OrderUID, &c.Language,
		&c.Client, &c.Test, &c.created, &c.expires, &c.paid, &c.Note, &c.shipped, &c.refunded, &c.asked, &c.answered, &c.Answer, &c.next,
		&c.payments}
	return c
}}

func scanOrder(rows scanner) (*row, error) {
	c := scans.Get().(*columns)
	defer scans.Put(c)
	c.row = row{}
	err := rows.Scan(c.dest...)
	if err != nil {
		return nil, err
	}
	if c.State, err = order.ParseState(c.state); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(c.lines, &c.Lines); err != nil {
		return nil, fmt.Errorf("lines: %w", err)
	}
	if string(c.buyer) != "{}" {
		if err := json.Unmarshal(c.buyer, &c.Buyer); err != nil {
			return nil, fmt.Errorf("buyer: %w", err)
		}
	}
	if c.Payments, err = decodePayments(c.payments); err != nil {
		return nil, fmt.Errorf("payments: %w", err)
	}
	c.Total = order.Money(c.total)
	c.CreatedAt, c.ExpiresAt, c.PaidAt = at(c.created), at(c.expires), at(c.paid)
	c.ShippedAt, c.RefundedAt = at(c.shipped), at(c.refunded)
	c.AskedAt, c.AnsweredAt = at(c.asked), at(c.answered)
	o := c.row
	return &o, nil
}

// find reads one order. It returns nil if the id is unknown.
func find(q querier, id string) (o *row, err error) {
	err = q.query(selectOrder+"WHERE o.id = ?", []any{id}, func(rows scanner) error {
		o, err = scanOrder(rows)
		return err
	})
	return o, err
}

// Order is [store.Orders].Order. A change by another process may show half a
// second later.
func (s *Store) Order(ctx context.Context, shop, id string) (*order.Order, error) {
	if err := s.ready(ctx); err != nil {
		return nil, fmt.Errorf("reading order: %w", err)
	}
	kept, ticket := s.recent.Get(id)
	if kept == nil {
		o, err := find(s.reader(ctx), id)
		if err != nil {
			return nil, fmt.Errorf("reading order: %w", err)
		}
		if o == nil {
			return nil, store.ErrNotFound
		}
		kept = &o.Order
		s.recent.Put(kept, ticket)
	}
	if kept.Shop != shop {
		return nil, store.ErrNotFound
	}
	return kept, nil
}
