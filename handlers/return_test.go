package handlers

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
)

func TestReturnPages(t *testing.T) {
	r := newRig(t, nil)
	for state, title := range map[order.State]string{
		order.Pending: "wait_title",
		order.Paid:    "receipt_title",
		order.Expired: "expired_title",
		order.Review:  "contact_title",
	} {
		o := r.put(state)
		w := r.do("GET", "/checkout/return/"+o.ID+"?status=0&realpay=78.01", "", "Accept-Language: zh-CN")
		if w.Code != 200 {
			t.Errorf("%s: %d", state, w.Code)
			continue
		}
		d := parse(t, w)
		if got := content(d.one("h1")); got != messages[title][chinese] {
			t.Errorf("%s: %q", state, got)
		}
		if got := content(d.one("dd", "class=id")); got != o.ID {
			t.Errorf("%s: order number %q", state, got)
		}
		items := d.all("li")
		if len(items) != 2 || content(items[0]) != "Coffee mug ¥39.00 × 2 ¥78.00" || !strings.Contains(content(items[1]), nasty) {
			t.Errorf("%s: items", state)
		}
		if got := content(d.one("p", "class=total")); !strings.HasSuffix(got, "¥78.01") {
			t.Errorf("%s: total %q", state, got)
		}
		if r.store.orders[o.ID].State != state {
			t.Errorf("%s: reading changed it", state)
		}
	}
}

func TestWaitPage(t *testing.T) {
	r := newRig(t, nil)
	id := r.put(order.Pending).ID
	d := parse(t, r.do("GET", "/checkout/return/"+id, ""))
	if got := value(d.one("div", "role=status"), "data-url"); got != "/checkout/status?orderid="+id+"&wait=25" {
		t.Errorf("asks %q", got)
	}
	if got := content(d.one("noscript")); got != "" && !strings.Contains(got, `http-equiv="refresh"`) {
		t.Errorf("noscript %q", got)
	}
	if !strings.Contains(r.do("GET", "/checkout/return/"+id, "").Body.String(), `<noscript><meta http-equiv="refresh" content="5"></noscript>`) {
		t.Error("does not refresh itself without JavaScript")
	}
	again := d.one("a")
	if got := value(again, "href"); got != "/checkout?sku=mug&qty=2&sku=a%26b&qty=1" {
		t.Errorf("again: %q", got)
	}
	if w := r.do("GET", value(again, "href"), ""); w.Code != 200 {
		t.Errorf("again: %d", w.Code)
	}
}

func TestReceiptTellsOfARefund(t *testing.T) {
	r := newRig(t, nil)
	o := r.put(order.Paid)
	o.RefundedAt = time.Now()
	r.store.orders[o.ID] = o
	d := parse(t, r.do("GET", "/checkout/return/"+o.ID, ""))
	if got := content(d.one("p", "class=lead")); got != messages["receipt_refunded"][english] {
		t.Errorf("%q", got)
	}
}

func TestReceiptTimes(t *testing.T) {
	r := newRig(t, nil)
	o := r.put(order.Paid)
	o.PaidAt = time.Date(2026, 3, 1, 20, 30, 0, 0, time.UTC)
	r.store.orders[o.ID] = o
	d := parse(t, r.do("GET", "/checkout/return/"+o.ID, ""))
	if got := content(d.one("time", "datetime=2026-03-01T20:30:00Z")); got != "2026-03-02 04:30" {
		t.Errorf("%q", got)
	}
}

func TestReturnToTheMerchantsPage(t *testing.T) {
	for _, success := range []string{"/thanks.html", "https://www.example.com/thanks?x=1"} {
		r := newRig(t, func(c *Config) { c.Success = success })
		for _, method := range []string{"GET", "HEAD"} {
			w := r.do(method, "/checkout/return/"+r.put(order.Paid).ID+"?next=//evil.example", "")
			if w.Code != 303 || w.Header().Get("Location") != success || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %d to %q", method, w.Code, w.Header().Get("Location"))
			}
		}
		for _, state := range []order.State{order.Pending, order.Expired, order.Review} {
			if w := r.do("GET", "/checkout/return/"+r.put(state).ID, ""); w.Code != 200 {
				t.Errorf("%s: %d", state, w.Code)
			}
		}
	}
}

func TestReturnOfUnknownOrdersIsAlike(t *testing.T) {
	r := newRig(t, nil)
	foreign := r.put(order.Paid)
	foreign.Shop = "another shop"
	r.store.orders[foreign.ID] = foreign
	text := ""
	for _, id := range []string{order.NewID(time.Now()), foreign.ID, "nope", "", "%3Cscript%3E", "..%2f..", strings.Repeat("0", 5000)} {
		w := r.do("GET", "/checkout/return/"+id, "")
		d := parse(t, w)
		if w.Code != 404 {
			t.Errorf("%.40q: %d, want 404", id, w.Code)
		}
		if text == "" {
			text = content(d.one("body"))
		}
		if got := content(d.one("body")); got != text {
			t.Errorf("%.40q: %q, others get %q", id, got, text)
		}
	}
}

func TestReturnToAPageOfAnyName(t *testing.T) {
	const want = "/%E8%B0%A2%E8%B0%A2%20you.html?a=%20b"
	for _, success := range []string{"/谢谢 you.html?a=%20b", want} {
		r := newRig(t, func(c *Config) { c.Success = success })
		w := r.do("GET", "/checkout/return/"+r.put(order.Paid).ID, "")
		if got := w.Header().Get("Location"); got != want {
			t.Errorf("%s: to %q, want %q", success, got, want)
		}
	}
}
