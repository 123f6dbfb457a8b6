package webhook

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
	"github.com/caddy-checkout/checkout/internal/store/sqlite"
)

// From the transaction of a change, over the real store, to a receiver that
// fails at first: every event arrives, in its order's order, and every attempt
// is on record.
func TestOverTheEmbeddedStore(t *testing.T) {
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "orders.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()

	var (
		mu    sync.Mutex
		down  = true
		types = make(map[string][]string) // by order, as accepted
	)
	verifier, err := standardwebhooks.NewWebhook(secretA)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	url, requests := receive(t, func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if down {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	w := hook(t, WebhookConfig{URL: url})

	const orders = 8
	ids := make([]string, orders)
	for i := range ids {
		o := mug()
		o.ID, o.State, o.PaidAt, o.Payments = order.NewID(epoch), order.Pending, time.Time{}, nil
		o.ExpiresAt, ids[i] = epoch.Add(time.Hour), o.ID
		if err := db.Create(t.Context(), o, epoch.Add(time.Hour), store.PendingLimits{}); err != nil {
			t.Fatal(err)
		}
		for _, typ := range []string{TypeExpired, TypePaid} {
			_, err := db.Update(t.Context(), o.Shop, o.ID, "", func(sub store.Subject) (*store.Change, error) {
				sub.Order.State = order.Expired
				if typ == TypePaid {
					sub.Order.State, sub.Order.Late, sub.Order.PaidAt = order.Paid, true, epoch
				}
				return &store.Change{Order: sub.Order, Events: []store.Event{{
					ID: order.NewID(epoch), Type: typ, At: epoch,
					Payload: Payload(typ, &sub.Order, epoch), Targets: []string{w.Target()},
				}}}, nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}

	c := &clock{t: epoch}
	outcomes := make(chan string, 10*orders)
	d, stop := start(t, Config{
		Store: db, Targets: []Target{{mug().Shop, w.Target(), w}}, Now: c.now,
		Observe: func(_, outcome string, _ time.Duration) { outcomes <- outcome },
	})
	for range orders {
		if got := next(t, outcomes); got != "retry" {
			t.Errorf("while the receiver is down: %s", got)
		}
		next(t, requests)
	}
	mu.Lock()
	down = false
	mu.Unlock()
	c.advance(10 * time.Second)
	d.Wake()
	for range 2 * orders {
		if got := next(t, outcomes); got != "delivered" {
			t.Errorf("after that: %s", got)
		}
		r := next(t, requests)
		if err := verifier.VerifyIgnoringTimestamp(r.body, r.header); err != nil {
			t.Error(err)
		}
		if id := r.header.Get("Webhook-Id"); seen[id] {
			t.Errorf("event %s was accepted twice", id)
		} else {
			seen[id] = true
		}
		for _, id := range ids {
			if strings.Contains(string(r.body), id) {
				for _, typ := range []string{TypeExpired, TypePaid} {
					if strings.Contains(string(r.body), fmt.Sprintf("%q", typ)) {
						types[id] = append(types[id], typ)
					}
				}
			}
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	for _, id := range ids {
		if !slices.Equal(types[id], []string{TypeExpired, TypePaid}) {
			t.Errorf("order %s: accepted %v", id, types[id])
		}
		_, deliveries, err := db.Detail(t.Context(), id)
		if err != nil || len(deliveries) != 2 {
			t.Fatalf("order %s: %d deliveries, %v", id, len(deliveries), err)
		}
		for _, d := range deliveries {
			want := []int{503, 200}
			if d.Type == TypePaid {
				want = []int{200}
			}
			var got []int
			for _, a := range d.Log {
				got = append(got, a.Status)
			}
			if d.State != store.DeliveryDone || !slices.Equal(got, want) {
				t.Errorf("order %s, %s: %s with statuses %v, want %v", id, d.Type, d.State, got, want)
			}
		}
	}
}
