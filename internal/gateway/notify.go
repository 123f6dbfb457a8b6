package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/caddy-checkout/checkout/sign"
)

// MaxNotifyBytes bounds the body of a notify.
const MaxNotifyBytes = 16 << 10

// maxValue bounds, in bytes, what the gateway may send as a value that is
// kept. Its own ids have 14 digits, and the longest value it echoes has 40.
const maxValue = 64

var (
	// ErrMalformed: a notify that is not what the protocol says.
	ErrMalformed = errors.New("malformed notify")
	// ErrTooLarge: a notify body over MaxNotifyBytes.
	ErrTooLarge = errors.New("notify too large")
)

// Notify is the gateway's message that an order was paid (protocol section 2).
type Notify struct {
	PayID, OrderID, OrderUID, PayMoney, RealPay, Key string
}

// ParseNotify reads a notify from a request: POST body only, form content
// type, at most MaxNotifyBytes, every field exactly once and but for the key
// at most 64 bytes, payid and orderid not empty, valid UTF-8 without NUL. It
// does not verify the key. Further fields are ignored if they are well-formed.
// Errors wrap ErrMalformed or ErrTooLarge and hold nothing of the body.
func ParseNotify(r *http.Request) (Notify, error) {
	if r.Method != http.MethodPost {
		return Notify{}, fmt.Errorf("%w: not a POST", ErrMalformed)
	}
	if !isForm(r.Header["Content-Type"]) {
		return Notify{}, fmt.Errorf("%w: content type is not application/x-www-form-urlencoded", ErrMalformed)
	}
	body, err := readBody(r)
	if err != nil {
		return Notify{}, err
	}
	return parseForm(body)
}

// VerifyNotify checks the key. Errors are those of package sign.
func (c *Client) VerifyNotify(n Notify) error {
	return sign.Notify.Verify(n.Key, c.tokens, n.PayID, n.OrderID, n.OrderUID, n.PayMoney, n.RealPay)
}

func isForm(contentTypes []string) bool {
	const form = "application/x-www-form-urlencoded"
	if len(contentTypes) != 1 {
		return false
	}
	if contentTypes[0] == form {
		return true
	}
	mediaType, params, err := mime.ParseMediaType(contentTypes[0])
	if err != nil || mediaType != form {
		return false
	}
	charset, named := params["charset"]
	return len(params) == 0 || (len(params) == 1 && named && strings.EqualFold(charset, "utf-8"))
}

var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func readBody(r *http.Request) (string, error) {
	if r.ContentLength > MaxNotifyBytes {
		return "", ErrTooLarge
	}
	b := bodies.Get().(*bytes.Buffer)
	defer bodies.Put(b)
	b.Reset()
	_, err := b.ReadFrom(io.LimitReader(r.Body, MaxNotifyBytes+1))
	var tooLarge *http.MaxBytesError
	if b.Len() > MaxNotifyBytes || errors.As(err, &tooLarge) {
		return "", ErrTooLarge
	}
	if err != nil {
		return "", fmt.Errorf("%w: reading body: %w", ErrMalformed, err)
	}
	return b.String(), nil
}

// parseForm is stricter than url.ParseQuery, and makes no map.
func parseForm(body string) (Notify, error) {
	var n Notify
	fields := [...]struct {
		name  string
		value *string
		seen  bool
	}{
		{name: "payid", value: &n.PayID},
		{name: "orderid", value: &n.OrderID},
		{name: "orderuid", value: &n.OrderUID},
		{name: "paymoney", value: &n.PayMoney},
		{name: "realpay", value: &n.RealPay},
		{name: "key", value: &n.Key},
	}
	for pair := range strings.SplitSeq(body, "&") {
		if pair == "" {
			continue
		}
		name, value, err := parsePair(pair)
		if err != nil {
			return Notify{}, err
		}
		for i := range fields {
			f := &fields[i]
			if f.name != name {
				continue
			}
			if f.seen {
				return Notify{}, fmt.Errorf("%w: %s stands twice", ErrMalformed, name)
			}
			*f.value, f.seen = value, true
		}
	}
	for _, f := range fields {
		if !f.seen {
			return Notify{}, fmt.Errorf("%w: %s is missing", ErrMalformed, f.name)
		}
		if len(*f.value) > maxValue && f.name != "key" {
			return Notify{}, fmt.Errorf("%w: %s has %d bytes", ErrMalformed, f.name, len(*f.value))
		}
	}
	if n.PayID == "" || n.OrderID == "" {
		return Notify{}, fmt.Errorf("%w: payid or orderid is empty", ErrMalformed)
	}
	return n, nil
}

func parsePair(pair string) (name, value string, err error) {
	name, value, ok := strings.Cut(pair, "=")
	if !ok {
		return "", "", fmt.Errorf("%w: a pair without '='", ErrMalformed)
	}
	if strings.Contains(pair, ";") {
		return "", "", fmt.Errorf("%w: a pair holds ';'", ErrMalformed)
	}
	for _, s := range []*string{&name, &value} {
		if *s, err = url.QueryUnescape(*s); err != nil {
			return "", "", fmt.Errorf("%w: a pair holds a broken escape", ErrMalformed)
		}
		if !utf8.ValidString(*s) || strings.Contains(*s, "\x00") {
			return "", "", fmt.Errorf("%w: a pair holds NUL or invalid UTF-8", ErrMalformed)
		}
	}
	return name, value, nil
}
