package sqlite

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// eachPage is how many orders Each holds at once.
const eachPage = 500

// key is an order's place in a list: newest first by creation, then by id.
type key struct {
	created int64
	id      string
}

// newest is before the first order of a list.
var newest = key{created: math.MaxInt64}

func (k key) String() string { return strconv.FormatInt(k.created, 10) + "." + k.id }

func parseKey(cursor string) (key, error) {
	if cursor == "" {
		return newest, nil
	}
	created, id, _ := strings.Cut(cursor, ".")
	n, err := strconv.ParseInt(created, 10, 64)
	if err != nil {
		return key{}, fmt.Errorf("cursor %q is none of this list", cursor)
	}
	return key{created: n, id: id}, nil
}

func appendKeys(keys *[]key) func(scanner) error {
	return func(rows scanner) error {
		var k key
		err := rows.Scan(&k.created, &k.id)
		*keys = append(*keys, k)
		return err
	}
}

// List is [store.Records].List. Text reads every order that fits the rest of
// the filter until the page is full; everything else follows an index.
func (s *Store) List(ctx context.Context, f store.Filter, cursor string, n int) (page []order.Order, next string, err error) {
	after, err := parseKey(cursor)
	if err != nil {
		return nil, "", fmt.Errorf("listing orders: %w", err)
	}
	err = s.snapshot(ctx, func(r reader) error {
		page, next, err = r.list(f, after, n)
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("listing orders: %w", err)
	}
	return page, next, nil
}

func (r reader) list(f store.Filter, after key, n int) (page []order.Order, next string, err error) {
	if to := bound(f.To); to != 0 && to <= after.created {
		after = key{created: to}
	}
	ranges, err := r.ranges(f)
	if err != nil {
		return nil, "", err
	}
	// Each range is in order; the page is the newest of what they hold.
	var keys []key
	for _, rg := range ranges {
		args := append(slices.Clone(rg.args), bound(f.From), after.created, after.id, n+1)
		query := fmt.Sprintf("SELECT %[1]s.created, %[1]s.id FROM %[2]s AND %[1]s.created >= ? AND (%[1]s.created, %[1]s.id) < (?, ?)"+
			" ORDER BY %[1]s.created DESC, %[1]s.id DESC LIMIT ?", rg.by, rg.from)
		err := r.query(query, args, appendKeys(&keys))
		if err != nil {
			return nil, "", err
		}
	}
	slices.SortFunc(keys, func(a, b key) int {
		return cmp.Or(cmp.Compare(b.created, a.created), strings.Compare(b.id, a.id))
	})
	if len(keys) > n {
		keys = keys[:n]
		next = keys[n-1].String()
	}
	page, err = r.orders(keys)
	return page, next, err
}

// orders reads the orders of keys, in their order.
func (r reader) orders(keys []key) ([]order.Order, error) {
	place := make(map[string]int, len(keys))
	ids := make([]string, len(keys))
	for i, k := range keys {
		place[k.id], ids[i] = i, k.id
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	page := make([]order.Order, len(keys))
	err = r.query(selectOrder+"WHERE o.id IN (SELECT value FROM json_each(?))", []any{string(list)}, func(rows scanner) error {
		o, err := scanOrder(rows)
		if err != nil {
			return err
		}
		page[place[o.ID]] = o.Order
		return nil
	})
	return page, err
}

// span is the FROM and WHERE of orders o in one stretch of an index. The table
// by has the index and with it the order.
type span struct {
	by, from string
	args     []any
}

// ranges are stretches that together hold what f picks, apart from From and To.
func (r reader) ranges(f store.Filter) ([]span, error) {
	if !utf8.ValidString(f.Text) || strings.ContainsRune(f.Text, 0) {
		return nil, nil // no text holds that, and SQLite would read a shorter one
	}
	shops, err := r.shops(f.Shop)
	if err != nil {
		return nil, err
	}
	states := slices.Compact(slices.Sorted(slices.Values(f.States)))
	if len(states) == 0 {
		states = order.States
	}
	where, extra := text(f.Text)
	lists := lists(states, f.Todo)
	// A product's own index is the shorter way, unless only orders of the rare
	// states are wanted.
	bySKU := f.SKU != "" && f.Todo == "" && (slices.Contains(states, order.Paid) || slices.Contains(states, order.Expired))
	if f.SKU != "" && !bySKU {
		where += " AND EXISTS (SELECT 1 FROM order_skus k WHERE k.shop = o.shop AND k.sku = ? AND k.created = o.created AND k.id = o.id)"
		extra = append(extra, f.SKU)
	}
	var list []span
	for _, shop := range shops {
		if bySKU {
			list = append(list, span{
				by:   "k",
				from: "order_skus k CROSS JOIN orders o ON o.id = k.id WHERE k.shop = ? AND k.sku = ? AND o.state IN ('" + join(states) + "')" + where,
				args: append([]any{shop, f.SKU}, extra...),
			})
			continue
		}
		for _, name := range lists {
			list = append(list, span{
				by:   "o",
				from: "orders o INDEXED BY orders_by_list WHERE o.shop = ? AND o.list = ?" + where,
				args: append([]any{shop, name}, extra...),
			})
		}
	}
	return list, nil
}

// toShip is the list of paid orders that are neither shipped nor refunded. All
// others are on the list of their state.
const toShip = "to ship"

// lists are the lists that orders in the states are on, or only those with
// something to do.
func lists(states []order.State, todo string) (names []string) {
	for _, s := range states {
		if s == order.Paid {
			names = append(names, toShip)
		}
		if todo == "" {
			names = append(names, s.String())
		}
	}
	return names
}

func join(states []order.State) string {
	names := make([]string, len(states))
	for i, s := range states {
		names[i] = s.String()
	}
	return strings.Join(names, "','")
}

// text is the condition that an order o holds s. LIKE ignores ASCII case.
func text(s string) (where string, args []any) {
	if s == "" {
		return "", nil
	}
	pattern := "%" + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(s) + "%"
	return ` AND (o.id LIKE ? ESCAPE '\' OR o.orderuid LIKE ? ESCAPE '\'
		OR EXISTS (SELECT 1 FROM json_each(o.buyer) WHERE value LIKE ? ESCAPE '\')
		OR EXISTS (SELECT 1 FROM json_each(o.payments) WHERE value ->> 'payid' LIKE ? ESCAPE '\'))`,
		[]any{pattern, pattern, pattern, pattern}
}

// shops returns the number of one shop, or of all if name is empty.
func (r reader) shops(name string) (numbers []int64, err error) {
	err = r.query("SELECT n FROM shops WHERE ?1 = '' OR name = ?1", []any{name}, func(rows scanner) error {
		var n int64
		err := rows.Scan(&n)
		numbers = append(numbers, n)
		return err
	})
	return numbers, err
}

// Each is [store.Records].Each. It reads page by page, so that a slow fn holds
// no old state of the database; fn sees changes made meanwhile.
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
