package backoffice

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/internal/merchant"
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// last is the newest entry of an order's history.
func (r *rig) last(id string) order.Entry {
	h := r.detail(id).History
	return h[len(h)-1]
}

func TestShip(t *testing.T) {
	r := newRig(t)
	o := r.buy(order.Buyer{})
	r.pay("1", o, "")
	seen := seenField.FindStringSubmatch(r.page("/admin/orders/" + o.ID))
	if seen == nil {
		t.Fatal("no form on the page")
	}
	form := url.Values{"seen": {seen[1]}, "reason": {"顺丰 SF123"}}.Encode()
	for range 2 { // a second click changes nothing
		w := r.do(http.MethodPost, "/admin/orders/"+o.ID+"/shipped", form)
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "../../orders/"+o.ID+"?done=shipped" {
			t.Fatalf("%d to %q\n%s", w.Code, w.Header().Get("Location"), w.Body)
		}
	}
	if e := r.last(o.ID); e.Who != "alice" || e.What != "shipped" || e.Reason != "顺丰 SF123" || len(r.detail(o.ID).History) != 3 {
		t.Errorf("history %+v", r.detail(o.ID).History)
	}
	if page := r.page("/admin/orders/" + o.ID + "?done=shipped"); !strings.Contains(page, messages["done_shipped"][english]) || strings.Contains(page, "/shipped\"") {
		t.Error("the page does not say that it is done, or offers it again")
	}
	if page := r.page("/admin/orders/" + o.ID + "?done=refunded"); strings.Contains(page, messages["done_refunded"][english]) {
		t.Error("the page says what was not done")
	}
}

func TestConfirmAndRefund(t *testing.T) {
	r := newRig(t)
	o := r.buy(order.Buyer{})
	r.pay("1", o, "0.01")
	for _, c := range []struct {
		name, action string
		fields       []string
		status       int
		state        order.State
	}{
		{"no reason", "confirm", []string{"reason= ", "sure=1"}, http.StatusUnprocessableEntity, order.Review},
		{"not sure", "confirm", []string{"reason=seen it"}, http.StatusUnprocessableEntity, order.Review},
		{"not shipped before it is paid", "shipped", []string{"reason=x"}, http.StatusConflict, order.Review},
		{"unsure refund", "refunded", []string{"reason=sent back"}, http.StatusUnprocessableEntity, order.Review},
		{"confirmed", "confirm", []string{"reason=seen it", "sure=1"}, http.StatusSeeOther, order.Paid},
		{"confirmed again", "confirm", []string{"reason=seen it", "sure=1"}, http.StatusSeeOther, order.Paid},
		{"refunded", "refunded", []string{"reason=sent back", "sure=1"}, http.StatusSeeOther, order.Paid},
		{"refunded again", "refunded", []string{"reason=sent back", "sure=1"}, http.StatusSeeOther, order.Paid},
		{"not shipped after that", "shipped", []string{"reason=x"}, http.StatusConflict, order.Paid},
	} {
		w := r.press(o.ID, c.action, c.fields...)
		if w.Code != c.status {
			t.Errorf("%s: status %d, want %d\n%s", c.name, w.Code, c.status, w.Body)
		}
		if got := r.detail(o.ID).State; got != c.state {
			t.Errorf("%s: order is %v, want %v", c.name, got, c.state)
		}
		if c.status != http.StatusSeeOther && !strings.Contains(w.Body.String(), `role="alert"`) {
			t.Errorf("%s: the page does not say why", c.name)
		}
	}
	var what []string
	for _, e := range r.detail(o.ID).History {
		what = append(what, e.What)
	}
	if got := strings.Join(what, " "); got != "created review confirmed refunded" {
		t.Errorf("history: %s", got)
	}
}

// What was given back is decided: nothing offers to take it as paid.
func TestRefundedReview(t *testing.T) {
	r := newRig(t)
	o := r.buy(order.Buyer{})
	r.pay("1", o, "0.01")
	if w := r.press(o.ID, "refunded", "reason=sent back", "sure=1"); w.Code != http.StatusSeeOther {
		t.Fatalf("status %d", w.Code)
	}
	if strings.Contains(r.page("/admin/orders/"+o.ID), o.ID+"/confirm") {
		t.Error("the page offers to confirm it")
	}
	if w := r.press(o.ID, "confirm", "reason=seen it", "sure=1"); w.Code != http.StatusConflict {
		t.Errorf("status %d", w.Code)
	}
	if d := r.detail(o.ID); d.State != order.Review {
		t.Errorf("order is %v", d.State)
	}
}

// TestChangedMeanwhile decides on what is no longer so.
func TestChangedMeanwhile(t *testing.T) {
	r := newRig(t)
	o := r.buy(order.Buyer{})
	r.pay("1", o, "")
	form := url.Values{"seen": {sight(r.detail(o.ID).Order)}, "reason": {"SF123"}, "sure": {"1"}}
	r.pay("2", o, "")
	for _, action := range []string{"shipped", "refunded"} {
		w := r.do(http.MethodPost, "/admin/orders/"+o.ID+"/"+action, form.Encode())
		if w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), messages["trouble_changed"][english]) {
			t.Errorf("%s: status %d\n%s", action, w.Code, w.Body)
		}
		if !strings.Contains(w.Body.String(), `value="SF123"`) {
			t.Errorf("%s: what was typed is gone", action)
		}
		checkStructure(t, action, w.Body.String())
	}
	d := r.detail(o.ID)
	if !d.ShippedAt.IsZero() || !d.RefundedAt.IsZero() {
		t.Errorf("%+v", d.Order)
	}
	if w := r.do(http.MethodPost, "/admin/orders/"+o.ID+"/shipped", "reason=x"); w.Code != http.StatusConflict {
		t.Errorf("without what was seen: status %d", w.Code)
	}
}

func TestForeignPosts(t *testing.T) {
	r := newRig(t)
	o := r.buy(order.Buyer{})
	r.pay("1", o, "")
	form := url.Values{"seen": {sight(r.detail(o.ID).Order)}, "reason": {"x"}}.Encode()
	id := r.detail(o.ID).Deliveries[0].ID
	for name, headers := range map[string][]string{
		"cross-site":   {"Sec-Fetch-Site: cross-site"},
		"same-site":    {"Sec-Fetch-Site: same-site"},
		"other origin": {"Sec-Fetch-Site: ", "Origin: https://evil.example"},
		"null origin":  {"Sec-Fetch-Site: ", "Origin: null"},
		"neither":      {"Sec-Fetch-Site: "},
	} {
		for _, target := range []string{"orders/" + o.ID + "/shipped", "orders/" + o.ID + "/refresh", "deliveries/" + id + "/redeliver"} {
			if w := r.do(http.MethodPost, "http://shop.example.com/admin/"+target, form, headers...); w.Code != http.StatusForbidden {
				t.Errorf("%s to %s: status %d", name, target, w.Code)
			}
		}
	}
	if d := r.detail(o.ID); !d.ShippedAt.IsZero() || !d.AskedAt.IsZero() {
		t.Errorf("%+v", d.Order)
	}
	if w := r.do(http.MethodPost, "http://shop.example.com/admin/orders/"+o.ID+"/shipped", form, "Sec-Fetch-Site: ", "Origin: http://shop.example.com"); w.Code != http.StatusSeeOther {
		t.Errorf("an old browser on plain http: status %d", w.Code)
	}
}

func TestBodies(t *testing.T) {
	r := newRig(t)
	o := r.buy(order.Buyer{})
	r.pay("1", o, "")
	seen := "seen=" + sight(r.detail(o.ID).Order)
	for name, c := range map[string]struct {
		body, media string
		status      int
	}{
		"long":        {seen + "&reason=" + strings.Repeat("x", maxForm), "application/x-www-form-urlencoded", http.StatusRequestEntityTooLarge},
		"twice":       {seen + "&reason=a&reason=b", "application/x-www-form-urlencoded", http.StatusBadRequest},
		"bad escape":  {seen + "&reason=%zz", "application/x-www-form-urlencoded", http.StatusBadRequest},
		"GBK":         {seen + "&reason=%C4%E3", "application/x-www-form-urlencoded", http.StatusBadRequest},
		"plain":       {seen + "&reason=x", "text/plain", http.StatusBadRequest},
		"JSON":        {`{"reason":"x"}`, "application/json", http.StatusBadRequest},
		"in the path": {"", "application/x-www-form-urlencoded", http.StatusConflict},
	} {
		w := r.do(http.MethodPost, "/admin/orders/"+o.ID+"/shipped?"+seen+"&reason=x", c.body, "Content-Type: "+c.media)
		if w.Code != c.status {
			t.Errorf("%s: status %d, want %d", name, w.Code, c.status)
		}
	}
	if !r.detail(o.ID).ShippedAt.IsZero() {
		t.Error("the order was shipped")
	}
}

func TestNameThatNobodyHas(t *testing.T) {
	r := newRig(t)
	o := r.buy(order.Buyer{})
	r.pay("1", o, "")
	form := url.Values{"seen": {sight(r.detail(o.ID).Order)}, "reason": {"x"}}.Encode()
	for _, user := range []string{order.SourceNotify, strings.Repeat("长", 40), "a\x00b"} {
		w := r.doAs(user, http.MethodPost, "/admin/orders/"+o.ID+"/shipped", form)
		if w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), messages["trouble_who"][english]) {
			t.Errorf("%q: status %d", user, w.Code)
		}
	}
}

func TestShopThatIsGone(t *testing.T) {
	r := newRig(t)
	o := r.buy(order.Buyer{})
	r.pay("1", o, "")
	desk, err := r.desk()
	if err != nil {
		t.Fatal(err)
	}
	clear(desk.Shops)
	r.desk = func() (*merchant.Desk, error) { return desk, nil }
	if page := r.page("/admin/orders/" + o.ID); strings.Contains(page, "/shipped") || !strings.Contains(page, "in the configuration any more") {
		t.Error("the page offers what nobody can do")
	}
	for _, action := range []string{"shipped", "refresh"} {
		if w := r.press(o.ID, action, "reason=x"); w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "configuration") {
			t.Errorf("%s: status %d", action, w.Code)
		}
	}
}

func TestRefresh(t *testing.T) {
	r := newRig(t)
	o := r.buy(order.Buyer{})
	press := func(want string) {
		t.Helper()
		w := r.press(o.ID, "refresh")
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "../../orders/"+o.ID+"?done="+want {
			t.Fatalf("%d to %q\n%s", w.Code, w.Header().Get("Location"), w.Body)
		}
		if page := r.page("/admin/orders/" + o.ID + "?done=" + want); !strings.Contains(page, messages["done_"+want][english]) {
			t.Errorf("%s: the page does not say so", want)
		}
	}
	press("asked")
	press("asked_lately")
	r.set(noon.Add(2 * time.Minute))
	r.says("nonsense")
	press("no_answer")
}

func TestRedeliver(t *testing.T) {
	r := newRig(t)
	o := r.buy(order.Buyer{})
	r.pay("1", o, "")
	r.giveUp("bad gateway")
	find := func() store.Delivery {
		for _, d := range r.detail(o.ID).Deliveries {
			if d.Target == "webhook:"+hook {
				return d
			}
		}
		t.Fatal("no delivery")
		return store.Delivery{}
	}
	d := find()
	if page := r.page("/admin/"); d.State != store.DeliveryFailed || !strings.Contains(page, "deliveries/"+d.ID+"/redeliver") {
		t.Fatalf("%+v is not on the overview", d)
	}
	for body, want := range map[string]string{
		"":                      "../../deliveries?done=redelivered",
		"order=" + o.ID:         "../../orders/" + o.ID + "?done=redelivered#deliveries",
		"order=//evil.example/": "../../deliveries?done=redelivered",
	} {
		w := r.do(http.MethodPost, "/admin/deliveries/"+d.ID+"/redeliver", body)
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != want {
			t.Errorf("%q: %d to %q", body, w.Code, w.Header().Get("Location"))
		}
	}
	if d := find(); d.State != store.DeliveryPending {
		t.Errorf("%+v", d)
	}
}
