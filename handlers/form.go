package handlers

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/payment"
)

const (
	// maxForm bounds a query string and a form, in bytes.
	maxForm = 16 << 10

	// formTimeout bounds how long a form may take to come.
	formTimeout = 30 * time.Second
)

var (
	errMalformed = errors.New("malformed form")
	errTooLarge  = errors.New("form too large")
)

// pair is one name=value of a form, in its place.
type pair struct{ name, value string }

// parsePairs parses a query string or a form body. Unlike net/url it keeps the
// order, which joins sku and qty, and refuses invalid UTF-8 and NUL.
func parsePairs(raw string) ([]pair, error) {
	if len(raw) > maxForm {
		return nil, errTooLarge
	}
	if strings.Contains(raw, ";") {
		return nil, errMalformed
	}
	pairs := make([]pair, 0, strings.Count(raw, "&")+1)
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		name, err := unescape(name)
		if err != nil {
			return nil, err
		}
		if value, err = unescape(value); err != nil {
			return nil, err
		}
		pairs = append(pairs, pair{name, value})
	}
	return pairs, nil
}

func unescape(s string) (string, error) {
	s, err := url.QueryUnescape(s)
	if err != nil || !utf8.ValidString(s) || strings.Contains(s, "\x00") {
		return "", errMalformed
	}
	return s, nil
}

// hurry bounds how long r's body may take. Call done when it is read: the
// bound would end the answer, too. Where none can be set, the server's holds.
func hurry(w http.ResponseWriter) (done func()) {
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Now().Add(formTimeout))
	return func() { _ = c.SetReadDeadline(time.Time{}) }
}

// isForm lets other parameters pass, which a notify's must not have.
func isForm(contentType string) bool {
	const form = "application/x-www-form-urlencoded"
	if contentType == form { // as browsers write it
		return true
	}
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil || media != form {
		return false
	}
	charset, named := params["charset"]
	return !named || strings.EqualFold(charset, "utf-8")
}

// readForm reads the form that is r's body.
func readForm(w http.ResponseWriter, r *http.Request) ([]pair, error) {
	if !isForm(r.Header.Get("Content-Type")) {
		return nil, errMalformed
	}
	b := buffer()
	defer buffers.Put(b)
	done := hurry(w)
	_, err := b.ReadFrom(http.MaxBytesReader(w, r.Body, maxForm))
	done()
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, errTooLarge
	}
	if err != nil {
		return nil, errMalformed
	}
	return parsePairs(b.String())
}

// wishes takes the items out of a form. The n-th qty belongs to the n-th sku;
// without any qty it is one of each.
func wishes(pairs []pair) ([]payment.Item, error) {
	var items []payment.Item
	var qtys []int
	for _, p := range pairs {
		switch p.name {
		case "sku":
			items = append(items, payment.Item{SKU: p.value, Qty: 1})
		case "qty":
			n, ok := number(p.value, order.MaxQty)
			if !ok || n == 0 {
				return nil, payment.ErrQty
			}
			qtys = append(qtys, n)
		}
	}
	if len(qtys) == 0 {
		return items, nil
	}
	if len(qtys) != len(items) {
		return nil, errMalformed
	}
	for i, n := range qtys {
		items[i].Qty = n
	}
	return items, nil
}

// number parses plain ASCII digits, without leading zeros, up to limit.
func number(s string, limit int) (int, bool) {
	if s == "" || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		if n = n*10 + int(s[i]-'0'); n > limit {
			return 0, false
		}
	}
	return n, true
}

// buyer takes the fields that the shop asks for out of a form, each at most
// once.
func (s *shop) buyer(pairs []pair) (order.Buyer, error) {
	var b order.Buyer
	seen := make(map[string]bool, len(s.c.Fields))
	for _, p := range pairs {
		field := b.Field(p.name)
		if field == nil || !s.asks(p.name) {
			continue
		}
		if seen[p.name] {
			return b, errMalformed
		}
		seen[p.name] = true
		*field = p.value
	}
	return b, nil
}

func (s *shop) asks(name string) bool {
	for _, f := range s.c.Fields {
		if f.Name == name {
			return true
		}
	}
	return false
}
