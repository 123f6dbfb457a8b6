package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// Create is [store.Orders].Create.
func (s *Store) Create(ctx context.Context, o *order.Order, firstQuery time.Time, limits store.PendingLimits) error {
	lines, err := json.Marshal(o.Lines)
	if err != nil {
		return fmt.Errorf("creating order: %w", err)
	}
	buyer, err := json.Marshal(o.Buyer)
	if err != nil {
		return fmt.Errorf("creating order: %w", err)
	}
	history, err := encodeHistory(o.History)
	if err != nil {
		return fmt.Errorf("creating order: %w", err)
	}
	err = s.write(ctx, func(t *tx) error {
		shop, err := t.shop(o.Shop)
		if err != nil {
			return err
		}
		if o.State == order.Pending {
			if err := t.limit(shop, o.Client, limits); err != nil {
				return err
			}
		}
		t.w.orders = append(t.w.orders, o.ID, shop, o.State.String(), o.Late, string(lines), int64(o.Total), o.Title, string(buyer), o.OrderUID,
			o.Language, o.Client, o.Test, ms(o.CreatedAt), ms(o.ExpiresAt), ms(o.PaidAt), o.Note, ms(o.ShippedAt), ms(o.RefundedAt),
			ms(o.AskedAt), ms(o.AnsweredAt), o.Answer, ms(firstQuery), history)
		for _, l := range o.Lines {
			t.w.skus = append(t.w.skus, shop, l.SKU, ms(o.CreatedAt), o.ID)
		}
		t.count(shop, o.Client, o.State, 1)
		t.notices = append(t.notices, store.Notice{Shop: o.Shop, ID: o.ID, State: o.State, Was: o.State, New: true})
		return nil
	})
	if err != nil {
		return fmt.Errorf("creating order: %w", err)
	}
	return nil
}

var (
	insertOrders = newInsert(`INSERT INTO orders (id, shop, state, late, lines, total, title, buyer, orderuid, language, client, test,
		created, expires, paid, note, shipped, refunded, asked, answered, answer, next, history)`, 23)
	insertSKUs = newInsert("INSERT INTO order_skus (shop, sku, created, id)", 4)
)

// insert is a statement that inserts rows which are not there yet.
type insert struct {
	columns int
	texts   [6]string // of 1, 2, 4, … rows
}

func newInsert(head string, columns int) *insert {
	in := &insert{columns: columns}
	row := "(?" + strings.Repeat(", ?", columns-1) + ")"
	for i := range in.texts {
		in.texts[i] = head + " VALUES " + row + strings.Repeat(", "+row, 1<<i-1) + " ON CONFLICT DO NOTHING"
	}
	return in
}

// insert inserts the rows of which values are the columns, many with each
// statement, and returns how many were not there yet.
func (t *tx) insert(in *insert, values []any) (fresh int, err error) {
	for len(values) > 0 {
		i := min(bits.Len(uint(len(values)/in.columns)), len(in.texts)) - 1
		some := values[:in.columns<<i]
		n, err := t.exec(in.texts[i], some...)
		if err != nil {
			return 0, err
		}
		fresh += n
		values = values[len(some):]
	}
	return fresh, nil
}

// writeOrders writes the new orders of the transaction.
func (t *tx) writeOrders() error {
	fresh, err := t.insert(insertOrders, t.w.orders)
	if err != nil {
		return err
	}
	if fresh < len(t.w.orders)/insertOrders.columns {
		return store.ErrExists
	}
	_, err = t.insert(insertSKUs, t.w.skus)
	return err
}

// shop returns the number that stands for a shop, and makes one for a new shop.
func (t *tx) shop(name string) (int64, error) {
	if n, ok := t.w.shops[name]; ok {
		return n, nil
	}
	var n int64
	found, err := one(t, "SELECT n FROM shops WHERE name = ?", []any{name}, &n)
	if err == nil && !found {
		if _, err = t.exec("INSERT INTO shops (name) VALUES (?)", name); err == nil {
			_, err = one(t, "SELECT n FROM shops WHERE name = ?", []any{name}, &n)
		}
	}
	if err != nil {
		return 0, err
	}
	t.after = append(t.after, func() { t.w.shops[name] = n })
	return n, nil
}

// Update is [store.Orders].Update.
func (s *Store) Update(ctx context.Context, shop, id, payid string, decide func(store.Subject) (*store.Change, error)) (*order.Order, error) {
	var after *order.Order
	var decided error
	err := s.write(ctx, func(t *tx) error {
		after, decided = nil, nil
		o, err := find(t, id)
		if err != nil {
			return err
		}
		if o == nil || o.Shop != shop {
			return store.ErrNotFound
		}
		number, err := t.shop(shop)
		if err != nil {
			return err
		}
		var payidOf string
		if payid != "" {
			if _, err := one(t, "SELECT order_id FROM payids WHERE shop = ? AND payid = ? AND order_id <> ?",
				[]any{number, payid, id}, &payidOf); err != nil {
				return err
			}
		}
		sub := store.Subject{Order: o.Order, PayidOf: payidOf}
		// What decide does to its copy must not show in ours.
		sub.Order.Lines, sub.Order.Payments = slices.Clone(o.Lines), slices.Clone(o.Payments)
		c, err := decide(sub)
		if err != nil {
			decided = err
			return err
		}
		after = &o.Order
		if c == nil {
			return nil
		}
		return t.change(number, o, c)
	})
	if decided != nil && errors.Is(err, decided) {
		return nil, decided
	}
	if err != nil {
		return nil, fmt.Errorf("updating order: %w", err)
	}
	return after, nil
}

// change writes c and makes o what it is afterwards.
func (t *tx) change(shop int64, o *row, c *store.Change) error {
	t.changed = append(t.changed, o.ID)
	was := o.State
	o.State, o.Late, o.Note, o.Answer = c.Order.State, c.Order.Late, c.Order.Note, c.Order.Answer
	o.PaidAt, o.ShippedAt, o.RefundedAt = at(ms(c.Order.PaidAt)), at(ms(c.Order.ShippedAt)), at(ms(c.Order.RefundedAt))
	o.AnsweredAt = at(ms(c.Order.AnsweredAt))
	if c.SetNextQuery {
		o.next = ms(c.NextQuery)
	}
	more, err := encodeHistory(c.Entries)
	if err != nil {
		return err
	}
	if c.Payment != nil {
		if err := t.addPayment(shop, o, *c.Payment, c.AdoptID); err != nil {
			return err
		}
	}
	payments, err := encodePayments(o.Payments)
	if err != nil {
		return err
	}
	if _, err := t.exec(`UPDATE orders SET state = ?, late = ?, note = ?, answer = ?, paid = ?, shipped = ?, refunded = ?,
		answered = ?, next = ?, history = history || ?, payments = ? WHERE id = ?`, o.State.String(), o.Late, o.Note, o.Answer, ms(o.PaidAt), ms(o.ShippedAt), ms(o.RefundedAt),
		ms(o.AnsweredAt), o.next, more, payments, o.ID); err != nil {
		return err
	}
	if o.State != was {
		t.count(shop, o.Client, was, -1)
		t.count(shop, o.Client, o.State, 1)
	}
	for _, e := range c.Events {
		if err := t.addEvent(shop, o.ID, e); err != nil {
			return err
		}
	}
	t.notices = append(t.notices, store.Notice{Shop: o.Shop, ID: o.ID, State: o.State, Was: was})
	return nil
}

// addPayment adds p to the order, or gives its payid to a payment that has
// none, unless the order has it already. Without a payid, payments of the same
// amounts are one.
func (t *tx) addPayment(shop int64, o *row, p order.Payment, adopt bool) error {
	nameless := -1
	for i, kept := range o.Payments {
		sameMoney := kept.PayMoney == p.PayMoney && kept.RealPay == p.RealPay
		if kept.PayID == p.PayID && (p.PayID != "" || sameMoney) {
			return nil
		}
		if kept.PayID == "" && (nameless < 0 || sameMoney && o.Payments[nameless].RealPay != p.RealPay) {
			nameless = i
		}
	}
	if adopt && nameless >= 0 {
		o.Payments[nameless].PayID = p.PayID
	} else {
		p.At = at(ms(p.At))
		o.Payments = append(o.Payments, p)
	}
	if p.PayID == "" {
		return nil
	}
	_, err := t.exec("INSERT INTO payids (shop, payid, order_id) VALUES (?, ?, ?)", shop, p.PayID, o.ID)
	return err
}

func (t *tx) addEvent(shop int64, id string, e store.Event) error {
	if len(e.Targets) == 0 {
		return nil
	}
	if _, err := t.exec("INSERT INTO events (order_id, id, type, at, payload) VALUES (?, ?, ?, ?, ?)",
		id, e.ID, e.Type, ms(e.At), e.Payload); err != nil {
		return err
	}
	for _, target := range e.Targets {
		if _, err := t.exec("INSERT INTO deliveries (shop, order_id, event_id, target, state, next, created) VALUES (?, ?, ?, ?, 'pending', ?5, ?5)",
			shop, id, e.ID, target, ms(e.At)); err != nil {
			return err
		}
	}
	return nil
}

// KeepOrphan is [store.Orders].KeepOrphan. The first time it was told is kept.
func (s *Store) KeepOrphan(ctx context.Context, o store.Orphan) (fresh bool, err error) {
	err = s.write(ctx, func(t *tx) error {
		shop, err := t.shop(o.Shop)
		if err != nil {
			return err
		}
		n, err := t.exec(`INSERT INTO orphans (shop, payid, order_id, orderuid, paymoney, realpay, at, seen)
			VALUES (?, ?, ?, ?, ?, ?, ?, 1) ON CONFLICT DO NOTHING`,
			shop, o.PayID, o.OrderID, o.OrderUID, o.PayMoney, o.RealPay, ms(o.At))
		if err != nil {
			return err
		}
		if fresh = n > 0; fresh {
			return nil
		}
		_, err = t.exec(`UPDATE orphans SET seen = seen + 1
			WHERE shop = ? AND payid = ? AND order_id = ? AND paymoney = ? AND realpay = ?`,
			shop, o.PayID, o.OrderID, o.PayMoney, o.RealPay)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("keeping orphan: %w", err)
	}
	return fresh, nil
}
