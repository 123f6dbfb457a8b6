package checkout

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/internal/merchant"
)

// A receiver that answered 410 Gone gets nothing more, until a person asks for
// a redelivery.
func TestAdminRedeliversToATargetThatWasGone(t *testing.T) {
	const secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
	var gone atomic.Bool
	gone.Store(true)
	received := make(chan struct{}, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if gone.Load() {
			w.WriteHeader(http.StatusGone)
			return
		}
		received <- struct{}{}
	}))
	defer receiver.Close()
	r := run(t, "webhook "+receiver.URL+"/ "+secret)
	r.pay(t, r.order(t, "sku=mug&qty=1"))

	var page merchant.DeliveryPage
	for deadline := time.Now().Add(failsafe); len(page.Deliveries) == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the delivery is not disabled")
		}
		r.api(t, "GET", "deliveries?state=disabled", "", &page)
	}
	gone.Store(false)
	r.api(t, "POST", "deliveries/"+page.Deliveries[0].ID+"/redeliver", "", nil)
	select {
	case <-received:
	case <-time.After(failsafe):
		t.Error("nothing was delivered again")
	}
}
