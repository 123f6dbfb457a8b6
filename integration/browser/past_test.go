package browser

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/integration/harness"
	"github.com/caddy-checkout/checkout/internal/catalog"
	"github.com/caddy-checkout/checkout/internal/gateway"
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/payment"
	orderstore "github.com/caddy-checkout/checkout/internal/store"
	"github.com/caddy-checkout/checkout/internal/store/sqlite"
)

// pastDays is how long a market with a past has been open.
const pastDays = 45

// past writes orders of the days before today into the store of a market that
// does not run yet: some paid soon, some late, some never, one of whose
// webhook was given up.
func past(m *market) {
	t := m.t
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Dir(m.ordersFile()), 0o700))
	st, err := sqlite.Open(t.Context(), m.ordersFile())
	must(err)
	defer func() { must(st.Close()) }()
	goods, err := catalog.Open(catalog.Config{File: root + "examples/storefront/products.json"})
	must(err)
	now := time.Now()
	service, told := pastShop(t, m, st, goods, &now, nil), pastShop(t, m, st, goods, &now, []string{m.hooks.URL})

	random := rand.New(rand.NewPCG(3, 9))
	skus := []string{"mug", "kettle", "beans", "notebook"}
	names := []string{"李雷", "韩梅梅", "Ada King", "Grace"}
	today := now
	for day := range pastDays {
		date := today.AddDate(0, 0, day-pastDays)
		for n := range 1 + random.IntN(4) {
			now = date.Add(time.Duration(n) * time.Hour)
			shop := service
			if day == pastDays-1 && n == 0 {
				shop = told
			}
			o, _, err := shop.Begin(t.Context(), payment.Purchase{
				Items:  []payment.Item{{SKU: skus[random.IntN(len(skus))], Qty: 1 + random.IntN(3)}},
				Buyer:  order.Buyer{Name: names[random.IntN(len(names))], Email: "buyer@example.com"},
				Client: fmt.Sprintf("192.0.2.%d", day), Language: "zh",
			})
			must(err)
			if n > 0 && random.IntN(4) == 0 {
				for _, later := range []time.Duration{3 * time.Hour, time.Hour} { // it expires; the shop makes sure
					now = now.Add(later)
					_, _, err = shop.Refresh(t.Context(), o.ID)
					must(err)
				}
				continue
			}
			now = now.Add(time.Duration(20+random.IntN(900)) * time.Second)
			payid, money := fmt.Sprintf("9%03d%02d", day, n), o.Total.String()
			_, err = shop.Notify(t.Context(), gateway.Notify{
				PayID: payid, OrderID: o.ID, PayMoney: money, RealPay: money,
				Key: harness.Key(harness.Token, "payid", payid, "orderid", o.ID, "orderuid", "", "paymoney", money, "realpay", money),
			})
			must(err)
		}
	}
	lost, err := st.ClaimDeliveries(t.Context(), "webhook:"+m.hooks.URL, now, time.Minute, 10)
	must(err)
	for _, d := range lost {
		must(st.RecordAttempt(t.Context(), d.ID, orderstore.Attempt{
			At: now, Took: 120 * time.Millisecond, Status: http.StatusBadGateway, Answer: "upstream is down",
		}, orderstore.DeliveryFailed, time.Time{}))
	}
	if len(lost) == 0 {
		t.Fatal("no webhook was lost")
	}
}

// pastShop is the market's shop, at another time, beside a gateway where time
// is up for every order.
func pastShop(t testing.TB, m *market, st orderstore.Store, goods *catalog.Catalog, now *time.Time, hooks []string) *payment.Service {
	t.Helper()
	late := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{
			"msg": "", "orderid": r.FormValue("orderid"), "payid": "", "paymoney": "1.00", "realpay": "", "status": gateway.StatusTimeout,
		})
	}))
	t.Cleanup(late.Close)
	client, err := gateway.New(gateway.Config{Base: late.URL, UID: harness.UID, Tokens: []string{harness.Token}})
	if err != nil {
		t.Fatal(err)
	}
	shop := payment.New(payment.Config{
		UID: harness.UID, Gateway: client, GatewayBase: m.sandbox, Origin: m.shop, Path: "/checkout", Catalog: goods,
		Fields: []payment.BuyerField{{Name: "name"}, {Name: "email"}}, Webhooks: hooks, Test: true,
		Now: func() time.Time { return *now },
	}, st)
	t.Cleanup(shop.Close)
	return shop
}
