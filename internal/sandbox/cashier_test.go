package sandbox_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-checkout/checkout/internal/sandbox"
)

// press posts a button of the cashier and returns the page that follows.
func (r *rig) press(orderid string, f url.Values) *httptest.ResponseRecorder {
	r.t.Helper()
	f.Set("orderid", orderid)
	w := r.form("/cashier", f)
	if w.Code != http.StatusSeeOther {
		r.t.Fatalf("cashier %v: %d %s", f, w.Code, w.Body)
	}
	return r.get(w.Header().Get("Location"))
}

func TestCashierButtons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		for _, tt := range []struct {
			do, realpay, says string
			notifies          []string // realpay of each
			returns           bool     // the browser goes back by itself
		}{
			{"pay", "", "✓ Paid", []string{"39.00"}, true},
			{"amount", "0.01", "✓ Paid", []string{"0.01"}, true},
			{"amount", "40.00", "✓ Paid", []string{"40.00"}, true},
			{"twice", "", "✓ Paid", []string{"39.00", "39.00"}, true},
			{"cancel", "", "Cancelled", nil, true},
			{"timeout", "", "Timed out", nil, false},
		} {
			orderid := tt.do + tt.realpay
			before := len(r.shop.got())
			r.order(orderid)
			w := r.press(orderid, url.Values{"do": {tt.do}, "realpay": {tt.realpay}})
			synctest.Wait()
			refresh := `<meta http-equiv="refresh" content="2;url=/return?orderid=` + orderid + `">`
			if !strings.Contains(w.Body.String(), tt.says) || strings.Contains(w.Body.String(), refresh) != tt.returns {
				t.Errorf("%s: %s", orderid, w.Body)
			}
			got := r.shop.got()[before:]
			if len(got) != len(tt.notifies) {
				t.Errorf("%s: %d notifies", orderid, len(got))
				continue
			}
			for i, realpay := range tt.notifies {
				checkNotify(t, got[i], orderid, realpay)
			}
			if len(got) == 2 && got[0].Get("payid") == got[1].Get("payid") {
				t.Errorf("%s: one payid", orderid)
			}
			back := r.get("/return?orderid=" + url.QueryEscape(orderid))
			if back.Code != http.StatusSeeOther || back.Header().Get("Location") != "http://shop.test/return/A1" {
				t.Errorf("%s: return %d to %q", orderid, back.Code, back.Header().Get("Location"))
			}
		}
		if m := r.messages("kind=return").Messages; len(m) != 6 || !m[0].Sent {
			t.Errorf("returns: %+v", m)
		}
	})
}

func TestReturnAtOnce(t *testing.T) {
	r := newRig(t, func(c *sandbox.Config) { c.ReturnDelay = time.Nanosecond })
	r.order("A1")
	r.press("A1", url.Values{"do": {"pay"}})
	if w := r.get("/cashier?orderid=A1"); !strings.Contains(w.Body.String(), `content="0;url=/return?orderid=A1"`) {
		t.Errorf("%s", w.Body)
	}
}

func TestCashierTimesOut(t *testing.T) {
	c := newClock()
	r := newRig(t, func(conf *sandbox.Config) { conf.Now = c.Now })
	r.order("A1")
	if w := r.get("/cashier?orderid=A1"); !strings.Contains(w.Body.String(), `content="301;url=/cashier?orderid=A1"`) || !strings.Contains(w.Body.String(), "20:05:00") {
		t.Errorf("waiting: %s", w.Body)
	}
	c.add(5 * time.Minute)
	if w := r.get("/cashier?orderid=A1"); !strings.Contains(w.Body.String(), "Timed out") || strings.Contains(w.Body.String(), `http-equiv="refresh"`) {
		t.Errorf("timed out: %s", w.Body)
	}
	if w := r.form("/cashier", url.Values{"orderid": {"A1"}, "do": {"pay"}}); w.Code != http.StatusConflict {
		t.Errorf("pay after the deadline: %d", w.Code)
	}
}

func TestCashierRefuses(t *testing.T) {
	r := newRig(t, nil)
	r.order("A1")
	for _, tt := range []struct {
		want int
		form url.Values
	}{
		{404, url.Values{"orderid": {"B1"}, "do": {"pay"}}},
		{400, url.Values{"orderid": {"A1"}, "do": {"amount"}, "realpay": {"1"}}},
		{400, url.Values{"orderid": {"A1"}, "do": {"amount"}}},
		{400, url.Values{"orderid": {"A1"}, "do": {"dance"}}},
	} {
		if w := r.form("/cashier", tt.form); w.Code != tt.want {
			t.Errorf("%v: %d, want %d", tt.form, w.Code, tt.want)
		}
	}
	if w := r.post("/cashier", "text/plain", "do=pay&orderid=A1"); w.Code != http.StatusBadRequest {
		t.Errorf("text: %d", w.Code)
	}
	for _, target := range []string{"/cashier?orderid=B1", "/return?orderid=B1", "/return"} {
		if w := r.get(target); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", target, w.Code)
		}
	}
}

func TestNotifyAfterReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.order("A1")
		r.command(200, "misbehave", `{"notify":"after_return"}`)
		r.press("A1", url.Values{"do": {"pay"}})
		time.Sleep(time.Hour)
		if n := len(r.shop.got()); n != 0 {
			t.Fatalf("%d notifies before the return", n)
		}
		r.get("/return?orderid=A1")
		time.Sleep(2*time.Second - 1)
		synctest.Wait()
		if n := len(r.shop.got()); n != 0 {
			t.Errorf("%d notifies too soon", n)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		r.get("/return?orderid=A1")
		time.Sleep(time.Hour)
		if n := len(r.shop.got()); n != 1 {
			t.Errorf("%d notifies after the return", n)
		}
	})
}

func TestInspector(t *testing.T) {
	r := newRig(t, nil)
	r.order("A1")
	r.order("A2")
	r.order("A3")
	r.command(200, "pay", `{"orderid":"A1","wait":"done"}`)
	r.command(200, "timeout", `{"orderid":"A2"}`)
	r.form("/pay.action", payForm(url.Values{"orderinfo": {token}}))
	for _, target := range []string{"/", "/inspector"} {
		body := r.get(target).Body.String()
		for _, want := range []string{"Sandbox", "no real money", "pay request", "the merchant acknowledged with HTTP 200", "手冲咖啡壶",
			"Pay late", "8 at once", "Wrong key", "gzip_bomb", "token must never leave", "********"} {
			if !strings.Contains(body, want) {
				t.Errorf("%s does not show %q", target, want)
			}
		}
		if strings.Index(body, "acknowledged") > strings.Index(body, "the cashier is shown") {
			t.Errorf("%s: not the newest first", target)
		}
	}
}

// TestInspectorButtons presses every button of the page once, as a browser does.
func TestInspectorButtons(t *testing.T) {
	r := newRig(t, nil)
	r.order("A1")
	r.order("A2")
	r.order("A3")
	r.command(200, "pay", `{"orderid":"A1","wait":"done"}`)
	r.command(200, "timeout", `{"orderid":"A2"}`)
	body := r.get("/").Body.String()

	form := regexp.MustCompile(`(?s)<form method="post" action="([^"]+)"[^>]*>(.*?)</form>`)
	hidden := regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)
	button := regexp.MustCompile(`<button(?: name="([^"]+)" value="([^"]*)")?>`)
	choice := regexp.MustCompile(`<select id="[^"]+" name="([^"]+)">`)
	pressed := 0
	for _, f := range form.FindAllStringSubmatch(body, -1) {
		for _, b := range button.FindAllStringSubmatch(f[2], -1) {
			values := url.Values{}
			for _, h := range hidden.FindAllStringSubmatch(f[2], -1) {
				values.Set(h[1], h[2])
			}
			for _, c := range choice.FindAllStringSubmatch(f[2], -1) {
				values.Set(c[1], "")
			}
			if b[1] != "" {
				values.Set(b[1], b[2])
			}
			w := r.form(f[1], values)
			// The first button has settled the waiting order, so that the others conflict.
			if w.Code != http.StatusSeeOther && (w.Code != http.StatusConflict || values.Get("orderid") != "A3") {
				t.Errorf("%s %v: %d %s", f[1], values, w.Code, w.Body)
			}
			pressed++
		}
	}
	if pressed != 3+4+7+1 {
		t.Errorf("%d buttons", pressed)
	}
	// 1 payment, 1+8+1+1 notifies, 2 with another amount, a second, a late and a normal payment.
	if m := r.messages("kind=notify&min=17&wait=60").Messages; len(m) != 17 {
		t.Errorf("%d notifies", len(m))
	}
	if w := r.form("/sandbox/pay", url.Values{"shade": {"red"}}); w.Code != http.StatusBadRequest {
		t.Errorf("unknown field: %d", w.Code)
	}
	if w := r.form("/sandbox/notify", url.Values{"orderid": {"A1"}, "count": {"x"}}); w.Code != http.StatusBadRequest {
		t.Errorf("bad count: %d", w.Code)
	}
}

func TestInspectorPaging(t *testing.T) {
	r := newRig(t, nil)
	for range 120 {
		r.get(statusQuery("B1"))
	}
	next := regexp.MustCompile(`/inspector\?before=\d+`).FindString(r.get("/").Body.String())
	if next != "/inspector?before=21" {
		t.Fatalf("next page %q", next)
	}
	if n := strings.Count(r.get(next).Body.String(), "<details"); n != 20 {
		t.Errorf("%d messages on the second page", n)
	}
	if w := r.get("/inspector?before=x"); w.Code != http.StatusBadRequest {
		t.Errorf("before=x: %d", w.Code)
	}
	if w := r.get("/inspector?live"); !strings.Contains(w.Body.String(), `content="3;url=/inspector?live"`) {
		t.Errorf("live: %s", w.Body)
	}
}

func TestPages(t *testing.T) {
	r := newRig(t, nil)
	r.form("/pay.action", payForm(url.Values{"ordername": {`'><script>alert(1)</script>`}}))
	refused := payForm(url.Values{"paytype": {`'><script>alert(1)</script>`}})
	for _, tt := range []struct{ accept, lang, says string }{
		{"", "en", "no real money"},
		{"fr", "en", "no real money"},
		{"en-GB,zh;q=0.5", "en", "no real money"},
		{"zh-CN,zh;q=0.9,en;q=0.8", "zh-CN", "不涉及真实资金"},
		{"zh-TW", "zh-CN", "不涉及真实资金"},
	} {
		for _, name := range []string{"/", "/cashier?orderid=A1", "/cashier?orderid=B1", "/pay.action"} {
			req := httptest.NewRequest(http.MethodGet, name, nil)
			if name == "/pay.action" {
				req = httptest.NewRequest(http.MethodPost, name, strings.NewReader(refused.Encode()))
				req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			req.Header.Set("Accept-Language", tt.accept)
			w := r.do(req)
			h, body := w.Header(), w.Body.String()
			if h.Get("Content-Language") != tt.lang || !strings.Contains(body, `<html lang="`+tt.lang+`">`) || !strings.Contains(body, tt.says) {
				t.Errorf("%s for %q: %s", name, tt.accept, h.Get("Content-Language"))
			}
			if strings.Contains(body, "<script") || strings.Contains(body, "%!") || strings.Contains(body, "ZgotmplZ") {
				t.Errorf("%s: %s", name, body)
			}
			nonce := regexp.MustCompile(`<style nonce="([^"]+)">`).FindStringSubmatch(body)
			if len(nonce) == 0 || !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'; style-src 'nonce-"+nonce[1]+"'") {
				t.Errorf("%s: policy %q", name, h.Get("Content-Security-Policy"))
			}
			if h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s: header %v", name, h)
			}
		}
	}
}
