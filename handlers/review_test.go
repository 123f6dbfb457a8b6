package handlers

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

func TestReviewShowsTheOrder(t *testing.T) {
	r := newRig(t, nil)
	w := r.do("GET", "/checkout?sku=mug&qty=2&sku=%E8%8C%B6%E5%A3%B6&qty=1&sku=a%26b&sku=mug&qty=1&qty=1", "")
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	d := parse(t, w)
	form := d.one("form")
	if value(form, "method") != "post" || value(form, "action") != "/checkout" {
		t.Errorf("form %v", form.Attr)
	}
	var got []string
	for _, n := range d.all("input", "type=hidden") {
		got = append(got, value(n, "name")+"="+value(n, "value"))
	}
	if want := "sku=mug qty=3 sku=茶壶 qty=1 sku=a&b qty=1"; strings.Join(got, " ") != want {
		t.Errorf("hidden fields %q, want %q", got, want)
	}
	items := d.all("li")
	if len(items) != 3 {
		t.Fatalf("%d items", len(items))
	}
	if got, want := content(items[0]), "Coffee mug ¥39.00 × 3 ¥117.00"; got != want {
		t.Errorf("first item %q, want %q", got, want)
	}
	if got, want := content(d.one("p", "class=total")), "Total ¥245.01"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := content(d.one("button")); !strings.Contains(got, "245.01") || !strings.Contains(got, "Alipay") {
		t.Errorf("button %q", got)
	}
	d.one("img", "src=/mug.jpg")
	d.one("img", "src=https://cdn.example.com/pot.jpg")
	d.one("a", "href=/mug/")
	if r.orderCount() != 0 {
		t.Error("review made an order")
	}
}

func TestReviewAsksForFields(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Fields = allFields })
	d := parse(t, r.do("GET", "/checkout?sku=mug", ""))
	d.one("legend")
	d.one("input", "name=name", "type=text", "autocomplete=name", "required")
	d.one("input", "name=email", "type=email", "autocomplete=email", "required")
	d.one("input", "name=tel", "type=tel", "autocomplete=tel")
	d.one("textarea", "name=address", "autocomplete=street-address", "required")
	d.one("textarea", "name=note")
	if len(d.all("input", "name=tel", "required")) != 0 || len(d.all("textarea", "name=note", "required")) != 0 {
		t.Error("an optional field is required")
	}
	for _, n := range append(d.all("input"), d.all("textarea")...) {
		if _, ok := attribute(n, "aria-invalid"); ok {
			t.Errorf("%q is invalid before anything was typed", value(n, "name"))
		}
	}
}

func TestReviewRefuses(t *testing.T) {
	r := newRig(t, nil)
	var many strings.Builder
	for i := range 51 {
		fmt.Fprintf(&many, "&sku=n%d", i)
	}
	for query, want := range map[string]struct {
		status int
		code   string
	}{
		"":                    {400, "no_items"},
		"qty=1":               {400, "malformed"},
		"sku=mug&qty=1&qty=2": {400, "malformed"},
		"sku=%zz":             {400, "malformed"},
		"sku=mug&x=" + strings.Repeat("y", maxForm): {400, "malformed"},
		"sku=mug&qty=0":                         {400, "bad_qty"},
		"sku=mug&qty=999&sku=mug&qty=1":         {400, "bad_qty"},
		"sku=gold&qty=2":                        {400, "bad_total"},
		"sku=gold&sku=mug":                      {400, "bad_total"},
		many.String()[1:]:                       {400, "too_many_lines"},
		"sku=nope":                              {404, "unknown_product"},
		"sku=":                                  {404, "unknown_product"},
		"sku=mug&sku=" + url.QueryEscape(nasty): {404, "unknown_product"},
	} {
		var got struct{ Error, Message string }
		w := r.do("GET", "/checkout?"+query, "", "Accept: application/json")
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatalf("%q: %v", query, err)
		}
		if w.Code != want.status || got.Error != want.code || got.Message == "" {
			t.Errorf("%.60q: %d %+v, want %v", query, w.Code, got, want)
		}
		page := r.do("GET", "/checkout?"+query, "", "Accept: text/html", "Accept-Language: zh")
		d := parse(t, page)
		if page.Code != want.status || content(d.one("p", "role=alert")) != messages[want.code+"_text"][chinese] {
			t.Errorf("%.60q: page %d %q", query, page.Code, content(d.one("main")))
		}
		if strings.Contains(page.Body.String(), "alert(1)") {
			t.Errorf("%.60q is in the page", query)
		}
	}
	if w := r.do("GET", "/checkout?"+many.String()[8:], ""); w.Code != 200 {
		t.Errorf("50 lines: %d", w.Code)
	}
}
