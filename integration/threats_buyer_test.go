package integration

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-checkout/checkout/integration/harness"
)

func TestPricesComeFromTheCatalog(t *testing.T) {
	shop := harness.StartShop(t)
	for _, extra := range []url.Values{
		{"paymoney": {"0.01"}}, {"price": {"0"}}, {"total": {"0.01"}}, {"ordername": {"free"}}, {"uid": {"1"}},
		{"notifyurl": {"http://evil.example"}}, {"orderid": {"1"}}, {"orderuid": {"&paymoney=0.01&orderuid=bob"}},
	} {
		form := url.Values{"sku": {"mug"}, "qty": {"1"}}
		for name, values := range extra {
			form[name] = values
		}
		o, a, err := shop.TryOrder(form)
		if err != nil || a.Status != http.StatusOK {
			t.Errorf("%v: HTTP %d %v", extra, a.Status, err)
			continue
		}
		if err := shop.Gateway.CheckPayForm(o.Form()); err != nil {
			t.Errorf("%v: %v", extra, err)
		}
		if o.Fields["paymoney"] != "39.00" || o.Fields["uid"] != harness.UID || o.Fields["ordername"] == "free" ||
			len(o.OrderID) != 26 || o.Fields["orderuid"] != "" || !strings.HasPrefix(o.Fields["notifyurl"], shop.Origin) {
			t.Errorf("%v changed the form: %v", extra, o.Fields)
		}
	}
}

func TestOrdersThatAreNone(t *testing.T) {
	shop := harness.StartShop(t)
	const formType = "application/x-www-form-urlencoded"
	for _, tt := range []struct {
		name, body, mediaType string
		want                  int
	}{
		{"nothing", "", formType, 400},
		{"unknown product", "sku=nothing&qty=1", formType, 404},
		{"none", "sku=mug&qty=0", formType, 400},
		{"less than none", "sku=mug&qty=-1", formType, 400},
		{"too many", "sku=mug&qty=1000", formType, 400},
		{"far too many", "sku=mug&qty=99999999999999999999", formType, 400},
		{"half a mug", "sku=mug&qty=0.5", formType, 400},
		{"an exponent", "sku=mug&qty=1e2", formType, 400},
		{"full-width digits", "sku=mug&qty=１", formType, 400},
		{"51 products", strings.Repeat("sku=mug&qty=1&", 51), formType, 0}, // one product, 51 times: one line
		{"a broken escape", "sku=mug&qty=1&x=%zz", formType, 400},
		{"a semicolon", "sku=mug;qty=1", formType, 400},
		{"NUL", "sku=mug%00&qty=1", formType, 404},
		{"multipart", "--x--", "multipart/form-data; boundary=x", 400},
		{"JSON", `{"sku":"mug"}`, "application/json", 400},
		{"no content type", "sku=mug&qty=1", "", 400},
		{"17 KiB", "sku=mug&qty=1&pad=" + strings.Repeat("x", 17<<10), formType, 413},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, accept := range []string{"application/json", "text/html"} {
				header := []string{"Accept", accept}
				if tt.mediaType != "" {
					header = append(header, "Content-Type", tt.mediaType)
				}
				a := shop.Send(http.MethodPost, "/checkout", tt.body, header...)
				if tt.want == 0 {
					continue
				}
				if a.Status != tt.want && (tt.want != 404 || a.Status != 400) {
					t.Errorf("%s: HTTP %d, want %d\n%s", accept, a.Status, tt.want, a.Body)
				}
				if !strings.HasPrefix(a.Header.Get("Content-Type"), accept) {
					t.Errorf("asked for %s, got %s", accept, a.Header.Get("Content-Type"))
				}
			}
		})
	}
}

func TestMethodsAndRoutes(t *testing.T) {
	shop := harness.StartShop(t)
	o := shop.Order()
	for _, tt := range []struct {
		method, path string
		want         int
	}{
		{"DELETE", "/checkout", 405},
		{"PUT", "/checkout", 405},
		{"POST", "/checkout/status?orderid=" + o.OrderID, 405},
		{"POST", "/checkout/return/" + o.OrderID, 405},
		{"GET", "/checkout/nothing", 404},
		{"GET", "/checkout/return/", 404},
		{"GET", "/checkout/return/" + o.OrderID + "/more", 404},
	} {
		a := shop.Send(tt.method, tt.path, "")
		if a.Status != tt.want || tt.want == 405 && a.Header.Get("Allow") == "" {
			t.Errorf("%s %s: HTTP %d, want %d; Allow: %q", tt.method, tt.path, a.Status, tt.want, a.Header.Get("Allow"))
		}
	}
}

// Whatever an order id is wrong by, the answer is the same.
func TestUnknownOrdersLookAlike(t *testing.T) {
	shop := harness.StartShop(t)
	id := shop.Order().OrderID
	last := map[bool]string{true: "1", false: "0"}[id[25] == '0']
	var bodies []string
	for _, unknown := range []string{
		id[:25] + last, strings.ToLower(id), id[:25], id + "0", "0", "", "01ARZ3NDEKTSV4RRFFQ69G5FAV",
		"..%2f..%2fetc%2fpasswd", "%00", "'%20OR%201=1--", strings.Repeat("A", 1000), "%C4%E3",
	} {
		a := shop.Get("/checkout/status?orderid=" + unknown)
		if a.Status != http.StatusNotFound && a.Status != http.StatusBadRequest {
			t.Errorf("status of %q: HTTP %d, want 404", unknown, a.Status)
		}
		if a.Status == http.StatusNotFound {
			bodies = append(bodies, a.Body)
		}
	}
	for _, b := range bodies {
		if b != bodies[0] {
			t.Errorf("two answers differ: %q and %q", b, bodies[0])
		}
	}
	if a := shop.Get("/checkout/status?orderid=" + id + "&orderid=" + id); a.Status != http.StatusBadRequest {
		t.Errorf("two orderids: HTTP %d, want 400", a.Status)
	}
	if a := shop.Get("/checkout/status?orderid=" + id); strings.Count(a.Body, `":`) != 6 {
		t.Errorf("status tells more than it should: %s", a.Body)
	}
}

func TestReturnProvesNothing(t *testing.T) {
	shop := harness.StartShop(t)
	o := shop.Order()
	for range 20 {
		for _, query := range []string{"", "?status=0&realpay=39.00", "?" + shop.Gateway.NotifyForm(o.Payment("pay-1")).Encode()} {
			if a := shop.Get("/checkout/return/"+o.OrderID+query, "Accept", "text/html"); a.Status != http.StatusOK {
				t.Fatalf("HTTP %d", a.Status)
			}
		}
	}
	expectPending(t, shop, o)
	if n := shop.Gateway.AwaitQuestion(o.OrderID); n != 1 {
		t.Errorf("returning asked the gateway: %d questions, want one, of status", n)
	}
}

func TestHostsAreNotBelieved(t *testing.T) {
	shop := harness.NewShop(t)
	// A site that answers to every name, as behind a careless proxy.
	catchAll := strings.Replace(shop.Caddyfile(), shop.Origin+" {", strings.Replace(shop.Origin, "127.0.0.1", "", 1)+" {", 1)
	shop.Start(catchAll)
	for _, header := range [][]string{
		{"Host", "evil.example"}, {"X-Forwarded-Host", "evil.example"}, {"Forwarded", "host=evil.example"},
		{"X-Forwarded-Proto", "ftp"}, {"X-Original-Url", "http://evil.example/"}, {"Host", "127.0.0.1:1"},
	} {
		header := append(header, "Content-Type", "application/x-www-form-urlencoded")
		for _, accept := range []string{"application/json", "text/html"} {
			a := shop.Send(http.MethodPost, "/checkout", "sku=mug&qty=1", append(header, "Accept", accept)...)
			if a.Status != http.StatusOK || strings.Contains(a.Body, "evil") || !strings.Contains(a.Body, shop.Origin+"/checkout/notify") {
				t.Errorf("%v: HTTP %d\n%s", header, a.Status, a.Body)
			}
		}
	}
}

func TestRedirectsLeadNowhereElse(t *testing.T) {
	shop := harness.StartShop(t, "success /thanks.html")
	o := shop.Order()
	shop.Notify(o.Payment("pay-1"))
	for _, query := range []string{"", "?next=https://evil.example", "?success=//evil.example", "?returnurl=%2f%5cevil.example"} {
		a := shop.Get("/checkout/return/" + o.OrderID + query)
		if a.Header.Get("Location") != "/thanks.html" {
			t.Errorf("%q leads to %q", query, a.Header.Get("Location"))
		}
	}
	for _, path := range []string{"//evil.example/checkout", "/checkout//evil.example", "/checkout/return//evil.example", "/checkout/return/%5cevil.example"} {
		if a := shop.Get(path); a.Header.Get("Location") != "" {
			t.Errorf("%s leads to %q", path, a.Header.Get("Location"))
		}
	}
}

func TestNamesAreTextOnly(t *testing.T) {
	const evil = `'"><script>alert(1)</script><img src=x onerror=alert(1)>`
	shop := harness.StartShop(t, "require email", "ask name note address")
	review := shop.Get("/checkout?sku=bomb&qty=1", "Accept", "text/html").Body
	form := harness.FormTo(t, review, "/checkout").Values
	for _, name := range []string{"name", "note", "address", "email"} {
		form.Set(name, evil)
	}
	refused := shop.Post("/checkout", form, "Accept", "text/html")
	form.Set("email", "a@example.com")
	sent := shop.Post("/checkout", form, "Accept", "text/html")
	id := harness.FormTo(t, sent.Body, shop.Gateway.URL+"/pay.action").Values.Get("orderid")
	pages := map[string]string{
		"review": review, "refused": refused.Body, "pay": sent.Body,
		"return":      shop.Get("/checkout/return/"+id, "Accept", "text/html").Body,
		"unknown sku": shop.Get("/checkout?sku="+url.QueryEscape(evil), "Accept", "text/html").Body,
		"unknown id":  shop.Get("/checkout/return/"+url.PathEscape(evil), "Accept", "text/html").Body,
	}
	scripts := map[string]int{"pay": 1, "return": 1}
	for name, page := range pages {
		if got := harness.Elements(t, page, "script"); got != scripts[name] {
			t.Errorf("%s page: %d scripts, want %d\n%s", name, got, scripts[name], page)
		}
		if got := harness.Elements(t, page, "img"); got != 0 {
			t.Errorf("%s page: %d pictures\n%s", name, got, page)
		}
	}
	if refused.Status != http.StatusUnprocessableEntity {
		t.Errorf("an e-mail address of %q: HTTP %d, want 422", evil, refused.Status)
	}
}

func TestCrossSitePosts(t *testing.T) {
	shop := harness.StartShop(t, "allow_origin https://www.example.com")
	for _, tt := range []struct {
		header []string
		want   int
	}{
		{nil, 200},
		{[]string{"Sec-Fetch-Site", "same-origin"}, 200},
		{[]string{"Sec-Fetch-Site", "none"}, 200},
		{[]string{"Sec-Fetch-Site", "cross-site"}, 403},
		{[]string{"Sec-Fetch-Site", "same-site"}, 403},
		{[]string{"Origin", "https://evil.example"}, 403},
		{[]string{"Origin", "null"}, 403},
		{[]string{"Origin", "https://www.example.com"}, 200},
		{[]string{"Origin", "https://www.example.com", "Sec-Fetch-Site", "cross-site"}, 200},
		{[]string{"Origin", "https://www.example.com.evil.example", "Sec-Fetch-Site", "cross-site"}, 403},
		{[]string{"Origin", "http://www.example.com", "Sec-Fetch-Site", "cross-site"}, 403},
	} {
		a := shop.Post("/checkout", url.Values{"sku": {"mug"}, "qty": {"1"}}, tt.header...)
		if a.Status != tt.want {
			t.Errorf("%v: HTTP %d, want %d", tt.header, a.Status, tt.want)
		}
	}
}

// One client's flood is refused; the gateway's notifies and the site are not.
func TestFloods(t *testing.T) {
	shop := harness.StartShop(t, "limits {", "\tpending_per_client 5", "\tcheckouts_per_client 20 1h", "}")
	var taken []harness.Order
	for range 30 {
		o, a, err := shop.TryOrder(url.Values{"sku": {"mug"}, "qty": {"1"}})
		switch {
		case err != nil:
			t.Fatal(err)
		case a.Status == http.StatusOK:
			taken = append(taken, o)
		case a.Status != http.StatusTooManyRequests || a.Header.Get("Retry-After") == "":
			t.Fatalf("HTTP %d, Retry-After %q, want 429", a.Status, a.Header.Get("Retry-After"))
		}
	}
	if len(taken) != 5 {
		t.Errorf("%d orders taken, want 5", len(taken))
	}
	for i, o := range taken {
		if a := shop.Notify(o.Payment(fmt.Sprint("pay-", i))); a.Body != "success" {
			t.Errorf("notify under the flood: HTTP %d %q", a.Status, a.Body)
		}
	}
	if a := shop.Get("/"); a.Status != http.StatusOK {
		t.Errorf("the site under the flood: HTTP %d", a.Status)
	}
}
