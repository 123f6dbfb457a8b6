package checkout

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

var nothing = caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })

func TestRouting(t *testing.T) {
	m, err := registerMetrics(newTestRegistry(), noStore)
	if err != nil {
		t.Fatal(err)
	}
	for path, ours := range map[string]bool{
		"/checkout":          true,
		"/checkout/":         true,
		"/checkout/notify":   true,
		"/checkout//notify":  true,
		"/checkout/return/X": true,
		"/":                  false,
		"/checkou":           false,
		"/checkouts":         false,
		"/checkout.html":     false,
		"/Checkout":          false,
		"/shop/checkout":     false,
		"//checkout":         false,
		"/x/../checkout":     false,
	} {
		got := false
		h := &Handler{path: "/checkout", shop: &shop{app: new(App), metrics: m, routes: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { got = true })}}
		passed := false
		next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { passed = true; return nil })
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.Path = path
		if err := h.ServeHTTP(httptest.NewRecorder(), r, next); err != nil {
			t.Fatal(err)
		}
		if got != ours || passed == ours {
			t.Errorf("%s: answered %v, passed on %v", path, got, passed)
		}
	}
}

func TestRouteOf(t *testing.T) {
	for _, tc := range []struct{ method, rest, want string }{
		{"GET", "", "review"},
		{"HEAD", "", "review"},
		{"POST", "", "checkout"},
		{"OPTIONS", "", "other"},
		{"POST", "/notify", "notify"},
		{"GET", "/status", "status"},
		{"GET", "/return/01ARZ3NDEKTSV4RRFFQ69G5FAV", "return"},
		{"GET", "/return", "other"},
		{"GET", "/notify/x", "other"},
		{"GET", "/", "other"},
	} {
		if got := routeOf(tc.method, tc.rest); got != tc.want {
			t.Errorf("%s %q: got %s, want %s", tc.method, tc.rest, got, tc.want)
		}
	}
}

func TestPlaceholders(t *testing.T) {
	const id = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
	s := &shop{id: "1@https://shop.example.com/checkout"}
	for _, tc := range []struct{ target, route, rest, want string }{
		{"/checkout/return/" + id, "return", "/return/" + id, id},
		{"/checkout/status?orderid=" + id, "status", "/status", id},
		{"/checkout/status?orderid=%0aforged", "status", "/status", ""},
		{"/checkout/return/..", "return", "/return/..", ""},
		{"/checkout", "review", "", ""},
	} {
		get := s.placeholders(httptest.NewRequest("GET", tc.target, nil), caddy.NewReplacer(), tc.route, tc.rest)
		for key, want := range map[string]string{
			"http.checkout.order_id": tc.want,
			"http.checkout.route":    tc.route,
			"http.checkout.shop":     s.id,
			"http.checkout.state":    "",
		} {
			if got, ok := get(key); !ok || got != want {
				t.Errorf("%s: %s is %v, want %q", tc.target, key, got, want)
			}
		}
		if _, ok := get("http.checkout.token"); ok {
			t.Error("answers an unknown placeholder")
		}
	}
}

// Requests that are not ours must not pay for the plugin.
func BenchmarkPassOn(b *testing.B) {
	h := &Handler{path: "/checkout"}
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/checkouts/mug.html", nil)
	b.ReportAllocs()
	for b.Loop() {
		_ = h.ServeHTTP(w, r, nothing)
	}
}

func TestPassOnAllocatesNothing(t *testing.T) {
	h := &Handler{path: "/checkout"}
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/checkouts/mug.html", nil)
	if n := testing.AllocsPerRun(100, func() { _ = h.ServeHTTP(w, r, nothing) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
