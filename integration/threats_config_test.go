package integration

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-checkout/checkout/integration/harness"
)

// What would lose or give away money is refused before it is loaded, in words
// that hold no secret.
func TestConfigurationsThatAreRefused(t *testing.T) {
	shop := harness.NewShop(t)
	good := shop.Caddyfile()
	for _, tt := range []struct{ name, old, replacement, want string }{
		{"an empty token", "token {env.CHECKOUT_TOKEN}", `token ""`, "token"},
		{"no token", "token {env.CHECKOUT_TOKEN}", "", "token"},
		{"an unset variable", "{env.CHECKOUT_TOKEN}", "{env.CHECKOUT_NOPE}", "CHECKOUT_NOPE"},
		{"a short token", "{env.CHECKOUT_TOKEN}", "12345678", "8 bytes"},
		{"a malformed price", "39.00", "39.001", "39.001"},
		{"an origin with a path", "origin " + shop.Origin, "origin " + shop.Origin + "/shop", "origin"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := shop.Validate(strings.Replace(good, tt.old, tt.replacement, 1))
			if err == nil || !strings.Contains(out, tt.want) {
				t.Errorf("valid: %t, want a refusal with %q:\n%s", err == nil, tt.want, out)
			}
			if strings.Contains(out, "12345678") || strings.Contains(out, harness.Token) {
				t.Errorf("the refusal holds the token:\n%s", out)
			}
		})
	}
	if out, err := shop.Validate(good); err != nil {
		t.Errorf("the good one is refused too:\n%s", out)
	}
	if found, _ := filepath.Glob(filepath.Join(shop.Dir, "data", "caddy", "checkout", "*")); len(found) > 0 {
		t.Errorf("validating made %v", found)
	}
}

// A load that is refused leaves the shop as it was.
func TestARefusedReloadChangesNothing(t *testing.T) {
	shop := harness.StartShop(t)
	o := shop.Order()
	if err := shop.Reload(strings.Replace(shop.Caddyfile(), "{env.CHECKOUT_TOKEN}", "{env.CHECKOUT_NOPE}", 1)); err == nil {
		t.Fatal("loaded without a token")
	}
	if a := shop.Notify(o.Payment("pay-1")); a.Body != "success" {
		t.Errorf("notify: HTTP %d %q", a.Status, a.Body)
	}
}

// The admin API shows placeholders, never what they stand for. That no log
// holds the token the harness checks after every test.
func TestSecretsStaySecret(t *testing.T) {
	const hook = "whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5"
	shop := harness.NewShop(t)
	shop.Env = append(shop.Env, "CHECKOUT_HOOK_SECRET="+hook)
	shop.Start(shop.Caddyfile("webhook http://127.0.0.1:1/hook {env.CHECKOUT_HOOK_SECRET}"))
	_, config := shop.Admin(http.MethodGet, "/config/", nil)
	if strings.Contains(config, harness.Token) || strings.Contains(config, hook) || !strings.Contains(config, "{env.CHECKOUT_TOKEN}") {
		t.Errorf("the admin API shows:\n%s", config)
	}
	o := shop.Order()
	form := shop.Gateway.NotifyForm(o.Payment("pay-secret-1"))
	shop.Notify(o.Payment("pay-secret-1"))
	form.Set("realpay", "0.01")
	shop.Post("/checkout/notify", form)
	form.Del("payid")
	shop.Post("/checkout/notify", form)
	logs := shop.Logs()
	for _, secret := range []string{o.Fields["key"], form.Get("key"), "paymoney=", "token=", "realpay=", hook} {
		if strings.Contains(logs, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	for _, path := range []string{"/checkout?sku=mug", "/checkout/return/" + o.OrderID, "/checkout/status?orderid=" + o.OrderID, "/metrics"} {
		if body := shop.Get(path).Body; strings.Contains(body, harness.Token) || strings.Contains(body, form.Get("key")) {
			t.Errorf("%s shows a secret", path)
		}
	}
}

// The catalog is read again when it changes; a broken one changes no price.
func TestCatalogFile(t *testing.T) {
	shop := harness.NewShop(t)
	file := filepath.Join(shop.Dir, "products.json")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	price := func() string {
		a := shop.Get("/checkout?sku=tea", "Accept", "text/html")
		if at := strings.Index(a.Body, "<strong>¥"); at >= 0 {
			return strings.SplitN(a.Body[at+len("<strong>¥"):], "<", 2)[0]
		}
		return ""
	}
	write(`[{"sku":"tea","name":"Tea","price":"25.00"}]`)
	shop.Start(shop.Caddyfile("catalog " + file))
	if got := price(); got != "25.00" {
		t.Fatalf("price %q, want 25.00", got)
	}
	write(`[{"sku":"tea","name":"Tea","price":26.5}]`)
	harness.Await(t, "the new price", func() bool { return price() == "26.50" })
	write(`[{"sku":"tea","name":"Tea","price":"0,50"}]`)
	harness.Await(t, "the log of the broken catalog", func() bool {
		if got := price(); got != "26.50" {
			t.Fatalf("price %q with a broken catalog, want 26.50", got)
		}
		return strings.Contains(shop.Logs(), "old prices stay")
	})
}
