package faults

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/integration/harness"
)

// load is buyers who order, and the gateway that notifies until it is answered.
type load struct {
	ctx     context.Context // of the test
	shop    *harness.Shop
	ledger  *ledger
	end     atomic.Bool
	broken  atomic.Int64 // connections
	refused atomic.Int64 // with 503
	buyers  sync.WaitGroup
}

func startLoad(ctx context.Context, shop *harness.Shop, l *ledger, buyers int) *load {
	ld := &load{ctx: ctx, shop: shop, ledger: l}
	for range buyers {
		ld.buyers.Go(func() {
			for n := 0; !ld.end.Load() && ctx.Err() == nil; n++ {
				ld.buy(n)
			}
		})
	}
	return ld
}

// buy makes the n-th order of a buyer. One of four is never paid; of another
// the gateway tells twice at once.
func (ld *load) buy(n int) {
	o, a, err := ld.shop.TryOrder(url.Values{"sku": {"mug"}, "qty": {"1"}})
	if !ld.answered(a, err) {
		return
	}
	if a.Status != http.StatusOK {
		ld.ledger.fail("ordering: HTTP %d %s", a.Status, a.Body)
		return
	}
	ld.ledger.ordered(o)
	switch n % 4 {
	case 0:
	case 1:
		var twice sync.WaitGroup
		twice.Go(func() { ld.notify(o) })
		ld.notify(o)
		twice.Wait()
	default:
		ld.notify(o)
	}
}

func (ld *load) notify(o harness.Order) {
	form := ld.shop.Gateway.NotifyForm(o.Payment("pay-" + o.OrderID)).Encode()
	for ld.ctx.Err() == nil {
		a, err := ld.shop.TrySend(http.MethodPost, "/checkout/notify", form, "Content-Type", formType)
		if !ld.answered(a, err) {
			continue
		}
		if a.Status != http.StatusOK || a.Body != "success" {
			ld.ledger.fail("notify: HTTP %d %q", a.Status, a.Body)
			return
		}
		ld.ledger.acknowledged(o)
		return
	}
}

// answered reports whether it is worth reading what came: not from a connection
// that broke, nor from a Caddy that serves already and opens its store yet.
func (ld *load) answered(a harness.Answer, err error) bool {
	switch {
	case err != nil:
		ld.broken.Add(1)
	case a.Status == http.StatusServiceUnavailable:
		ld.refused.Add(1)
		time.Sleep(10 * time.Millisecond) // and leave it the processor
	default:
		return true
	}
	return false
}

// kill -9 in the middle of orders, notifies and deliveries, CHECKOUT_KILLS
// times (default 25): what was answered is there, once.
func TestKilledUnderLoad(t *testing.T) {
	rounds := number(t, "CHECKOUT_KILLS", 25)
	random := seeded(t)
	receiver := harness.NewReceiver(t, nil)
	shop := harness.NewShop(t)
	shop.Env = append(shop.Env, "CHECKOUT_HOOK_SECRET="+hookSecret)
	config := with(shop.Caddyfile("limits off", "webhook "+receiver.URL+" {env.CHECKOUT_HOOK_SECRET}"), quiet)

	l, verified := newLedger(), newLedger()
	var broken, refused int64
	shop.Start(config)
	for range rounds {
		ld := startLoad(t.Context(), shop, l, 6)
		answers, _ := l.progress()
		goal := answers + random.IntN(80)
		harness.Await(t, "answers under load", func() bool {
			answers, problem := l.progress()
			if problem != nil {
				t.Fatal(problem)
			}
			return answers >= goal
		})
		shop.Kill()
		answered := l.copy()
		// Requests under way wait at the socket for the next process.
		ld.end.Store(true)
		shop.Start(config)
		ld.buyers.Wait()
		if _, problem := l.progress(); problem != nil {
			t.Fatal(problem)
		}
		answered.since(verified).ask(t, shop)
		if t.Failed() {
			return
		}
		verified = answered
		broken += ld.broken.Load()
		refused += ld.refused.Load()
	}
	shop.Stop()
	l.audit(t, database(shop))
	t.Logf("%d kills, %d connections broken, %d answers 503 while starting, %d webhooks received",
		rounds, broken, refused, len(receiver.Deliveries()))
	expectSigned(t, receiver.Deliveries())
}
