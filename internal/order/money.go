package order

import (
	"errors"
	"fmt"
	"strconv"
)

// Money is an amount in fen, a hundredth of a yuan.
type Money int64

// MaxMoney is the largest amount that fits the 14 bytes which the gateway's
// paymoney field holds (protocol section 1): 99999999999.99 yuan.
const MaxMoney Money = 99_999_999_999_99

// ErrMoney is wrapped by every error of ParseMoney and ParsePrice.
var ErrMoney = errors.New("not an amount of money")

// ParseMoney parses an amount as the gateway writes it: ASCII digits, a point
// and exactly two decimals, no sign, no space, no needless leading zero, at
// most 14 bytes. It is the inverse of [Money.String].
func ParseMoney(s string) (Money, error) {
	m, err := ParsePrice(s)
	if err != nil {
		return 0, err
	}
	if m.String() != s {
		return 0, fmt.Errorf("%w: %q must have exactly two decimals, like %s", ErrMoney, s, m)
	}
	return m, nil
}

// ParsePrice parses an amount as people write prices: like [ParseMoney], but
// none or one decimal will do (39, 39.5).
func ParsePrice(s string) (Money, error) {
	whole, cents, point := s, "", false
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.' && !point:
			whole, cents, point = s[:i], s[i+1:], true
		case c < '0' || c > '9':
			return 0, fmt.Errorf("%w: %q; write yuan in digits with at most two decimals, like 39.00", ErrMoney, s)
		}
	}
	if whole == "" || (point && cents == "") || len(cents) > 2 {
		return 0, fmt.Errorf("%w: %q; write yuan in digits with at most two decimals, like 39.00", ErrMoney, s)
	}
	if len(whole) > 1 && whole[0] == '0' {
		return 0, fmt.Errorf("%w: %q; leave out the leading zero", ErrMoney, s)
	}
	if len(whole) > 11 {
		return 0, fmt.Errorf("%w: %q is more than %s", ErrMoney, s, MaxMoney)
	}
	yuan, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %q", ErrMoney, s)
	}
	fen := int64(0)
	for i := range 2 {
		fen *= 10
		if i < len(cents) {
			fen += int64(cents[i] - '0')
		}
	}
	return Money(yuan*100 + fen), nil
}

// String writes m as the wire does: yuan with exactly two decimals.
func (m Money) String() string {
	return string(m.Append(make([]byte, 0, 20)))
}

// Append appends what [Money.String] returns to b.
func (m Money) Append(b []byte) []byte {
	if m < 0 {
		b, m = append(b, '-'), -m
	}
	b = strconv.AppendInt(b, int64(m)/100, 10)
	return append(b, '.', '0'+byte(m/10%10), '0'+byte(m%10))
}

// MarshalText writes m as the wire does.
func (m Money) MarshalText() ([]byte, error) {
	return m.Append(nil), nil
}

// UnmarshalText parses text by [ParseMoney].
func (m *Money) UnmarshalText(text []byte) error {
	v, err := ParseMoney(string(text))
	if err != nil {
		return err
	}
	*m = v
	return nil
}

// Times returns m × qty, and false when that is over [MaxMoney] or an operand
// is negative.
func (m Money) Times(qty int) (Money, bool) {
	if m < 0 || qty < 0 || (qty > 0 && m > MaxMoney/Money(qty)) {
		return 0, false
	}
	return m * Money(qty), true
}

// Plus returns m + n, and false when that is over [MaxMoney] or an operand is
// negative.
func (m Money) Plus(n Money) (Money, bool) {
	if m < 0 || n < 0 || m > MaxMoney-n {
		return 0, false
	}
	return m + n, true
}
