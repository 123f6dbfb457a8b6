package checkout

import (
	"context"
	"crypto/rand"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/caddy-checkout/checkout/internal/store"
)

func newTestRegistry() *prometheus.Registry { return prometheus.NewPedanticRegistry() }

// samples returns the samples of a registry whose line begins with one of the prefixes.
func samples(t *testing.T, reg prometheus.Gatherer, prefixes ...string) string {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var text, out strings.Builder
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&text, f); err != nil {
			t.Fatal(err)
		}
	}
	for line := range strings.Lines(text.String()) {
		for _, p := range prefixes {
			if strings.HasPrefix(line, p) {
				out.WriteString(line)
			}
		}
	}
	return out.String()
}

func noStore() store.Store { return nil }

// fakeRecords answers what metrics ask.
type fakeRecords struct {
	store.Store
	ping, stats error
}

func (f fakeRecords) Ping(context.Context) error { return f.ping }

func (f fakeRecords) Stats(context.Context) (*store.Stats, error) {
	if f.stats != nil {
		return nil, f.stats
	}
	return &store.Stats{
		Orders:        map[string]map[string]int{"s": {"pending": 3, "review": 1}},
		Orphans:       map[string]int{"s": 2},
		OutboxPending: map[string]int{"webhook:https://hooks.example.com/secret-a": 1, "webhook:https://hooks.example.com/secret-b": 4, "mail:merchant": 5},
		OutboxOldest: map[string]time.Time{
			"webhook:https://hooks.example.com/secret-a": time.Now().Add(-time.Hour),
			"webhook:https://hooks.example.com/secret-b": time.Now().Add(-time.Minute),
		},
	}, nil
}

func TestStoreCollector(t *testing.T) {
	for name, tc := range map[string]struct {
		st   store.Store
		want string
	}{
		"not open":  {nil, "caddy_checkout_store_up 0\n"},
		"read-only": {fakeRecords{ping: errors.New("read-only"), stats: errors.New("x")}, "caddy_checkout_store_up 0\n"},
		"fine": {fakeRecords{}, `caddy_checkout_orders{shop="s",state="pending"} 3
caddy_checkout_orders{shop="s",state="review"} 1
caddy_checkout_orphans{shop="s"} 2
caddy_checkout_outbox_pending{target="mail:merchant"} 5
caddy_checkout_outbox_pending{target="webhook:hooks.example.com"} 5
caddy_checkout_store_up 1
`},
	} {
		t.Run(name, func(t *testing.T) {
			reg := newTestRegistry()
			if _, err := registerMetrics(reg, func() store.Store { return tc.st }); err != nil {
				t.Fatal(err)
			}
			got := samples(t, reg, "caddy_checkout_store_up", "caddy_checkout_orders{", "caddy_checkout_orphans", "caddy_checkout_outbox_pending")
			if got != tc.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, tc.want)
			}
		})
	}
}

func TestOldestDelivery(t *testing.T) {
	reg := newTestRegistry()
	if _, err := registerMetrics(reg, func() store.Store { return fakeRecords{} }); err != nil {
		t.Fatal(err)
	}
	line := samples(t, reg, "caddy_checkout_outbox_oldest_seconds")
	name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
	if name != `caddy_checkout_outbox_oldest_seconds{target="webhook:hooks.example.com"}` {
		t.Fatalf("got %q, want one target", line)
	}
	if age, err := strconv.ParseFloat(value, 64); err != nil || age < 3600 {
		t.Errorf("age %s s, want that of the older delivery", value)
	}
}

// A reload gets a fresh registry, and counters go on where they were.
func TestCountersSurviveReload(t *testing.T) {
	before, err := registerMetrics(newTestRegistry(), noStore)
	if err != nil {
		t.Fatal(err)
	}
	shop := rand.Text() // counters live as long as the process
	before.expect(shop)
	before.created.WithLabelValues(shop).Inc()
	reg := newTestRegistry()
	after, err := registerMetrics(reg, noStore)
	if err != nil {
		t.Fatal(err)
	}
	after.created.WithLabelValues(shop).Inc()
	want := `caddy_checkout_orders_created_total{shop="` + shop + `"} 2` + "\n"
	if got := samples(t, reg, `caddy_checkout_orders_created_total{shop="`+shop); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
