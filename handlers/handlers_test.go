package handlers

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

func TestStatusOfEveryRouteAndMethod(t *testing.T) {
	r := newRig(t, nil)
	id := r.put(order.Pending).ID
	unknown := order.NewID(time.Now())
	tests := []struct {
		path   string
		answer map[string]int // by method; others: 405
		allow  string
	}{
		{"/checkout?sku=mug", map[string]int{"GET": 200, "HEAD": 200, "POST": 400}, "GET, HEAD, POST"},
		{"/checkout/notify", map[string]int{"POST": 400}, "POST"},
		{"/checkout/return/" + id, map[string]int{"GET": 200, "HEAD": 200}, "GET, HEAD"},
		{"/checkout/return/" + unknown, map[string]int{"GET": 404, "HEAD": 404}, "GET, HEAD"},
		{"/checkout/status?orderid=" + id, map[string]int{"GET": 200, "HEAD": 200}, "GET, HEAD"},
		{"/checkout/status?orderid=" + unknown, map[string]int{"GET": 404, "HEAD": 404}, "GET, HEAD"},
	}
	for _, tt := range tests {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"} {
			w := r.do(method, tt.path, "")
			want, ok := tt.answer[method]
			if !ok {
				want = 405
				if got := w.Header().Get("Allow"); got != tt.allow {
					t.Errorf("%s %s: Allow %q, want %q", method, tt.path, got, tt.allow)
				}
			}
			if w.Code != want {
				t.Errorf("%s %s: %d, want %d", method, tt.path, w.Code, want)
			}
			if method == "HEAD" && w.Body.Len() > 0 {
				t.Errorf("HEAD %s has a body", tt.path)
			}
			if got := w.Header().Get("Cache-Control"); got != "no-store" {
				t.Errorf("%s %s: Cache-Control %q", method, tt.path, got)
			}
		}
	}
	for _, path := range []string{"/checkout/", "/checkout/x", "/checkout/return", "/checkout/return/", "/checkout/return/" + id + "/", "/checkout/notify/"} {
		if w := r.do("GET", path, ""); w.Code != 404 {
			t.Errorf("GET %s: %d, want 404", path, w.Code)
		}
	}
}

func TestHeadMatchesGet(t *testing.T) {
	r := newRig(t, nil)
	for _, path := range []string{"/checkout?sku=mug", "/checkout", "/checkout/return/" + r.put(order.Paid).ID} {
		get, head := r.do("GET", path, ""), r.do("HEAD", path, "")
		for _, name := range []string{"Content-Type", "Content-Length", "Vary", "Referrer-Policy"} {
			if got, want := head.Header().Get(name), get.Header().Get(name); got != want || got == "" {
				t.Errorf("HEAD %s: %s %q, want %q", path, name, got, want)
			}
		}
	}
}

func TestUnavailable(t *testing.T) {
	r := newRig(t, nil)
	id := r.put(order.Pending).ID
	service := r.service
	body := notifyBody(t, "1", id, "78.01", "78.01")
	for _, down := range []string{"no service", "store fails"} {
		if down == "no service" {
			r.service = nil
		} else {
			r.service = service
			r.store.failWith(fmt.Errorf("disk gone: %w", store.ErrUnavailable))
		}
		for _, req := range [][3]string{
			{"POST", "/checkout", "sku=mug"},
			{"POST", "/checkout/notify", body},
			{"GET", "/checkout/return/" + id, ""},
			{"GET", "/checkout/status?orderid=" + id, ""},
		} {
			for _, accept := range []string{"text/html", "application/json"} {
				w := r.do(req[0], req[1], req[2], "Accept: "+accept)
				if w.Code != 503 || w.Header().Get("Retry-After") == "" {
					t.Errorf("%s: %s %s: %d, Retry-After %q", down, req[0], req[1], w.Code, w.Header().Get("Retry-After"))
				}
				if strings.Contains(w.Body.String(), "disk gone") {
					t.Errorf("%s %s tells what is internal", req[0], req[1])
				}
			}
		}
	}
	r.service = nil
	if w := r.do("GET", "/checkout?sku=mug", ""); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("review: %d", w.Code)
	}
	r.service = service
	r.store.failWith(errors.New("something new"))
	if w := r.do("POST", "/checkout", "sku=mug"); w.Code != 500 {
		t.Errorf("unexpected error: %d, want 500", w.Code)
	}
}

func TestSharedWithAllowedOrigins(t *testing.T) {
	const friend = "https://www.example.com"
	r := newRig(t, func(c *Config) { c.AllowOrigins = []string{friend} })
	id := r.put(order.Pending).ID
	tests := []struct {
		method, path, origin string
		status               int
		shared               bool
	}{
		{"POST", "/checkout", friend, 200, true},
		{"POST", "/checkout", "https://evil.example", 403, false},
		{"POST", "/checkout", "null", 403, false},
		{"POST", "/checkout", friend + ".evil.example", 403, false},
		{"OPTIONS", "/checkout", friend, 204, true},
		{"OPTIONS", "/checkout", "https://evil.example", 204, false},
		{"GET", "/checkout/status?orderid=" + id, friend, 200, true},
		{"GET", "/checkout/status?orderid=0", friend, 404, true},
		{"GET", "/checkout/status?orderid=" + id, "https://evil.example", 200, false},
		{"OPTIONS", "/checkout/status?orderid=" + id, friend, 204, true},
		{"OPTIONS", "/checkout/return/" + id, friend, 405, false},
		{"GET", "/checkout/return/" + id, friend, 200, false},
		{"DELETE", "/checkout", friend, 405, true},
	}
	for _, tt := range tests {
		w := r.do(tt.method, tt.path, "sku=mug", "Origin: "+tt.origin, "Accept: application/json")
		if w.Code != tt.status {
			t.Errorf("%s %s from %s: %d, want %d", tt.method, tt.path, tt.origin, w.Code, tt.status)
		}
		want := ""
		if tt.shared {
			want = friend
		}
		if got := w.Header().Get("Access-Control-Allow-Origin"); got != want {
			t.Errorf("%s %s from %s: Access-Control-Allow-Origin %q, want %q", tt.method, tt.path, tt.origin, got, want)
		}
		if w.Header().Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s %s: credentials allowed", tt.method, tt.path)
		}
	}
	w := r.do("OPTIONS", "/checkout", "", "Origin: "+friend, "Access-Control-Request-Method: POST")
	if got := w.Header().Get("Access-Control-Allow-Methods"); got != "GET, HEAD, POST" {
		t.Errorf("preflight allows %q", got)
	}
	if got := r.do("DELETE", "/checkout", "").Header().Get("Allow"); got != "GET, HEAD, POST, OPTIONS" {
		t.Errorf("Allow %q", got)
	}
	if got := w.Header().Values("Vary"); !slices.Contains(got, "Origin") {
		t.Errorf("Vary %q", got)
	}
}

func TestNewRefuses(t *testing.T) {
	good := newRig(t, nil).config
	for name, spoil := range map[string]func(*Config){
		"no service":     func(c *Config) { c.Service = nil },
		"no client":      func(c *Config) { c.Client = nil },
		"relative path":  func(c *Config) { c.Path = "checkout" },
		"slash at end":   func(c *Config) { c.Path = "/checkout/" },
		"gateway path":   func(c *Config) { c.GatewayOrigin = "https://gateway.example/pay" },
		"gateway policy": func(c *Config) { c.GatewayOrigin = "https://gateway.example;script-src" },
		"no gateway":     func(c *Config) { c.GatewayOrigin = "" },
		"allowed origin": func(c *Config) { c.AllowOrigins = []string{"www.example.com"} },
	} {
		c := good
		spoil(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// The hook hears which order a request is about, and never one that a forger
// named.
func TestSeen(t *testing.T) {
	var got []string
	r := newRig(t, func(c *Config) {
		c.Seen = func(_ *http.Request, id string, o *order.Order) {
			state := "unread"
			if o != nil {
				state = o.State.String()
			}
			got = append(got, id+" "+state)
		}
	})
	paid, pending := r.put(order.Paid).ID, r.put(order.Pending).ID
	const stray = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
	forged := strings.Replace(notifyBody(t, "9", pending, "78.01", "78.01"), "key=", "key=0", 1)
	for _, tc := range []struct{ method, target, body, want string }{
		{"GET", "/checkout/return/" + paid, "", paid + " paid"},
		{"GET", "/checkout/status?orderid=" + pending, "", pending + " pending"},
		{"POST", "/checkout/notify", notifyBody(t, "8", pending, "78.01", "78.01"), pending + " unread"},
		{"POST", "/checkout/notify", notifyBody(t, "8", stray, "78.01", "78.01"), stray + " unread"},
		{"POST", "/checkout/notify", forged, ""},
		{"POST", "/checkout/notify", "payid=1", ""},
		{"GET", "/checkout/return/" + stray, "", ""},
		{"GET", "/checkout/status?orderid=" + stray, "", ""},
		{"GET", "/checkout?sku=mug", "", ""},
		{"POST", "/checkout", "sku=absent", ""},
	} {
		got = nil
		r.do(tc.method, tc.target, tc.body)
		if strings.Join(got, ", ") != tc.want {
			t.Errorf("%s %s: heard %q, want %q", tc.method, tc.target, got, tc.want)
		}
	}
	got = nil
	w := r.do("POST", "/checkout", "sku=mug", "Accept: application/json")
	if len(got) != 1 || !strings.HasSuffix(got[0], " pending") || !strings.Contains(w.Body.String(), got[0][:26]) {
		t.Errorf("POST /checkout: heard %q after %s", got, w.Body)
	}
}
