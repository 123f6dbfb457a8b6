package handlers

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-checkout/checkout/internal/order"
)

type readCloser struct{ io.Reader }

func (readCloser) Close() error { return nil }

// discard is a ResponseWriter that costs nothing.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) reset()                      { clear(d.header); d.status = 0 }

func benchmarkGet(b *testing.B, r *rig, target string) {
	req := httptest.NewRequest("GET", target, nil)
	req.Header.Set("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
	req.Header.Set("Accept-Language", "zh-CN,zh;q=0.9,en;q=0.8")
	w := &discard{header: make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		w.reset()
		r.ServeHTTP(w, req)
		if w.status != 200 {
			b.Fatal(w.status)
		}
	}
}

func BenchmarkStatusPaid(b *testing.B) {
	r := newRig(b, nil)
	benchmarkGet(b, r, "/checkout/status?orderid="+r.put(order.Paid).ID)
}

func BenchmarkReview(b *testing.B) {
	benchmarkGet(b, newRig(b, nil), "/checkout?sku=mug&qty=2")
}

func BenchmarkReceipt(b *testing.B) {
	r := newRig(b, nil)
	benchmarkGet(b, r, "/checkout/return/"+r.put(order.Paid).ID)
}

func BenchmarkCheckout(b *testing.B) {
	for _, accept := range []string{"application/json", "text/html"} {
		b.Run(accept, func(b *testing.B) {
			r := newRig(b, nil)
			req := httptest.NewRequest("POST", "/checkout", nil)
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.Header.Set("Accept", accept)
			w := &discard{header: make(http.Header)}
			b.ReportAllocs()
			for b.Loop() {
				r.store.orders = make(map[string]order.Order)
				req.Body = readCloser{strings.NewReader("sku=mug&qty=2")}
				w.reset()
				r.ServeHTTP(w, req)
				if w.status != 200 {
					b.Fatal(w.status)
				}
			}
		})
	}
}
