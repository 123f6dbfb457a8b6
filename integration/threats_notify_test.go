package integration

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-checkout/checkout/integration/harness"
)

// expectPending fails the test unless the shop takes the order as unpaid.
func expectPending(t *testing.T, shop *harness.Shop, o harness.Order) {
	t.Helper()
	if st := shop.Status(o.OrderID); st.State != "pending" {
		t.Fatalf("the order is %s", st.State)
	}
}

// A notify is one POSTed form, with a key that fits, and nothing else.
func TestNotifiesThatAreNone(t *testing.T) {
	shop := harness.StartShop(t)
	o := shop.Order()
	good := shop.Gateway.NotifyForm(o.Payment("pay-1"))
	body := good.Encode()
	with := func(name, value string) string {
		form := url.Values{}
		for k, v := range good {
			form[k] = v
		}
		form.Set(name, value)
		return form.Encode()
	}
	without := func(name string) string {
		form := url.Values{}
		for k, v := range good {
			if k != name {
				form[k] = v
			}
		}
		return form.Encode()
	}
	key := good.Get("key")
	const formType = "application/x-www-form-urlencoded"
	tests := []struct {
		name                           string
		method, query, body, mediaType string
		want                           int
	}{
		{"fields in the query", "POST", "?" + body, "", formType, 400},
		{"one field more in the query", "POST", "?realpay=39.00", without("realpay"), formType, 400},
		{"GET", "GET", "?" + body, "", "", 405},
		{"PUT", "PUT", "", body, formType, 405},
		{"multipart", "POST", "", "--x\r\nContent-Disposition: form-data; name=\"payid\"\r\n\r\n1\r\n--x--\r\n", "multipart/form-data; boundary=x", 400},
		{"text/plain", "POST", "", body, "text/plain", 400},
		{"no content type", "POST", "", body, "", 400},
		{"JSON", "POST", "", `{"payid":"1"}`, "application/json", 400},
		{"empty", "POST", "", "", formType, 400},
		{"a field twice", "POST", "", body + "&realpay=39.00", formType, 400},
		{"the key twice", "POST", "", body + "&key=" + key, formType, 400},
		{"a broken escape", "POST", "", body + "&x=%zz", formType, 400},
		{"a semicolon", "POST", "", strings.Replace(body, "&", ";", 1), formType, 400},
		{"NUL", "POST", "", with("payid", "pay\x00"), formType, 400},
		{"a line break", "POST", "", with("orderuid", "a\nb"), formType, 400},
		{"GBK", "POST", "", without("orderuid") + "&orderuid=%C4%E3", formType, 400},
		{"an ampersand in a value", "POST", "", with("orderuid", "&orderid=VICTIM&orderuid="), formType, 400},
		{"17 KiB", "POST", "", body + "&pad=" + strings.Repeat("x", 17<<10), formType, 413},
		{"10 MiB", "POST", "", body + "&pad=" + strings.Repeat("x", 10<<20), formType, 413},
		{"no key", "POST", "", without("key"), formType, 400},
		{"an empty key", "POST", "", with("key", ""), formType, 403},
		{"key 0", "POST", "", with("key", "0"), formType, 403},
		{"a key that PHP takes for a number", "POST", "", with("key", "0e462097431906509019562988736854"), formType, 403},
		{"upper case", "POST", "", with("key", strings.ToUpper(key)), formType, 403},
		{"31 digits", "POST", "", with("key", key[:31]), formType, 403},
		{"33 digits", "POST", "", with("key", key+"0"), formType, 403},
		{"another key", "POST", "", with("key", strings.Repeat("a", 32)), formType, 403},
		{"a space before the key", "POST", "", with("key", " "+key), formType, 403},
		{"another amount under the old key", "POST", "", with("realpay", "0.01"), formType, 403},
		{"another order under the old key", "POST", "", with("orderid", shop.Order().OrderID), formType, 403},
		{"no payid", "POST", "", without("payid"), formType, 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var header []string
			if tt.mediaType != "" {
				header = []string{"Content-Type", tt.mediaType}
			}
			a, err := shop.TrySend(tt.method, "/checkout/notify"+tt.query, tt.body, header...)
			if err != nil {
				// A server that answers before it has read 10 MiB may close the connection.
				if tt.want == http.StatusRequestEntityTooLarge {
					return
				}
				t.Fatal(err)
			}
			if a.Status != tt.want && (tt.want != 403 || a.Status != 400) {
				t.Errorf("HTTP %d %q, want %d", a.Status, a.Body, tt.want)
			}
			if strings.Contains(a.Body, "success") {
				t.Errorf("answered %q", a.Body)
			}
		})
	}
	expectPending(t, shop, o)
	if a := shop.Post("/checkout/notify", good); a.Status != http.StatusOK || a.Body != "success" {
		t.Errorf("the genuine notify after all that: HTTP %d %q", a.Status, a.Body)
	}
}

// Verified money that does not fit is kept for a person, and pays nothing.
func TestAmountsThatDoNotFit(t *testing.T) {
	shop := harness.StartShop(t, "limits off")
	for _, tt := range []struct{ payMoney, realPay string }{
		{"39.00", "0.01"}, {"39.00", "39"}, {"39.00", "39.000"}, {"39.00", "39.0"}, {"39.00", "039.00"},
		{"39.00", "3９.00"}, {"39.00", "+39.00"}, {"39.00", "3.9e1"}, {"39.00", "39,00"}, {"39.00", " 39.00"},
		{"39.00", "-39.00"}, {"39.00", ""}, {"39.00", "39.01"}, {"0.01", "0.01"}, {"0.01", "39.00"}, {"", "39.00"},
		{"39.00", "99999999999999999999.00"},
	} {
		o := shop.Order()
		p := o.Payment("pay-" + o.OrderID)
		p.PayMoney, p.RealPay = tt.payMoney, tt.realPay
		a := shop.Notify(p)
		if a.Status != http.StatusOK || a.Body != "success" {
			t.Errorf("paymoney %q, realpay %q: HTTP %d %q, want success: it is kept", tt.payMoney, tt.realPay, a.Status, a.Body)
		}
		if st := shop.Status(o.OrderID); st.State != "review" || st.Status != "-2" || st.Msg == "" {
			t.Errorf("paymoney %q, realpay %q: %+v, want review", tt.payMoney, tt.realPay, st)
		}
		// A review ends by the merchant's word, not by another notify.
		shop.Notify(o.Payment("again-" + o.OrderID))
		if st := shop.Status(o.OrderID); st.State != "review" {
			t.Errorf("after a second payment: %+v, want review", st)
		}
	}
}

func TestAPaymentPaysOneOrder(t *testing.T) {
	shop := harness.StartShop(t)
	first, second := shop.Order(), shop.Order()
	if a := shop.Notify(first.Payment("pay-1")); a.Body != "success" {
		t.Fatal(a)
	}
	if a := shop.Notify(second.Payment("pay-1")); a.Status != http.StatusOK {
		t.Errorf("a payid of another order: HTTP %d", a.Status)
	}
	if st := shop.Status(second.OrderID); st.State != "review" {
		t.Errorf("an order with another order's payid is %s, want review", st.State)
	}
	if a := shop.Notify(first.Payment("pay-2")); a.Status != http.StatusOK || a.Body != "success" {
		t.Errorf("a second payment: HTTP %d %q", a.Status, a.Body)
	}
	if st := shop.Status(first.OrderID); st.State != "paid" {
		t.Errorf("an order that was paid twice is %s, want paid", st.State)
	}
	shop.AwaitLog("second_payment", first.OrderID)
}

// However often and however much at once: one transition.
func TestTheSameNotifyManyTimes(t *testing.T) {
	shop := harness.StartShop(t)
	o := shop.Order()
	form := shop.Gateway.NotifyForm(o.Payment("pay-1"))
	const clients, each = 64, 8
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for range each {
				if a := shop.Post("/checkout/notify", form); a.Status != http.StatusOK || a.Body != "success" {
					t.Errorf("HTTP %d %q", a.Status, a.Body)
				}
			}
		})
	}
	wg.Wait()
	expectCounter(t, shop, `caddy_checkout_order_state_changes_total{`, `state="paid"`, 1)
	expectCounter(t, shop, `caddy_checkout_notifies_total{`, `verdict="duplicate"`, clients*each-1)
	if got := strings.Count(shop.Logs(), `"msg":"order paid"`); got != 1 {
		t.Errorf("the log tells of %d payments", got)
	}
}

// expectCounter reads a counter from the metrics. Those of the store are left
// out of a scrape that the disk holds up for too long.
func expectCounter(t *testing.T, shop *harness.Shop, name, label string, want int) {
	t.Helper()
	var found string
	harness.Await(t, "the metric "+name+"…"+label, func() bool {
		for line := range strings.Lines(shop.Get("/metrics").Body) {
			if strings.HasPrefix(line, name) && strings.Contains(line, label) {
				found = line
			}
		}
		return found != ""
	})
	if !strings.HasSuffix(strings.TrimSpace(found), fmt.Sprintf(" %d", want)) {
		t.Errorf("want %d: %s", want, found)
	}
}

// A genuine notify counts in its own shop only.
func TestNotifiesOfAnotherShop(t *testing.T) {
	shop := harness.NewShop(t)
	other := fmt.Sprintf("http://127.0.0.1:%d", shop.Listen())
	block := func(path, uid string) string {
		return fmt.Sprintf("checkout {\n\t\tuid %s\n\t\ttoken {env.CHECKOUT_TOKEN}\n\t\torigin %s\n\t\tgateway %s\n\t\tpath %s%s\n\t}\n", uid, other, shop.Gateway.URL, path, harness.Goods)
	}
	shop.Start(shop.Caddyfile() + "\n" + other + " {\n\t" + block("/checkout", harness.UID) + "\t" + block("/b", "10000001400001") + "}\n")
	o := shop.Order()
	form := shop.Gateway.NotifyForm(o.Payment("pay-1"))
	neighbour := &harness.Shop{Caddy: shop.Caddy, Gateway: shop.Gateway, Origin: other}
	for _, path := range []string{"/checkout", "/b"} {
		a, err := harness.NewClient().PostForm(neighbour.Origin+path+"/notify", form)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		if a.StatusCode != http.StatusNotFound {
			t.Errorf("another shop's notify at %s: HTTP %d, want 404", path, a.StatusCode)
		}
		status, err := harness.NewClient().Get(neighbour.Origin + path + "/status?orderid=" + o.OrderID)
		if err != nil {
			t.Fatal(err)
		}
		status.Body.Close()
		if status.StatusCode != http.StatusNotFound {
			t.Errorf("another shop's order at %s: HTTP %d, want 404", path, status.StatusCode)
		}
	}
	expectPending(t, shop, o)
}

// The rotation of tokens: what was signed with the previous one still counts.
func TestTokenRotation(t *testing.T) {
	shop := harness.NewShop(t)
	shop.Env = append(shop.Env, "CHECKOUT_NEW_TOKEN=brand-new-"+harness.Token[len("canary-"):])
	rotated := func(tokens string) string {
		return strings.Replace(shop.Caddyfile(), "token {env.CHECKOUT_TOKEN}", "token "+tokens, 1)
	}
	shop.Start(rotated("{env.CHECKOUT_NEW_TOKEN} {env.CHECKOUT_TOKEN}"))
	o := shop.Order()
	if err := shop.Gateway.CheckPayForm(o.Form()); err == nil {
		t.Error("the form is signed with the previous token")
	}
	if a := shop.Notify(o.Payment("pay-1")); a.Body != "success" {
		t.Errorf("a notify that is signed with the previous token: HTTP %d %q", a.Status, a.Body)
	}
	if err := shop.Reload(rotated("{env.CHECKOUT_NEW_TOKEN}")); err != nil {
		t.Fatal(err)
	}
	o = shop.Order()
	if a := shop.Notify(o.Payment("pay-2")); a.Status != http.StatusForbidden {
		t.Errorf("after the rotation: HTTP %d, want 403", a.Status)
	}
}

func TestOrphansAreKept(t *testing.T) {
	shop := harness.StartShop(t)
	a := shop.Notify(harness.Payment{PayID: "pay-1", OrderID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", PayMoney: "39.00", RealPay: "39.00"})
	if a.Status != http.StatusNotFound {
		t.Errorf("a notify for an unknown order: HTTP %d, want 404", a.Status)
	}
	shop.AwaitLog("orphan", "01ARZ3NDEKTSV4RRFFQ69G5FAV")
	expectCounter(t, shop, "caddy_checkout_orphans{", "shop=", 1)
}

// An order that expired is paid by money that comes late.
func TestLatePayment(t *testing.T) {
	shop := harness.StartShop(t, "expire 1s")
	o := shop.Order()
	shop.Gateway.AnswerStatus(func(w http.ResponseWriter, orderid string) {
		fmt.Fprintf(w, `{"msg":"","orderid":%q,"payid":"","paymoney":"39.00","realpay":"","status":"1"}`, orderid)
	})
	if st := shop.AwaitState(o.OrderID, "expired"); st.Status != "1" {
		t.Fatalf("after the gateway's time is over: %+v, want status 1", st)
	}
	if a := shop.Notify(o.Payment("pay-1")); a.Body != "success" {
		t.Fatalf("the late notify: HTTP %d %q", a.Status, a.Body)
	}
	if st := shop.Status(o.OrderID); st.State != "paid" {
		t.Errorf("after the late payment: %+v", st)
	}
	shop.AwaitLog(`"order paid"`, o.OrderID, `"late":true`)
}
