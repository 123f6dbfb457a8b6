package handlers

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/payment"
	"github.com/caddy-checkout/checkout/internal/store"
)

func TestNotifyAnswers(t *testing.T) {
	r := newRig(t, nil)
	pending, other, expired := r.put(order.Pending).ID, r.put(order.Pending).ID, r.put(order.Expired).ID
	paid := notifyBody(t, "p1", pending, "78.01", "78.01")
	tests := []struct {
		name, body string
		status     int
		word       string
		verdict    payment.Verdict
	}{
		{"paid", paid, 200, "success", payment.NotifyPaid},
		{"again", paid, 200, "success", payment.NotifyDuplicate},
		{"second", notifyBody(t, "p2", pending, "78.01", "78.01"), 200, "success", payment.NotifySecond},
		{"too little", notifyBody(t, "p3", other, "78.01", "0.01"), 200, "success", payment.NotifyReview},
		{"late", notifyBody(t, "p4", expired, "78.01", "78.01"), 200, "success", payment.NotifyLate},
		{"orphan", notifyBody(t, "p5", order.NewID(time.Now()), "78.01", "78.01"), 404, "unknown", payment.NotifyOrphan},
		{"no order id at all", notifyBody(t, "p6", "x", "78.01", "78.01"), 404, "unknown", payment.NotifyOrphan},
		{"bad key", strings.Replace(paid, "realpay=78.01", "realpay=78.02", 1), 403, "key", payment.NotifyBadKey},
		{"field twice", paid + "&realpay=78.01", 400, "malformed", payment.NotifyMalformed},
		{"field missing", strings.Replace(paid, "payid=p1&", "", 1), 400, "malformed", payment.NotifyMalformed},
		{"escape", paid + "&x=%zz", 400, "malformed", payment.NotifyMalformed},
		{"empty", "", 400, "malformed", payment.NotifyMalformed},
		{"large", paid + "&x=" + strings.Repeat("x", 17<<10), 413, "large", payment.NotifyMalformed},
	}
	for _, tt := range tests {
		w := r.do("POST", "/checkout/notify", tt.body)
		if w.Code != tt.status || w.Body.String() != tt.word {
			t.Errorf("%s: %d %q, want %d %q", tt.name, w.Code, w.Body, tt.status, tt.word)
		}
		if got := w.Header().Get("Content-Type"); got != "text/plain; charset=utf-8" {
			t.Errorf("%s: Content-Type %q", tt.name, got)
		}
		if got := r.heard.verdicts[len(r.heard.verdicts)-1]; got != tt.verdict {
			t.Errorf("%s: heard %s, want %s", tt.name, got, tt.verdict)
		}
	}
	if len(r.heard.verdicts) != len(tests) {
		t.Errorf("%d verdicts for %d notifies", len(r.heard.verdicts), len(tests))
	}
}

func TestNotifyIgnoresTheQueryAndOtherTypes(t *testing.T) {
	r := newRig(t, nil)
	body := notifyBody(t, "p1", r.put(order.Pending).ID, "78.01", "78.01")
	for _, contentType := range []string{"text/plain", "multipart/form-data; boundary=x", "application/json", ""} {
		if w := r.do("POST", "/checkout/notify", body, "Content-Type: "+contentType); w.Code != 400 {
			t.Errorf("%q: %d, want 400", contentType, w.Code)
		}
	}
	if w := r.do("POST", "/checkout/notify?"+body, ""); w.Code != 400 {
		t.Errorf("all in the query: %d, want 400", w.Code)
	}
	// Nobody's browser is meant to come here, so nothing is refused by its origin.
	if w := r.do("POST", "/checkout/notify?realpay=0.01", body, "Origin: https://evil.example", "Sec-Fetch-Site: cross-site"); w.Code != 200 {
		t.Errorf("with a query: %d, want 200", w.Code)
	}
}

func TestNotifyNotKept(t *testing.T) {
	r := newRig(t, nil)
	body := notifyBody(t, "p1", r.put(order.Pending).ID, "78.01", "78.01")
	for _, err := range []error{fmt.Errorf("full: %w", store.ErrUnavailable), errors.New("surprise")} {
		r.store.failWith(err)
		w := r.do("POST", "/checkout/notify", body)
		if w.Code != 503 || w.Header().Get("Retry-After") == "" || w.Body.String() != "unavailable" {
			t.Errorf("%v: %d %q", err, w.Code, w.Body)
		}
	}
	r.store.failWith(nil)
	if w := r.do("POST", "/checkout/notify", body); w.Code != 200 {
		t.Errorf("afterwards: %d", w.Code)
	}
}

func BenchmarkNotifyDuplicate(b *testing.B) {
	r := newRig(b, nil)
	body := notifyBody(b, "p1", r.put(order.Pending).ID, "78.01", "78.01")
	r.do("POST", "/checkout/notify", body)
	req := httptest.NewRequest("POST", "/checkout/notify", nil)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	reader := strings.NewReader(body)
	w := &discard{header: make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(body)
		req.Body = readCloser{reader}
		req.ContentLength = int64(len(body))
		w.reset()
		r.ServeHTTP(w, req)
		if w.status != 200 {
			b.Fatal(w.status)
		}
	}
}
