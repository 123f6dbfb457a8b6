package checkout

import (
	"context"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func TestRateLimit(t *testing.T) {
	now := time.Now()
	l := newRateLimit(3, time.Minute)
	l.now = func() time.Time { return now }
	for i := range 3 {
		if _, ok := l.allow("a"); !ok {
			t.Fatalf("refused turn %d of 3", i+1)
		}
	}
	if after, ok := l.allow("a"); ok || after != 20 {
		t.Errorf("4th turn: got %d, %v; want 20 s", after, ok)
	}
	if _, ok := l.allow("b"); !ok {
		t.Error("another client was refused")
	}
	now = now.Add(19 * time.Second)
	if after, ok := l.allow("a"); ok || after != 1 {
		t.Errorf("after 19 s: got %d, %v; want 1 s", after, ok)
	}
	now = now.Add(time.Second)
	if _, ok := l.allow("a"); !ok {
		t.Error("refused after the time it had named")
	}
}

func TestRateLimitIsBounded(t *testing.T) {
	now := time.Now()
	l := newRateLimit(1, time.Minute)
	l.now = func() time.Time { return now }
	for i := range maxBuckets + 100 {
		l.allow(fmt.Sprint(i))
	}
	if n := len(l.buckets); n != maxBuckets {
		t.Errorf("%d clients are remembered, want %d", n, maxBuckets)
	}
	now = now.Add(time.Minute)
	l.allow("a")
	if n := len(l.buckets); n != 1 {
		t.Errorf("%d clients are remembered after a window, want 1", n)
	}
}

func TestEffectiveLimits(t *testing.T) {
	byDefault := Limits{
		PendingPerClient: 50, PendingTotal: 100_000, CheckoutsPerClient: 60, CheckoutsWindow: caddy.Duration(time.Minute),
		WaitsPerClient: 20, WaitsTotal: 10_000, GatewayRate: 10,
	}
	some := byDefault
	some.PendingTotal, some.WaitsTotal = 0, 7
	for name, tc := range map[string]struct {
		l    *Limits
		want Limits
	}{
		"none": {nil, byDefault},
		"some": {&Limits{PendingTotal: -1, WaitsTotal: 7}, some},
		"off":  {&Limits{Off: true, WaitsTotal: 7, GatewayRate: 2}, Limits{Off: true, GatewayRate: 2}},
	} {
		if got := tc.l.effective(); got != tc.want {
			t.Errorf("%s: got %+v, want %+v", name, got, tc.want)
		}
	}
}

func TestClientOf(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.7":            "192.0.2.7",
		"::ffff:192.0.2.7":     "192.0.2.7",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
		"2001:db8:1:2::1":      "2001:db8:1:2::/64",
		"2001:db8:1:3::1":      "2001:db8:1:3::/64",
		"fe80::1%eth0":         "fe80::/64",
		"":                     "",
		"@":                    "@",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r = r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, map[string]any{caddyhttp.ClientIPVarKey: addr}))
		if got := clientOf(r); got != want {
			t.Errorf("%q: got %q, want %q", addr, got, want)
		}
	}
}
