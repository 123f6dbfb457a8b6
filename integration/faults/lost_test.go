package faults

import (
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/integration/harness"
)

// Every notify is lost: the first question about an order goes out at once and
// finds the money. About an order without money it is not repeated within the
// minute, and a restart does not change that.
func TestLostNotifies(t *testing.T) {
	const each = 100
	shop := harness.NewShop(t)
	config := with(shop.Caddyfile("limits off"), quiet)
	shop.Start(config)
	var paid, unpaid []harness.Order
	for range each {
		o := shop.Order()
		shop.Gateway.Receive(o.Payment("pay-" + o.OrderID))
		paid, unpaid = append(paid, o), append(unpaid, shop.Order())
	}
	var slowest time.Duration
	for _, o := range paid {
		start := time.Now()
		shop.AwaitState(o.OrderID, "paid")
		slowest = max(slowest, time.Since(start))
	}
	for _, o := range unpaid {
		shop.Status(o.OrderID)
	}
	shop.Kill()
	shop.Start(config)
	for _, o := range append(paid, unpaid...) {
		shop.Gateway.Receive(o.Payment("pay-" + o.OrderID))
		for range 3 {
			shop.Status(o.OrderID)
		}
	}
	most := 0
	for _, o := range append(paid, unpaid...) {
		asked := shop.Gateway.Questions(o.OrderID)
		most = max(most, len(asked))
		if len(asked) == 0 {
			t.Errorf("nobody asked about order %s", o.OrderID)
		}
		for i := 1; i < len(asked); i++ {
			// The minute runs from claim to claim; each question takes its time to arrive.
			if gap := asked[i].Sub(asked[i-1]); gap < 45*time.Second {
				t.Errorf("order %s was asked about again after %s", o.OrderID, gap)
			}
		}
	}
	// A notify that does come is still taken.
	expectSuccess(t, shop.Notify(unpaid[0].Payment("pay-"+unpaid[0].OrderID)))
	t.Logf("%d lost payments found by the first questions, the slowest in %s; at most %d questions an order", each, slowest, most)
}
