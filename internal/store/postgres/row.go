package postgres

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// orderColumns are what scanOrder reads, in this order.
const orderColumns = `id, shop, state, late, lines, total, title,
	buyer_name, buyer_email, buyer_tel, buyer_address, buyer_note, orderuid, language, client, test,
	created_at, expires_at, paid_at, note, shipped_at, refunded_at, asked_at, answered_at, answer, payments`

// scanOrder reads an order. more are read after orderColumns.
func scanOrder(row pgx.CollectableRow, more ...any) (order.Order, error) {
	var o order.Order
	var state int16
	var lines, payments string
	var total int64
	var created, expires, paid, shipped, refunded, asked, answered int64
	err := row.Scan(append([]any{
		&o.ID, &o.Shop, &state, &o.Late, &lines, &total, &o.Title,
		&o.Buyer.Name, &o.Buyer.Email, &o.Buyer.Tel, &o.Buyer.Address, &o.Buyer.Note, &o.OrderUID, &o.Language, &o.Client, &o.Test,
		&created, &expires, &paid, &o.Note, &shipped, &refunded, &asked, &answered, &o.Answer, &payments,
	}, more...)...)
	if err != nil {
		return o, err
	}
	o.State, o.Total = order.State(state), order.Money(total)
	o.CreatedAt, o.ExpiresAt, o.PaidAt = at(created), at(expires), at(paid)
	o.ShippedAt, o.RefundedAt, o.AskedAt, o.AnsweredAt = at(shipped), at(refunded), at(asked), at(answered)
	if o.Lines, err = decodeLines(lines); err != nil {
		return o, err
	}
	o.Payments, err = decodePayments(payments)
	return o, err
}

// line is order.Line as it is stored: with the price in fen.
type line struct {
	SKU   string `json:"sku"`
	Name  string `json:"name"`
	Price int64  `json:"price"`
	Qty   int    `json:"qty"`
}

func encodeLines(lines []order.Line) string {
	list := make([]line, len(lines))
	for i, l := range lines {
		list[i] = line{clean(l.SKU), clean(l.Name), int64(l.Price), l.Qty}
	}
	return encode(list)
}

func decodeLines(text string) ([]order.Line, error) {
	var list []line
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("reading the lines of an order: %w", err)
	}
	lines := make([]order.Line, len(list))
	for i, l := range list {
		lines[i] = order.Line{SKU: l.SKU, Name: l.Name, Price: order.Money(l.Price), Qty: l.Qty}
	}
	return lines, nil
}

// payment is order.Payment as it is stored.
type payment struct {
	order.Payment
	At int64 `json:"at"`
}

const noPayments = "[]"

func encodePayments(payments []order.Payment) string {
	if len(payments) == 0 {
		return noPayments
	}
	return encode(column(payments, func(p order.Payment) payment { return payment{p, ms(p.At)} }))
}

func decodePayments(text string) ([]order.Payment, error) {
	if text == noPayments {
		return nil, nil
	}
	var list []payment
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("reading the payments of an order: %w", err)
	}
	return column(list, func(p payment) order.Payment {
		p.Payment.At = at(p.At)
		return p.Payment
	}), nil
}

// encodeHistory makes entries text that may be appended to other such text.
func encodeHistory(entries []order.Entry) string {
	var b strings.Builder
	for _, e := range entries {
		e.At = e.At.UTC().Truncate(time.Millisecond)
		b.WriteString(encode(e))
		b.WriteByte('\n')
	}
	return b.String()
}

// encodeLog is encodeHistory for the attempts of a delivery.
func encodeLog(attempts ...store.Attempt) string {
	var b strings.Builder
	for _, a := range attempts {
		a.At = a.At.UTC().Truncate(time.Millisecond)
		b.WriteString(encode(a))
		b.WriteByte('\n')
	}
	return b.String()
}

// encode is for values of this package's own making, which cannot fail.
func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// decodeAll reads JSON values, one a line.
func decodeAll[T any](text string) (list []T, err error) {
	for l := range strings.Lines(text) {
		var v T
		if err := json.Unmarshal([]byte(l), &v); err != nil {
			return nil, fmt.Errorf("reading a history or log: %w", err)
		}
		list = append(list, v)
	}
	return list, nil
}

// ms is t as it is stored.
func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// msUp is t rounded up: what is stored at or after t, or before it, is at or
// after msUp, or before it.
func msUp(t time.Time) int64 { return ms(t.Add(time.Millisecond - 1)) }

// at is the inverse of ms.
func at(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// storable reports whether PostgreSQL can hold s as text at all. What is not
// can be nobody's id.
func storable(s string) bool {
	return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}

// clean makes s storable.
func clean(s string) string {
	if storable(s) {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// column is one field of each row, as unnest takes it.
func column[R, T any](rows []R, field func(R) T) []T {
	list := make([]T, len(rows))
	for i, r := range rows {
		list[i] = field(r)
	}
	return list
}
