package handlers

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/sign"
)

// onlyOrder returns the one order there is.
func (r *rig) onlyOrder() order.Order {
	r.t.Helper()
	if n := r.orderCount(); n != 1 {
		r.t.Fatalf("%d orders, want one", n)
	}
	for _, o := range r.store.orders {
		return o
	}
	panic("unreachable")
}

// signedFields holds the fields of a form to the order and their key.
func (r *rig) signedFields(o order.Order, fields map[string]string) {
	r.t.Helper()
	values := make([]string, len(sign.Pay))
	for i, name := range sign.Pay {
		values[i] = fields[name]
	}
	if err := sign.Pay.Verify(fields["key"], []string{testToken}, values...); err != nil {
		r.t.Errorf("key: %v", err)
	}
	for name, want := range map[string]string{
		"uid":       testUID,
		"orderid":   o.ID,
		"paymoney":  o.Total.String(),
		"paytype":   "11",
		"notifyurl": "https://shop.example.com/checkout/notify",
		"returnurl": "https://shop.example.com/checkout/return/" + o.ID,
	} {
		if fields[name] != want {
			r.t.Errorf("%s is %q, want %q", name, fields[name], want)
		}
	}
	if len(fields) != len(sign.Pay)+1 {
		r.t.Errorf("fields %v", fields)
	}
}

func TestCheckoutJSON(t *testing.T) {
	r := newRig(t, nil)
	w := r.do("POST", "/checkout?sku=gold&qty=9", "sku=a%26b&qty=2&sku=mug&qty=1&paymoney=0.01&price=0", "Accept: application/json", "Host: evil")
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	decoder := json.NewDecoder(w.Body)
	decoder.DisallowUnknownFields()
	var got struct {
		OrderID string            `json:"orderid"`
		Action  string            `json:"action"`
		Method  string            `json:"method"`
		Fields  map[string]string `json:"fields"`
	}
	if err := decoder.Decode(&got); err != nil {
		t.Fatal(err)
	}
	o := r.onlyOrder()
	if got.OrderID != o.ID || got.Action != testBase+"/pay.action" || got.Method != "POST" {
		t.Errorf("%+v", got)
	}
	if o.Total != 3902 || o.State != order.Pending || o.Client != "192.0.2.1" || o.Language != "en" {
		t.Errorf("order %+v", o)
	}
	r.signedFields(o, got.Fields)
	if !strings.Contains(got.Fields["ordername"], "＆") || strings.Contains(got.Fields["ordername"], "&") {
		t.Errorf("ordername %q", got.Fields["ordername"])
	}
}

func TestCheckoutPage(t *testing.T) {
	r := newRig(t, func(c *Config) { c.OrderUID = func(*http.Request) string { return `bob"><b>` } })
	w := r.do("POST", "/checkout", "sku=a%26b&qty=2", "Accept-Language: zh-CN")
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	o := r.onlyOrder()
	d := parse(t, w)
	form := d.one("form")
	if value(form, "method") != "post" || value(form, "action") != testBase+"/pay.action" {
		t.Errorf("form %v", form.Attr)
	}
	fields := make(map[string]string)
	for _, n := range d.all("input") {
		if value(n, "type") != "hidden" {
			t.Errorf("input %v", n.Attr)
		}
		fields[value(n, "name")] = value(n, "value")
	}
	r.signedFields(o, fields)
	if fields["orderuid"] != `bob"><b>` || !strings.Contains(fields["ordername"], nasty) {
		t.Errorf("fields %q", fields)
	}
	if content(d.one("button")) != messages["sending_button"][chinese] {
		t.Error("no button for people without JavaScript")
	}
	if d.one("button").Parent != form {
		t.Error("the button is outside the form")
	}
	d.one("a", "href=/checkout/return/"+o.ID)
	if len(d.all("b")) != 0 || len(d.all("script")) != 1 {
		t.Error("a value became markup")
	}
	if o.Language != "zh" {
		t.Errorf("language %q", o.Language)
	}
}

func TestCheckoutRefuses(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Fields = allFields[4:] })
	form := "Content-Type: application/x-www-form-urlencoded"
	tests := []struct {
		name, body, header string
		status             int
		code               string
	}{
		{"empty", "", form, 400, "no_items"},
		{"multipart", "sku=mug", "Content-Type: multipart/form-data; boundary=x", 400, "malformed"},
		{"plain text", "sku=mug", "Content-Type: text/plain", 400, "malformed"},
		{"JSON", `{"sku":"mug"}`, "Content-Type: application/json", 400, "malformed"},
		{"no type", "sku=mug", "Content-Type: ", 400, "malformed"},
		{"two types", "sku=mug", "Content-Type: application/x-www-form-urlencoded, text/plain", 400, "malformed"},
		{"GBK", "sku=mug", form + "; charset=gbk", 400, "malformed"},
		{"escape", "sku=%zz", form, 400, "malformed"},
		{"semicolon", "sku=mug;qty=2", form, 400, "malformed"},
		{"NUL", "sku=mug&note=%00", form, 400, "malformed"},
		{"invalid UTF-8", "sku=mug&note=%C4%E3", form, 400, "malformed"},
		{"field twice", "sku=mug&note=a&note=b", form, 400, "malformed"},
		{"unequal", "sku=mug&qty=1&qty=1", form, 400, "malformed"},
		{"quantity", "sku=mug&qty=1e3", form, 400, "bad_qty"},
		{"total", "sku=gold&sku=mug", form, 400, "bad_total"},
		{"unknown", "sku=nope", form, 404, "unknown_product"},
		{"large", "sku=mug&note=" + strings.Repeat("x", maxForm), form, 413, "too_large"},
		{"long note", "sku=mug&note=" + strings.Repeat("x", 1001), form, 422, "bad_fields"},
		{"control", "sku=mug&note=%07", form, 422, "bad_fields"},
		{"cross-site", "sku=mug", "Sec-Fetch-Site: cross-site", 403, "cross_site"},
		{"same-site", "sku=mug", "Sec-Fetch-Site: same-site", 403, "cross_site"},
		{"foreign origin", "sku=mug", "Origin: https://evil.example", 403, "cross_site"},
	}
	for _, tt := range tests {
		w := r.do("POST", "/checkout", tt.body, tt.header, "Accept: application/json")
		var got struct{ Error, Message string }
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if w.Code != tt.status || got.Error != tt.code || got.Message == "" {
			t.Errorf("%s: %d %+v, want %d %s", tt.name, w.Code, got, tt.status, tt.code)
		}
		if page := r.do("POST", "/checkout", tt.body, tt.header); page.Code != tt.status {
			t.Errorf("%s: page %d, want %d", tt.name, page.Code, tt.status)
		} else {
			parse(t, page).one("h1")
		}
	}
	if n := r.orderCount(); n != 0 {
		t.Errorf("%d orders were made", n)
	}
	for name, header := range map[string]string{
		"same origin":            "Sec-Fetch-Site: same-origin",
		"a proxy wrote the Host": "Origin: https://shop.example.com",
		"typed or a bookmark":    "Sec-Fetch-Site: none",
		"old browser":            "Origin: http://example.com",
		"charset":                form + ";charset=UTF-8",
		"fields nobody asked":    form,
		"no browser, no Origin":  "User-Agent: curl",
	} {
		if w := r.do("POST", "/checkout", "sku=mug&name=a&name=b", header); w.Code != 200 {
			t.Errorf("%s: %d, want 200", name, w.Code)
		}
	}
}

func TestCheckoutShowsWrongFields(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Fields = allFields })
	form := url.Values{
		"sku": {"mug", "a&b"}, "qty": {"2", "1"}, "name": {nasty}, "email": {"nope"}, "address": {"  "},
		"note": {"</textarea>" + nasty + "\r\nsecond line"},
	}
	w := r.do("POST", "/checkout", form.Encode(), "Accept-Language: zh-CN")
	if w.Code != 422 {
		t.Fatalf("%d, want 422", w.Code)
	}
	d := parse(t, w)
	d.one("p", "role=alert")
	email := d.one("input", "name=email", "aria-invalid=true", "aria-describedby=error-email", "autofocus")
	if value(email, "value") != "nope" {
		t.Errorf("email %q", value(email, "value"))
	}
	if got := content(d.one("p", "id=error-email")); got != messages["bad_email"][chinese] {
		t.Errorf("beside email: %q", got)
	}
	d.one("textarea", "name=address", "aria-invalid=true", "aria-describedby=error-address")
	if got := content(d.one("p", "id=error-address")); got != messages["missing"][chinese] {
		t.Errorf("beside address: %q", got)
	}
	if got := value(d.one("input", "name=name"), "value"); got != nasty {
		t.Errorf("name %q", got)
	}
	if got := content(d.one("textarea", "name=note")); got != "</textarea>"+nasty+" second line" {
		t.Errorf("note %q", got)
	}
	for _, name := range []string{"name", "tel"} {
		if len(d.all("input", "name="+name, "aria-invalid")) != 0 {
			t.Errorf("%s is marked as wrong", name)
		}
	}
	if len(d.all("script")) != 0 {
		t.Error("a value became a script")
	}
	if got := len(d.all("input", "type=hidden", "name=sku")); got != 2 {
		t.Errorf("%d items left", got)
	}

	w = r.do("POST", "/checkout", form.Encode(), "Accept: application/json")
	if got, want := w.Body.String(), `{"error":"bad_fields","message":"Fields are missing or wrong.","fields":{"address":"missing","email":"bad_email"}}`; w.Code != 422 || got != want {
		t.Errorf("%d %s, want %s", w.Code, got, want)
	}
	if r.orderCount() != 0 {
		t.Error("an order was made")
	}
}

func TestCheckoutTooMany(t *testing.T) {
	asked := ""
	r := newRig(t, func(c *Config) {
		c.CheckoutRate = func(client string) (int, bool) { asked = client; return 17, false }
	})
	for _, accept := range []string{"text/html", "application/json"} {
		w := r.do("POST", "/checkout", "sku=mug", "Accept: "+accept)
		if w.Code != 429 || w.Header().Get("Retry-After") != "17" {
			t.Errorf("%s: %d, Retry-After %q", accept, w.Code, w.Header().Get("Retry-After"))
		}
	}
	if asked != "192.0.2.1" || r.orderCount() != 0 {
		t.Errorf("asked for %q, %d orders", asked, r.orderCount())
	}

	r = newRig(t, nil)
	for range pendingLimit {
		r.put(order.Pending)
	}
	if w := r.do("POST", "/checkout", "sku=mug"); w.Code != 429 || w.Header().Get("Retry-After") == "" {
		t.Errorf("pending limit: %d", w.Code)
	}
}

// counted counts what is read of it.
type counted struct {
	io.Reader
	n int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

func TestCheckoutReadsNoMoreThanItMay(t *testing.T) {
	r := newRig(t, nil)
	body := &counted{Reader: strings.NewReader("sku=mug&note=" + strings.Repeat("x", 1<<20))}
	req := httptest.NewRequest("POST", "/checkout", body)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	if w.Code != 413 || body.n > maxForm+1 {
		t.Errorf("%d after %d bytes", w.Code, body.n)
	}
}
