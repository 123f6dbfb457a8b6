package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

var errCursor = errors.New("reading a page: the cursor is not one of this store")

// eachPage is how many orders Each reads at a time.
const eachPage = 500

// searched are the columns in which Filter.Text is looked for.
var searched = []string{"id", "orderuid", "buyer_name", "buyer_email", "buyer_tel", "buyer_address", "buyer_note"}

// List implements [store.Records].
func (s *Store) List(ctx context.Context, f store.Filter, cursor string, n int) (page []order.Order, next string, err error) {
	w, err := where(f)
	if err != nil {
		return nil, "", s.Ping(ctx) // nothing fits, if there is a database
	}
	if cursor != "" {
		created, id, ok := strings.Cut(cursor, "-")
		ms, err := strconv.ParseInt(created, 10, 64)
		if !ok || err != nil || !storable(id) {
			return nil, "", errCursor
		}
		w.and("(created_at, id) < (?, ?)", ms, id)
	}
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, fmt.Sprintf("SELECT %s FROM orders%s ORDER BY created_at DESC, id DESC LIMIT %d", orderColumns, w.sql, n+1), w.args...)
		if err != nil {
			return err
		}
		page, err = pgx.CollectRows(rows, func(cr pgx.CollectableRow) (order.Order, error) { return scanOrder(cr) })
		if err != nil {
			return err
		}
		if len(page) > n {
			page = page[:n]
			next = fmt.Sprintf("%d-%s", ms(page[n-1].CreatedAt), page[n-1].ID)
		}
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	return page, next, nil
}

// Each implements [store.Records]. No connection is held while fn runs.
func (s *Store) Each(ctx context.Context, f store.Filter, fn func(*order.Order) error) error {
	for cursor, more := "", true; more; more = cursor != "" {
		page, next, err := s.List(ctx, f, cursor, eachPage)
		if err != nil {
			return err
		}
		for i := range page {
			if err := fn(&page[i]); err != nil {
				return err
			}
		}
		cursor = next
	}
	return nil
}

// errNothing: no order can fit the filter.
var errNothing = errors.New("nothing fits")

// where makes conditions of f.
func where(f store.Filter) (w conditions, err error) {
	if !storable(f.Shop) || !storable(f.SKU) || !storable(f.Text) {
		return w, errNothing
	}
	if f.Shop != "" {
		w.and("shop = ?", f.Shop)
	}
	if len(f.States) > 0 {
		// Constants, for the planner must see which index holds them.
		w.and("state IN (" + strings.Join(column(f.States, func(s order.State) string { return strconv.Itoa(int(s)) }), ", ") + ")")
	}
	if !f.From.IsZero() {
		w.and("created_at >= ?", msUp(f.From))
	}
	if !f.To.IsZero() {
		w.and("created_at < ?", msUp(f.To))
	}
	if f.SKU != "" {
		// A quote within a value is escaped, so this is found nowhere else.
		w.and("strpos(lines, ?) > 0", `"sku":`+encode(f.SKU)+",")
	}
	if f.Text != "" {
		text := lower(f.Text)
		parts := column(searched, func(name string) string { return "strpos(lower(" + name + ` COLLATE "C"), ?) > 0` })
		args := slices.Repeat([]any{text}, len(parts))
		// Only payments in which the text stands somewhere are taken apart.
		parts = append(parts, `strpos(lower(payments COLLATE "C"), ?) > 0 AND
			EXISTS (SELECT FROM json_array_elements(payments::json) AS p WHERE strpos(lower((p->>'payid') COLLATE "C"), ?) > 0)`)
		args = append(args, strings.Trim(encode(text), `"`), text)
		w.and("("+strings.Join(parts, " OR ")+")", args...)
	}
	switch f.Todo {
	case "":
	case store.TodoShip:
		w.and("state = 1 AND shipped_at = 0 AND refunded_at = 0")
	default:
		return w, errNothing
	}
	return w, nil
}

// lower makes ASCII letters small, as lower does by the collation "C".
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
