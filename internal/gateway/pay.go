package gateway

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/sign"
)

// The limits of the pay request's values, in bytes (protocol section 1).
const (
	MaxOrderID   = 40
	MaxOrderName = 100
	MaxPayMoney  = 14
	MaxOrderUID  = 40
	MaxURL       = 80 // of notifyurl and of returnurl
	MaxOrderInfo = 500
)

// payType is Alipay, the one way to pay that the protocol names.
const payType = "11"

// Field is a named value of a form, in the order of the protocol's table.
type Field struct{ Name, Value string }

// PayForm is the form that the buyer's browser posts (protocol section 1).
type PayForm struct {
	Action string  // <base>/pay.action
	Fields []Field // the nine fields and key
}

// PayRequest is what a pay form says besides uid, paytype and key. OrderName,
// OrderUID and OrderInfo may be empty.
type PayRequest struct {
	OrderID, OrderName, PayMoney, OrderUID, NotifyURL, ReturnURL, OrderInfo string
}

// PayForm signs p. It refuses a value that is required and missing, over its
// limit in bytes or not fit to be signed (the error wraps sign.ErrValue), and a
// PayMoney that is not yuan with two decimals. Errors name the field.
func (c *Client) PayForm(p PayRequest) (*PayForm, error) {
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("signing pay request: %w", err)
	}
	values := []string{c.uid, p.OrderID, p.OrderName, p.PayMoney, p.OrderUID, payType, p.NotifyURL, p.ReturnURL, p.OrderInfo}
	// What is not signed is checked all the same: the gateway reads it too.
	if err := sign.Pay.Check(values...); err != nil {
		return nil, fmt.Errorf("signing pay request: %w", err)
	}
	fields := make([]Field, 0, len(sign.Pay)+1)
	for i, name := range sign.Pay {
		fields = append(fields, Field{name, values[i]})
	}
	key, err := c.pay.Key(c.tokens[0], pick(values[:0], c.pay, fields)...)
	if err != nil {
		return nil, fmt.Errorf("signing pay request: %w", err)
	}
	return &PayForm{Action: c.action, Fields: append(fields, Field{"key", key})}, nil
}

func (p PayRequest) check() error {
	for _, f := range []struct {
		name, value string
		limit       int
		required    bool
	}{
		{"orderid", p.OrderID, MaxOrderID, true},
		{"ordername", p.OrderName, MaxOrderName, false},
		{"paymoney", p.PayMoney, MaxPayMoney, true},
		{"orderuid", p.OrderUID, MaxOrderUID, false},
		{"notifyurl", p.NotifyURL, MaxURL, true},
		{"returnurl", p.ReturnURL, MaxURL, true},
		{"orderinfo", p.OrderInfo, MaxOrderInfo, false},
	} {
		if f.required && f.value == "" {
			return fmt.Errorf("%s is empty", f.name)
		}
		if len(f.value) > f.limit {
			return fmt.Errorf("%s has %d bytes, %d more than it may", f.name, len(f.value), len(f.value)-f.limit)
		}
	}
	if _, err := order.ParseMoney(p.PayMoney); err != nil {
		return fmt.Errorf("paymoney: %w with two decimals", order.ErrMoney)
	}
	return nil
}

// pick appends the values of the named fields, in the order of the names.
func pick(values []string, names sign.Fields, fields []Field) []string {
	for _, name := range names {
		for _, f := range fields {
			if f.Name == name {
				values = append(values, f.Value)
			}
		}
	}
	return values
}

// Title makes text fit for ordername, orderinfo or orderuid: '&' becomes '＆',
// a tab or line feed a space, what else cannot be signed is dropped, and the
// rest is cut at limit bytes on a character boundary.
func Title(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '&':
			return '＆'
		case r == '\t' || r == '\n':
			return ' '
		case !sign.Signable(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	if len(text) <= limit {
		return text
	}
	end := max(limit, 0)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}
