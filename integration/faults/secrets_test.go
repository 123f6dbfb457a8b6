package faults

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-checkout/checkout/integration/harness"
)

// A whole purchase with everything that can be logged, and what goes wrong on
// the way: no secret is in the log, in the configuration as the admin API
// shows it, nor in any answer.
func TestSecretsAreNowhere(t *testing.T) {
	receiver := harness.NewReceiver(t, nil)
	shop, config := hookedShop(t, receiver)
	config = with(config, "debug")
	config = strings.Replace(config, "\trespond / ", "\tlog\n\trespond / ", 1)
	shop.Start(config)
	if !strings.Contains(shop.Logs(), `"level":"debug"`) {
		t.Fatal("the log is not at debug level")
	}

	var shown []string // all that anyone was answered
	keep := func(what string, a harness.Answer) harness.Answer {
		shown = append(shown, what+": "+a.Body)
		for name, values := range a.Header {
			shown = append(shown, what+": "+name+": "+strings.Join(values, " "))
		}
		return a
	}
	keep("review", shop.Get("/checkout?sku=mug&qty=1", "Accept", "text/html"))
	sent := keep("pay", shop.Send(http.MethodPost, "/checkout", "sku=mug&qty=1", "Content-Type", formType, "Accept", "text/html"))
	form := harness.FormTo(t, sent.Body, shop.Gateway.URL+"/pay.action").Values
	id := form.Get("orderid")
	keep("waiting", shop.Get("/checkout/return/"+id, "Accept", "text/html"))
	keep("status", shop.Get("/checkout/status?orderid="+id))

	payment := harness.Payment{PayID: "pay-1", OrderID: id, PayMoney: form.Get("paymoney"), RealPay: form.Get("paymoney")}
	notify := shop.Gateway.NotifyForm(payment)
	forged := shop.Gateway.NotifyForm(payment)
	forged.Set("realpay", "0.01")
	keep("forged", shop.Post("/checkout/notify", forged))
	forged.Del("payid")
	keep("malformed", shop.Post("/checkout/notify", forged))
	expectSuccess(t, keep("notify", shop.Post("/checkout/notify", notify)))
	payment.OrderID = "unknown"
	keep("orphan", shop.Post("/checkout/notify", shop.Gateway.NotifyForm(payment)))
	keep("receipt", shop.Get("/checkout/return/"+id, "Accept", "text/html"))
	keep("metrics", shop.Get("/metrics"))
	shop.AwaitLog(`"delivered"`, id)
	shop.AwaitLog("balance known")
	expectSigned(t, receiver.Deliveries())

	status, dump := shop.Admin(http.MethodGet, "/config/", nil)
	if status != http.StatusOK || !strings.Contains(dump, "{env.CHECKOUT_TOKEN}") || !strings.Contains(dump, "{env.CHECKOUT_HOOK_SECRET}") {
		t.Errorf("the admin API shows no placeholders, HTTP %d:\n%s", status, dump)
	}
	refusal, err := shop.Validate(strings.Replace(config, "{env.CHECKOUT_HOOK_SECRET}", "{env.CHECKOUT_HOOK_SECRET}x", 1))
	if err == nil {
		t.Error("a broken webhook secret is valid")
	}
	shop.Stop()

	secrets := map[string]string{
		"token":          harness.Token,
		"webhook secret": strings.TrimPrefix(hookSecret, "whsec_"),
	}
	logs := shop.Logs()
	for name, secret := range secrets {
		for _, text := range append(shown, dump, refusal, string(receiver.Deliveries()[0].Body)) {
			if strings.Contains(text, secret) {
				t.Errorf("the %s is shown: %s", name, text)
			}
		}
	}
	secrets["key of the pay request"] = form.Get("key")
	secrets["key of the notify"] = notify.Get("key")
	secrets["signed string"] = "paymoney="
	secrets["signature of the webhook"] = receiver.Deliveries()[0].Header.Get("Webhook-Signature")
	for name, secret := range secrets {
		if line, found := lineWith(logs, secret); found {
			t.Errorf("the %s is logged: %s", name, line)
		}
	}
}

func lineWith(text, part string) (line string, found bool) {
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			return line, true
		}
	}
	return "", false
}
