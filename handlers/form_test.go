package handlers

import (
	"errors"
	"io"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/payment"
)

func TestWishes(t *testing.T) {
	tests := []struct {
		query string
		want  string // sku*qty, in order; or an error's code
	}{
		{"sku=mug", "mug*1"},
		{"sku=mug&qty=2", "mug*2"},
		{"sku=mug&sku=pot", "mug*1 pot*1"},
		{"sku=mug&qty=2&sku=pot&qty=3", "mug*2 pot*3"},
		{"sku=mug&sku=pot&qty=2&qty=3", "mug*2 pot*3"},
		{"qty=2&sku=mug", "mug*2"},
		{"sku=mug&qty=2&sku=mug&qty=3", "mug*2 mug*3"},
		{"sku=a%26b&utm_source=x&price=0.01", "a&b*1"},
		{"sku=%E8%8C%B6", "茶*1"},
		{"&&sku=mug&", "mug*1"},
		{"sku=mug&qty=999", "mug*999"},
		{"", ""},
		{"sku=mug&sku=pot&qty=2", "malformed"},
		{"sku=mug&qty=1&qty=1", "malformed"},
		{"qty=1", "malformed"},
		{"sku=mug;qty=1", "malformed"},
		{"sku=%zz", "malformed"},
		{"sku=%", "malformed"},
		{"sku=%C4%E3", "malformed"},
		{"sku=mug%00", "malformed"},
		{"%zz=1&sku=mug", "malformed"},
		{"sku=mug&qty=0", "bad_qty"},
		{"sku=mug&qty=1000", "bad_qty"},
		{"sku=mug&qty=-1", "bad_qty"},
		{"sku=mug&qty=%2B1", "bad_qty"},
		{"sku=mug&qty=1e2", "bad_qty"},
		{"sku=mug&qty=1.0", "bad_qty"},
		{"sku=mug&qty=", "bad_qty"},
		{"sku=mug&qty=+1", "bad_qty"},
		{"sku=mug&qty=01", "bad_qty"},
		{"sku=mug&qty=%EF%BC%91", "bad_qty"},
		{"sku=mug&qty=99999999999999999999", "bad_qty"},
	}
	for _, tt := range tests {
		pairs, err := parsePairs(tt.query)
		got := ""
		if err == nil {
			var b strings.Builder
			items, e := wishes(pairs)
			for i, it := range items {
				if i > 0 {
					b.WriteByte(' ')
				}
				b.WriteString(it.SKU + "*" + strconv.Itoa(it.Qty))
			}
			got, err = b.String(), e
		}
		if err != nil {
			got = "malformed"
			if errors.Is(err, payment.ErrQty) {
				got = "bad_qty"
			}
		}
		if got != tt.want {
			t.Errorf("%q: %q, want %q", tt.query, got, tt.want)
		}
	}
}

func TestNumber(t *testing.T) {
	for s, want := range map[string]int{"0": 0, "1": 1, "25": 25, "30": 30} {
		if n, ok := number(s, 30); !ok || n != want {
			t.Errorf("%q: %d, %v", s, n, ok)
		}
	}
	for _, s := range []string{"", "31", "-1", "+1", " 1", "1 ", "00", "01", "1.0", "0x1", "1_0", "३", strings.Repeat("9", 40)} {
		if n, ok := number(s, 30); ok {
			t.Errorf("%q is %d", s, n)
		}
	}
}

// FuzzPairs holds parsePairs to net/url: what it accepts, net/url reads alike.
func FuzzPairs(f *testing.F) {
	for _, seed := range []string{"", "sku=mug&qty=2", "a=%41+b&&c", "%zz", "a;b", "=&=", "sku=%C4%E3", "sku=%00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		pairs, err := parsePairs(raw)
		if err != nil {
			return
		}
		want, err := url.ParseQuery(raw)
		if err != nil {
			t.Fatalf("%q: net/url refuses: %v", raw, err)
		}
		got := make(url.Values)
		for _, p := range pairs {
			got.Add(p.name, p.value)
		}
		if got.Encode() != want.Encode() {
			t.Fatalf("%q: %q, net/url reads %q", raw, got.Encode(), want.Encode())
		}
	})
}

// timed is a client that looks at the read deadline as its form is read.
type timed struct {
	*httptest.ResponseRecorder
	io.Reader
	deadline, during time.Time
}

func (c *timed) SetReadDeadline(t time.Time) error {
	c.deadline = t
	return nil
}

func (c *timed) Read(p []byte) (int, error) {
	c.during = c.deadline
	return c.Reader.Read(p)
}

// TestFormsMustCome: whoever sends a form byte by byte is not waited for, and
// an answer that takes its time is not cut off.
func TestFormsMustCome(t *testing.T) {
	r := newRig(t, nil)
	for path, form := range map[string]string{
		"/checkout":        "sku=mug",
		"/checkout/notify": notifyBody(t, "p1", r.put(order.Pending).ID, "78.01", "78.01"),
	} {
		c := &timed{ResponseRecorder: httptest.NewRecorder(), Reader: strings.NewReader(form)}
		req := httptest.NewRequest("POST", path, c)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		before := time.Now()
		r.ServeHTTP(c, req)
		if c.during.Before(before) || c.during.After(time.Now().Add(formTimeout)) {
			t.Errorf("%s: read until %v, want a bound of %v", path, c.during, formTimeout)
		}
		if !c.deadline.IsZero() {
			t.Errorf("%s: the bound is still there for the answer", path)
		}
	}
}
