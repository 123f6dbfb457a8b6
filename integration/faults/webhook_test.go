package faults

import (
	"encoding/json"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/caddy-checkout/checkout/integration/harness"
	"github.com/caddy-checkout/checkout/internal/store"
	"github.com/caddy-checkout/checkout/internal/store/sqlite"
	"github.com/caddy-checkout/checkout/internal/webhook"
)

// expectSigned verifies webhooks with the scheme's own library, and that each
// id tells of one order and each order has one id.
func expectSigned(t *testing.T, deliveries []harness.Delivery) {
	t.Helper()
	verifier, err := standardwebhooks.NewWebhook(hookSecret)
	if err != nil {
		t.Fatal(err)
	}
	orderOf, idOf := map[string]string{}, map[string]string{}
	for _, d := range deliveries {
		// The library also holds the timestamp to the clock; a slow run is no forgery.
		if err := verifier.VerifyIgnoringTimestamp(d.Body, d.Header); err != nil {
			t.Fatalf("a webhook is not signed: %v\n%s", err, d.Body)
		}
		var event struct {
			Type string
			Data struct{ ID, State string }
		}
		if err := json.Unmarshal(d.Body, &event); err != nil || event.Type != webhook.TypePaid || event.Data.State != "paid" {
			t.Fatalf("a webhook says %s (%v)", d.Body, err)
		}
		id, about := d.Header.Get("Webhook-Id"), event.Data.ID
		if known, ok := orderOf[id]; ok && known != about {
			t.Errorf("webhook %s tells of orders %s and %s", id, known, about)
		}
		if known, ok := idOf[about]; ok && known != id {
			t.Errorf("order %s is told of by webhooks %s and %s", about, known, id)
		}
		orderOf[id], idOf[about] = about, id
	}
}

// hookedShop makes a shop that tells the receiver, and its Caddyfile.
func hookedShop(t *testing.T, receiver *harness.Receiver) (*harness.Shop, string) {
	t.Helper()
	shop := harness.NewShop(t)
	shop.Env = append(shop.Env, "CHECKOUT_HOOK_SECRET="+hookSecret)
	return shop, shop.Caddyfile("webhook " + receiver.URL + "/hook {env.CHECKOUT_HOOK_SECRET}")
}

// readDelivery opens the database of a Caddy that has ended, and finds the one
// delivery of an order.
func readDelivery(t *testing.T, shop *harness.Shop, orderid string) (st *sqlite.Store, d store.Delivery) {
	t.Helper()
	st, err := sqlite.Open(t.Context(), database(shop))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	_, deliveries, err := st.Detail(t.Context(), orderid)
	if err != nil || len(deliveries) != 1 {
		t.Fatalf("%d deliveries, want 1: %v", len(deliveries), err)
	}
	return st, deliveries[0]
}

// A receiver that is down at first gets the event when it is up, and once.
func TestReceiverComesBack(t *testing.T) {
	var calls atomic.Int64
	receiver := harness.NewReceiver(t, func(harness.Delivery) int {
		if calls.Add(1) == 1 {
			return http.StatusBadGateway
		}
		return http.StatusNoContent
	})
	shop, config := hookedShop(t, receiver)
	shop.Start(config)
	o := shop.Order()
	expectSuccess(t, shop.Notify(o.Payment("pay-1")))
	shop.AwaitLog("delivery failed and will be tried again", o.OrderID)
	shop.AwaitLog(`"delivered"`, o.OrderID)
	shop.Stop()
	expectSigned(t, receiver.Deliveries())
	_, d := readDelivery(t, shop, o.OrderID)
	if n := calls.Load(); n != 2 || d.State != store.DeliveryDone || d.Attempts != 2 || len(d.Log) != 2 {
		t.Errorf("%d calls; the delivery is %s after %d attempts: %+v", n, d.State, d.Attempts, d.Log)
	}
}

// Killed while the receiver had the event and had not answered: it comes again
// under the same id.
func TestKilledDuringDelivery(t *testing.T) {
	arrived, let := make(chan struct{}), make(chan struct{})
	var once sync.Once
	receiver := harness.NewReceiver(t, func(harness.Delivery) int {
		first := false
		once.Do(func() { first = true })
		if first {
			close(arrived)
			<-let
		}
		return http.StatusNoContent
	})
	defer close(let)
	shop, config := hookedShop(t, receiver)
	shop.Start(config)
	o := shop.Order()
	expectSuccess(t, shop.Notify(o.Payment("pay-1")))
	select {
	case <-arrived:
	case <-time.After(harness.Failsafe):
		t.Fatal("nothing arrived")
	}
	shop.Kill()

	st, d := readDelivery(t, shop, o.OrderID)
	if d.State != store.DeliveryPending || d.Attempts != 0 || !d.NextAt.After(d.CreatedAt) {
		t.Errorf("after the kill the delivery is %+v", d)
	}
	// The dead process's lease runs for two minutes: end it.
	if err := st.Redeliver(t.Context(), d.ID, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	shop.Start(config)
	shop.AwaitLog(`"delivered"`, o.OrderID)
	got := receiver.Deliveries()
	expectSigned(t, got)
	if len(got) != 2 || got[0].Header.Get("Webhook-Id") != d.EventID || got[1].Header.Get("Webhook-Id") != d.EventID {
		t.Errorf("%d deliveries arrived, want two of event %s", len(got), d.EventID)
	}
}
