package integration

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-checkout/checkout/integration/harness"
)

// From a plain link to the receipt, as a browser without JavaScript goes.
func TestStaticShopTakesAPayment(t *testing.T) {
	shop := harness.StartShop(t, "require email", "ask note")

	review := shop.Get("/checkout?sku=mug&qty=2&sku=kettle", "Accept", "text/html", "Accept-Language", "zh-CN,zh;q=0.9")
	if review.Status != http.StatusBadRequest {
		t.Errorf("one qty for two products: HTTP %d, want 400", review.Status)
	}
	review = shop.Get("/checkout?sku=mug&qty=2&sku=kettle&qty=1", "Accept", "text/html", "Accept-Language", "zh-CN,zh;q=0.9")
	if review.Status != http.StatusOK || !strings.Contains(review.Body, "206.00") || !strings.Contains(review.Body, `lang="zh-CN"`) {
		t.Fatalf("review page: HTTP %d\n%s", review.Status, review.Body)
	}

	form := harness.FormTo(t, review.Body, "/checkout")
	refused := shop.Post(form.Action, form.Values, "Accept", "text/html")
	if refused.Status != http.StatusUnprocessableEntity {
		t.Fatalf("without an e-mail address: HTTP %d, want 422", refused.Status)
	}
	form = harness.FormTo(t, refused.Body, "/checkout")
	form.Values.Set("email", "buyer@example.com")
	form.Values.Set("note", "送货前电话联系 & thanks")
	sent := shop.Post(form.Action, form.Values, "Accept", "text/html")
	if sent.Status != http.StatusOK {
		t.Fatalf("checkout: HTTP %d\n%s", sent.Status, sent.Body)
	}

	pay := harness.FormTo(t, sent.Body, shop.Gateway.URL+"/pay.action")
	if err := shop.Gateway.CheckPayForm(pay.Values); err != nil {
		t.Fatalf("the gateway would refuse the form: %v\n%v", err, pay.Values)
	}
	for name, want := range map[string]string{
		"paymoney":  "206.00",
		"notifyurl": shop.Origin + "/checkout/notify",
		"returnurl": shop.Origin + "/checkout/return/" + pay.Values.Get("orderid"),
	} {
		if got := pay.Values.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if at := strings.Join(pay.Names, " "); !strings.HasPrefix(at, "uid orderid ordername paymoney") {
		t.Errorf("the fields stand in the order %s", at)
	}

	id := pay.Values.Get("orderid")
	back := "/checkout/return/" + id
	waiting := shop.Get(back, "Accept", "text/html")
	if waiting.Status != http.StatusOK || !strings.Contains(waiting.Body, "http-equiv=\"refresh\"") {
		t.Errorf("the return page of a pending order: HTTP %d\n%s", waiting.Status, waiting.Body)
	}
	if st := shop.Status(id); st.State != "pending" || st.Status != "-1" || st.PayMoney != "206.00" || st.RealPay != "" {
		t.Errorf("status before the payment: %+v", st)
	}

	payment := harness.Payment{PayID: "pay-1", OrderID: id, OrderUID: pay.Values.Get("orderuid"), PayMoney: "206.00", RealPay: "206.00"}
	answer := shop.Notify(payment)
	if answer.Status != http.StatusOK || answer.Body != "success" || !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/plain") {
		t.Fatalf("notify: HTTP %d %q %s", answer.Status, answer.Body, answer.Header.Get("Content-Type"))
	}
	receipt := shop.Get(back, "Accept", "text/html")
	if receipt.Status != http.StatusOK || strings.Contains(receipt.Body, "http-equiv=\"refresh\"") || !strings.Contains(receipt.Body, "206.00") {
		t.Errorf("receipt: HTTP %d\n%s", receipt.Status, receipt.Body)
	}
	if st := shop.Status(id); st.State != "paid" || st.Status != "0" || st.RealPay != "206.00" || st.Msg != "" {
		t.Errorf("status after the payment: %+v", st)
	}
	if n := shop.Gateway.AwaitQuestion(id); n != 1 {
		t.Errorf("the gateway was asked %d times, want once: before the payment", n)
	}
	if a := shop.Get("/"); a.Body != "the static site" {
		t.Errorf("the site itself answers %q", a.Body)
	}
}

func TestOrdersAsJSON(t *testing.T) {
	shop := harness.StartShop(t)
	o, a, err := shop.TryOrder(url.Values{"sku": {"beans", "bomb"}, "qty": {"3", "1"}})
	if err != nil || a.Status != http.StatusOK {
		t.Fatalf("HTTP %d %v\n%s", a.Status, err, a.Body)
	}
	if err := shop.Gateway.CheckPayForm(o.Form()); err != nil {
		t.Errorf("the gateway would refuse the form: %v\n%v", err, o.Fields)
	}
	if o.Action != shop.Gateway.URL+"/pay.action" || o.Method != "POST" || o.Fields["paymoney"] != "206.50" || o.Fields["orderid"] != o.OrderID {
		t.Errorf("%+v", o)
	}
	if name := o.Fields["ordername"]; !strings.Contains(name, "Beans ＆ scoop") {
		t.Errorf("ordername %q", name)
	}
}

// The money came, and nobody told: the first question finds it.
func TestStatusAsksTheGateway(t *testing.T) {
	shop := harness.StartShop(t)
	o := shop.Order()
	shop.Gateway.Receive(o.Payment("pay-1"))
	shop.AwaitState(o.OrderID, "paid")
	if a := shop.Notify(o.Payment("pay-1")); a.Status != http.StatusOK || a.Body != "success" {
		t.Errorf("the notify of a known payment: HTTP %d %q", a.Status, a.Body)
	}
	shop.Status(o.OrderID)
	if n := len(shop.Gateway.Questions(o.OrderID)); n != 1 {
		t.Errorf("the gateway was asked %d times about one order, want once", n)
	}
}

// A buyer who waits hears of the payment when it comes.
func TestStatusWaits(t *testing.T) {
	shop := harness.StartShop(t)
	o := shop.Order()
	shop.Status(o.OrderID)
	answered := make(chan harness.Answer, 1)
	go func() { answered <- shop.Get("/checkout/status?orderid=" + o.OrderID + "&wait=30") }()
	if a := shop.Notify(o.Payment("pay-1")); a.Status != http.StatusOK {
		t.Fatalf("notify: HTTP %d", a.Status)
	}
	var st harness.Status
	a := <-answered
	if err := json.Unmarshal([]byte(a.Body), &st); err != nil || st.State != "paid" {
		t.Errorf("the one who waited hears HTTP %d %s", a.Status, a.Body)
	}
}

func TestBalanceIsPublished(t *testing.T) {
	shop := harness.StartShop(t)
	shop.AwaitLog("balance known", "5.94")
	harness.Await(t, "the balance among the metrics", func() bool {
		return strings.Contains(shop.Get("/metrics").Body, "caddy_checkout_balance_yuan{")
	})
	asked := shop.Gateway.Balances()
	if len(asked) != 1 || asked[0].Get("answer") != "" {
		t.Errorf("asked for the balance: %v", asked)
	}
	shop.Stop()
	shop.Start(shop.Caddyfile("expire 3h"))
	shop.Order()
	if asked := shop.Gateway.Balances(); len(asked) != 1 {
		t.Errorf("asked for the balance again within three minutes, after a restart: %v", asked)
	}
}

// What must not stand on a page or in an answer, and what must.
func TestHeadersOfPages(t *testing.T) {
	shop := harness.StartShop(t)
	o := shop.Order()
	for _, path := range []string{"/checkout?sku=mug", "/checkout/return/" + o.OrderID, "/checkout?sku=nothing"} {
		a := shop.Get(path, "Accept", "text/html")
		policy := a.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: Content-Security-Policy %q", path, policy)
		}
		if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Referrer-Policy") == "" {
			t.Errorf("%s: headers %v", path, a.Header)
		}
		if n := strings.Count(a.Body, "http://") + strings.Count(a.Body, "https://"); n > 0 {
			t.Errorf("%s names %d other addresses", path, n)
		}
	}
}
