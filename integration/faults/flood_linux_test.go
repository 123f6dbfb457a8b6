package faults

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/integration/harness"
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
	"github.com/caddy-checkout/checkout/internal/store/sqlite"
)

// flood posts checkouts until ctx is done.
type flood struct {
	admitted, refused atomic.Int64
	mu                sync.Mutex
	problem           error
}

func (f *flood) post(ctx context.Context, shop *harness.Shop) {
	for ctx.Err() == nil {
		_, a, err := shop.TryOrder(url.Values{"sku": {"mug"}, "qty": {"1"}})
		switch {
		case err != nil:
			f.fail(err)
		case a.Status == http.StatusOK:
			f.admitted.Add(1)
		case a.Status == http.StatusTooManyRequests && a.Header.Get("Retry-After") != "":
			f.refused.Add(1)
		default:
			f.fail(fmt.Errorf("HTTP %d, Retry-After %q: %s", a.Status, a.Header.Get("Retry-After"), a.Body))
		}
	}
}

func (f *flood) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.problem == nil {
		f.problem = err
	}
}

// One address posts as many checkouts as it can. All other buyers, and the
// gateway's notifies, are served, and the database holds no more of the
// flood's orders than the default limits allow.
func TestFloodFromOneAddress(t *testing.T) {
	const buyers, purchases, connections = 20, 5, 32
	shop := harness.NewShop(t)
	shop.Start(with(shop.Caddyfile(), quiet))
	gateway := shop.From(t, "127.0.9.9", buyers)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	f := &flood{}
	var flooders, others sync.WaitGroup
	flooding := shop.From(t, "127.0.0.66", connections)
	for range connections {
		flooders.Go(func() { f.post(ctx, flooding) })
	}
	harness.Await(t, "a refusal", func() bool { return f.refused.Load() > 0 })

	start, before := time.Now(), f.admitted.Load()+f.refused.Load()
	times := make([][]time.Duration, buyers)
	l := newLedger()
	for n := range buyers {
		buyer := shop.From(t, fmt.Sprintf("127.0.1.%d", 1+n), 1)
		others.Go(func() {
			for range purchases {
				began := time.Now()
				o, a, err := buyer.TryOrder(url.Values{"sku": {"mug"}, "qty": {"1"}})
				if err != nil || a.Status != http.StatusOK {
					t.Errorf("another buyer's order: HTTP %d %v", a.Status, err)
					return
				}
				times[n] = append(times[n], time.Since(began))
				l.ordered(o)
				began = time.Now()
				expectSuccess(t, gateway.Notify(o.Payment("pay-"+o.OrderID)))
				times[n] = append(times[n], time.Since(began))
				l.acknowledged(o)
				began = time.Now()
				if a := buyer.Get("/checkout/status?orderid=" + o.OrderID); a.Status != http.StatusOK {
					t.Errorf("another buyer's status: HTTP %d", a.Status)
				}
				expectSite(t, buyer)
				times[n] = append(times[n], time.Since(began))
			}
		})
	}
	others.Wait()
	const enough = 10_000 // posts of the flood
	harness.Await(t, "the flood", func() bool { return f.admitted.Load()+f.refused.Load() >= enough })
	took, posts := time.Since(start), f.admitted.Load()+f.refused.Load()-before
	stop()
	flooders.Wait()
	if f.problem != nil {
		t.Errorf("the flood met %v", f.problem)
	}
	if got, want := len(l.paid), buyers*purchases; got != want {
		t.Errorf("%d of %d other purchases were paid", got, want)
	}
	shop.Stop()

	held, size := countOrders(t, database(shop))
	if n := held["127.0.0.66"]; n > 50 || int64(n) != f.admitted.Load() {
		t.Errorf("the database holds %d orders of the flood, %d were admitted, want at most 50", n, f.admitted.Load())
	}
	l.audit(t, database(shop))
	all := slices.Sorted(slices.Values(slices.Concat(times...)))
	t.Logf("flood: %.0f posts/s, %d admitted, %d refused; others: %d answers, p50 %s, p99 %s; database %d KiB",
		float64(posts)/took.Seconds(), f.admitted.Load(), f.refused.Load(), len(all), all[len(all)/2], all[len(all)*99/100], size>>10)
}

// A flood from many addresses fills what the shop holds at most. Then no more
// orders are taken, and whoever has one can still pay it.
func TestFloodFromManyAddresses(t *testing.T) {
	const addresses, total = 64, 300
	shop := harness.NewShop(t)
	shop.Start(with(shop.Caddyfile("limits {", "\tpending_total "+fmt.Sprint(total), "}"), quiet))
	l := newLedger()
	for range 10 {
		l.ordered(shop.Order())
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	f := &flood{}
	var flooders sync.WaitGroup
	for n := range addresses {
		flooding := shop.From(t, fmt.Sprintf("127.1.0.%d", 1+n), 1)
		flooders.Go(func() { f.post(ctx, flooding) })
	}
	harness.Await(t, "as many refusals", func() bool { return f.refused.Load() > 2*total })
	for _, o := range l.unpaid() {
		expectSuccess(t, shop.Notify(o.Payment("pay-"+o.OrderID)))
		l.acknowledged(o)
	}
	expectSite(t, shop)
	stop()
	flooders.Wait()
	if f.problem != nil {
		t.Errorf("the flood met %v", f.problem)
	}
	shop.Stop()
	held, size := countOrders(t, database(shop))
	pending := 0
	for client, n := range held {
		if client != "127.0.0.1" {
			pending += n
		}
	}
	// Paid ones no longer count: their places were taken by the flood.
	if pending > total || pending < total-len(l.paid) {
		t.Errorf("the database holds %d pending orders, want %d at most", pending, total)
	}
	l.audit(t, database(shop))
	t.Logf("flood from %d addresses: %d admitted, %d refused; database %d KiB", addresses, f.admitted.Load(), f.refused.Load(), size>>10)
}

// countOrders counts the orders of each client and tells the file's size.
func countOrders(t *testing.T, file string) (byClient map[string]int, size int64) {
	t.Helper()
	st, err := sqlite.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	byClient = map[string]int{}
	if err := st.Each(t.Context(), store.Filter{}, func(o *order.Order) error { byClient[o.Client]++; return nil }); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return byClient, info.Size()
}
