package sandbox_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-checkout/checkout/internal/sandbox"
)

func TestPayRefusals(t *testing.T) {
	without := func(name string) url.Values {
		f := payForm(nil)
		f.Del(name)
		return f
	}
	type test struct {
		name   string
		form   url.Values
		status int
		says   []string
	}
	tests := []test{
		{"uid unknown", payForm(url.Values{"uid": {"1"}}), 403, []string{`uid &#34;1&#34; is unknown`}},
		{"paytype", payForm(url.Values{"paytype": {"12"}}), 400, []string{`paytype is &#34;12&#34;; want 11`}},
		{"field unknown", payForm(url.Values{"notify_url": {"x"}}), 400, []string{`&#34;notify_url&#34; is no field`}},
		{"token sent", payForm(url.Values{"token": {token}}), 400, []string{"token must never leave"}},
		{"token in a value", payForm(url.Values{"orderinfo": {"my " + token}}), 400, []string{"token must never leave"}},
		{"key wrong", payForm(url.Values{"key": {strings.Repeat("0", 32)}}), 403, []string{"key does not match", "none of the usual mistakes",
			"uid=10000001400000&amp;orderid=A1&amp;ordername=手冲咖啡壶&amp;paymoney=39.00&amp;orderuid=&amp;paytype=11&amp;notifyurl=http://shop.test/notify&amp;returnurl=http://shop.test/return/A1&amp;orderinfo=&amp;token=********",
			"<code>uid</code></li><li><code>orderid</code>"}},
		{"key short", payForm(url.Values{"key": {"abc"}}), 403, []string{"32 lower-case hex"}},
		{"two at once", payForm(url.Values{"paymoney": {"39"}, "returnurl": {"/return"}}), 400, []string{"paymoney is", "returnurl is"}},
		{"wrong and missing", func() url.Values { f := payForm(url.Values{"paymoney": {"39"}}); f.Del("orderinfo"); return f }(), 400, []string{"paymoney is", "orderinfo is missing"}},
	}
	for _, name := range append(slices.Clone(payFields), "key") {
		twice := payForm(nil)
		twice.Add(name, twice.Get(name))
		tests = append(tests,
			test{name + " missing", without(name), 400, []string{name + " is missing"}},
			test{name + " twice", twice, 400, []string{name + " is there 2 times"}})
	}
	for _, name := range []string{"uid", "orderid", "paymoney", "paytype", "notifyurl", "returnurl", "key"} {
		tests = append(tests, test{name + " empty", payForm(url.Values{name: {""}}), 400, []string{name + " is empty"}})
	}
	for name, limit := range map[string]int{"orderid": 40, "ordername": 100, "paymoney": 14, "orderuid": 40, "notifyurl": 80, "returnurl": 80, "orderinfo": 500} {
		long := strings.Repeat("1", limit-1) + "é"
		tests = append(tests, test{name + " long", payForm(url.Values{name: {long}}), 400, []string{fmt.Sprintf("%s has %d bytes; at most %d", name, limit+1, limit)}})
	}
	for _, bad := range []string{"a&b", "a\nb", "a\x00b", "\xff", "a\x7fb"} {
		tests = append(tests, test{fmt.Sprintf("value %q", bad), payForm(url.Values{"ordername": {bad}}), 400, []string{"ordername holds"}})
	}
	for _, bad := range []string{"39", "39.0", "39.000", "039.00", "+39.00", "-1.00", "1e2", " 39.00", "3９.00", ".50", "39.00元"} {
		tests = append(tests, test{"amount " + bad, payForm(url.Values{"paymoney": {bad}}), 400, []string{"paymoney is"}})
	}
	tests = append(tests, test{"nothing", payForm(url.Values{"paymoney": {"0.00"}}), 400, []string{"more than zero"}})
	for _, name := range []string{"notifyurl", "returnurl"} {
		for _, bad := range []string{"/notify", "//shop.test/n", "ftp://shop.test/n", "javascript:alert(1)", "http://", "http://:80/", "shop.test/n", "http://%zz/"} {
			tests = append(tests, test{name + " " + bad, payForm(url.Values{name: {bad}}), 400, []string{name + " is"}})
		}
	}

	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, nil)
			w := r.form("/pay.action", tt.form)
			if w.Code != tt.status {
				t.Errorf("status %d, want %d", w.Code, tt.status)
			}
			for _, says := range tt.says {
				if !strings.Contains(w.Body.String(), says) {
					t.Errorf("does not say %q:\n%s", says, w.Body)
				}
			}
			if a := r.messages("kind=pay"); len(a.Messages) != 1 || a.Messages[0].OK {
				t.Errorf("journal: %+v", a.Messages)
			}
			if w := r.get("/sandbox/orders"); !strings.Contains(w.Body.String(), `"orders":[]`) {
				t.Errorf("an order was made: %s", w.Body)
			}
		})
	}
}

func TestPayRefusesBody(t *testing.T) {
	good := payForm(nil).Encode()
	for _, tt := range []struct{ name, target, contentType, body, says string }{
		{"no content type", "/pay.action", "", good, "Content-Type"},
		{"text", "/pay.action", "text/plain", good, "Content-Type"},
		{"json", "/pay.action", "application/json", "{}", "Content-Type"},
		{"multipart", "/pay.action", "multipart/form-data; boundary=x", good, "Content-Type"},
		{"charset", "/pay.action", "application/x-www-form-urlencoded; charset=gbk", good, "Content-Type"},
		{"query", "/pay.action?uid=1", "application/x-www-form-urlencoded", good, "the URL has a query"},
		{"escape", "/pay.action", "application/x-www-form-urlencoded", good + "%zz", "cannot be decoded"},
		{"semicolon", "/pay.action", "application/x-www-form-urlencoded", good + ";a=b", "cannot be decoded"},
		{"large", "/pay.action", "application/x-www-form-urlencoded", good + "&x=" + strings.Repeat("a", 16<<10), "over 16384 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newRig(t, nil).post(tt.target, tt.contentType, tt.body)
			if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), tt.says) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
	r := newRig(t, nil)
	if w := r.get("/pay.action"); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "POST" {
		t.Errorf("GET: %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
	if w := r.post("/pay.action", "application/x-www-form-urlencoded; charset=UTF-8", good); w.Code != http.StatusSeeOther {
		t.Errorf("charset UTF-8: %d %s", w.Code, w.Body)
	}
}

func TestPayAtTheLimits(t *testing.T) {
	r := newRig(t, nil)
	w := r.form("/pay.action", payForm(url.Values{
		"orderid":   {strings.Repeat("o", 40)},
		"ordername": {strings.Repeat("壶", 33) + "a"},
		"paymoney":  {"99999999999.99"},
		"orderuid":  {strings.Repeat("u", 40)},
		"notifyurl": {"https://s.test/" + strings.Repeat("n", 65)},
		"returnurl": {"https://s.test/" + strings.Repeat("r", 65)},
		"orderinfo": {strings.Repeat("i", 500)},
	}))
	if w.Code != http.StatusSeeOther {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestPayHints(t *testing.T) {
	changed := func(names []string, change func(string) string) string {
		f := payForm(nil)
		for name := range f {
			f.Set(name, change(f.Get(name)))
		}
		return key(names, f)
	}
	same := func(s string) string { return s }
	sorted := slices.Sorted(slices.Values(payFields))
	drop := func(names []string, drop ...string) []string {
		return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(drop, n) })
	}
	for _, tt := range []struct{ key, says string }{
		{strings.ToUpper(changed(payFields, same)), "lower case"},
		{changed(payFields, url.QueryEscape), "URL-encoded"},
		{changed(drop(payFields, "orderuid", "orderinfo"), same), "without the empty fields"},
		{changed(sorted, same), "alphabetical"},
		{changed(drop(sorted, "orderuid", "orderinfo"), same), "alphabetical"},
		{changed(drop(payFields, "returnurl"), same), "without returnurl"},
		{changed([]string{"uid", "orderid", "ordername", "paymoney", "orderuid", "paytype", "returnurl", "notifyurl", "orderinfo"}, same), "swapped"},
	} {
		w := newRig(t, nil).form("/pay.action", payForm(url.Values{"key": {tt.key}}))
		if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), tt.says) {
			t.Errorf("want hint %q: %d %s", tt.says, w.Code, w.Body)
		}
		if right := key(payFields, payForm(nil)); strings.Contains(w.Body.String(), right) {
			t.Errorf("hint %q: the right key is shown", tt.says)
		}
	}
}

func TestPaySameOrderAgain(t *testing.T) {
	r := newRig(t, nil)
	r.order("A1")
	r.order("A1")
	for _, name := range []string{"ordername", "paymoney", "orderuid", "notifyurl", "returnurl", "orderinfo"} {
		change := url.Values{name: {"http://other.test/"}}
		if name == "paymoney" {
			change = url.Values{name: {"0.01"}}
		}
		w := r.form("/pay.action", payForm(change))
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "used before with another "+name) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestPayWithOtherSignedFields(t *testing.T) {
	names := []string{"orderid", "uid", "paymoney"}
	r := newRig(t, func(c *sandbox.Config) { c.SignPay = names })
	if w := r.form("/pay.action", payForm(nil)); w.Code != http.StatusForbidden {
		t.Errorf("default fields: %d", w.Code)
	}
	f := payForm(nil)
	f.Set("key", key(names, f))
	if w := r.form("/pay.action", f); w.Code != http.StatusSeeOther {
		t.Errorf("configured fields: %d %s", w.Code, w.Body)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	r := newRig(t, func(c *sandbox.Config) { c.MaxOrders, c.MaxMessages = 3, 5 })
	for i := range 10 {
		r.order(fmt.Sprint("A", i))
	}
	w := r.get("/sandbox/orders")
	if n := strings.Count(w.Body.String(), `"state"`); n != 3 || strings.Contains(w.Body.String(), `"A6"`) || !strings.Contains(w.Body.String(), `"A9"`) {
		t.Errorf("%d orders: %s", n, w.Body)
	}
	if m := r.reply(statusQuery("A6")); m["status"] != "-2" {
		t.Errorf("the oldest order is known: %v", m)
	}
	r.order("A9")
	a := r.messages("")
	if len(a.Messages) != 5 || a.Messages[0].OrderID != "A9" || a.Messages[1].OrderID != "A6" || a.Messages[4].OrderID != "A7" {
		t.Errorf("%d messages", len(a.Messages))
	}
}

func TestMessagesAreBounded(t *testing.T) {
	r := newRig(t, nil)
	f := payForm(url.Values{"orderinfo": {strings.Repeat("壶", 333)}})
	for i := range 500 {
		f.Set(fmt.Sprint("x", i), "1")
	}
	w := r.form("/pay.action", f)
	if n := strings.Count(w.Body.String(), "is no field"); n != 8 {
		t.Errorf("%d reasons", n)
	}
	w = r.get("/sandbox/messages")
	if w.Body.Len() > 8<<10 || strings.Contains(w.Body.String(), "\ufffd") {
		t.Errorf("%d bytes: %s", w.Body.Len(), w.Body)
	}
}

func TestForeignPagesCannotPressButtons(t *testing.T) {
	r := newRig(t, nil)
	r.order("A1")
	for _, target := range []string{"/cashier", "/sandbox/pay", "/sandbox/misbehave"} {
		req := httptest.NewRequest(http.MethodPost, target, strings.NewReader("orderid=A1&do=pay"))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "cross-site")
		if w := r.do(req); w.Code != http.StatusForbidden {
			t.Errorf("%s: %d", target, w.Code)
		}
	}
	req := httptest.NewRequest(http.MethodPost, "/pay.action", strings.NewReader(payForm(nil).Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	if w := r.do(req); w.Code != http.StatusSeeOther {
		t.Errorf("the pay form must come from anywhere: %d", w.Code)
	}
}
