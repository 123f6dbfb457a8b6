package handlers

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
)

func TestStatusAnswers(t *testing.T) {
	r := newRig(t, nil)
	for state, want := range map[order.State]string{
		order.Pending: `{"msg":"","orderid":"ID","paymoney":"78.01","realpay":"","status":"-1","state":"pending"}`,
		order.Paid:    `{"msg":"","orderid":"ID","paymoney":"78.01","realpay":"78.01","status":"0","state":"paid"}`,
		order.Expired: `{"msg":"","orderid":"ID","paymoney":"78.01","realpay":"","status":"1","state":"expired"}`,
		order.Review:  `{"msg":"` + messages["contact_text"][chinese] + `","orderid":"ID","paymoney":"78.01","realpay":"","status":"-2","state":"review"}`,
	} {
		id := r.put(state).ID
		for _, query := range []string{"", "&wait=0", "&x=y"} {
			w := r.do("GET", "/checkout/status?orderid="+id+query, "", "Accept-Language: zh-CN")
			if got := strings.Replace(w.Body.String(), id, "ID", 1); w.Code != 200 || got != want {
				t.Errorf("%s: %d %s, want %s", state, w.Code, got, want)
			}
			if got := w.Header().Get("Content-Type"); got != "application/json" {
				t.Errorf("%s: Content-Type %q", state, got)
			}
		}
	}
}

func TestStatusOfAConfirmedOrder(t *testing.T) {
	r := newRig(t, nil)
	o := r.put(order.Review)
	o.State = order.Paid
	o.Payments[0].RealPay = `0.01"\`
	r.store.orders[o.ID] = o
	var got struct{ RealPay string }
	w := r.do("GET", "/checkout/status?orderid="+o.ID, "")
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.RealPay != `0.01"\` {
		t.Errorf("%s: %v", w.Body, err)
	}
}

func TestStatusMessageInTheOrdersLanguage(t *testing.T) {
	r := newRig(t, nil)
	o := r.put(order.Review)
	o.Language = "zh"
	r.store.orders[o.ID] = o
	w := r.do("GET", "/checkout/status?orderid="+o.ID, "")
	if !strings.Contains(w.Body.String(), messages["contact_text"][chinese]) {
		t.Errorf("%s", w.Body)
	}
}

func TestStatusRefuses(t *testing.T) {
	r := newRig(t, nil)
	known := r.put(order.Paid)
	foreign := r.put(order.Paid)
	foreign.Shop = "another shop"
	r.store.orders[foreign.ID] = foreign
	notFound := r.do("GET", "/checkout/status?orderid="+order.NewID(time.Now()), "").Body.String()
	for query, want := range map[string]int{
		"":                                     404,
		"orderid=":                             404,
		"orderid=nope":                         404,
		"orderid=" + foreign.ID:                404,
		"orderid=" + known.ID + "0":            404,
		"orderid=" + strings.ToLower(known.ID): 404,
		"orderid=" + known.ID[:25] + "'":       404,
		"orderid=" + known.ID + "&orderid=" + known.ID: 400,
		"orderid=%zz":                            400,
		"orderid=" + known.ID + "&wait=31":       400,
		"orderid=" + known.ID + "&wait=-1":       400,
		"orderid=" + known.ID + "&wait=1.5":      400,
		"orderid=" + known.ID + "&wait=":         400,
		"orderid=" + known.ID + "&wait=%2B5":     400,
		"orderid=" + known.ID + "&wait=1&wait=1": 400,
		"orderid=" + known.ID + ";wait=1":        400,
	} {
		w := r.do("GET", "/checkout/status?"+query, "", "Accept: text/html")
		if w.Code != want {
			t.Errorf("%q: %d, want %d", query, w.Code, want)
		}
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("%q: not JSON: %s", query, w.Body)
		}
		if want == 404 && w.Body.String() != notFound {
			t.Errorf("%q: %s, but an unknown order gets %s", query, w.Body, notFound)
		}
	}
}

func TestStatusWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		id := r.put(order.Pending).ID
		began := time.Now()
		if w := r.do("GET", "/checkout/status?orderid="+id+"&wait=25", ""); !strings.Contains(w.Body.String(), `"pending"`) {
			t.Errorf("nothing happens: %s", w.Body)
		}
		if took := time.Since(began); took != 25*time.Second {
			t.Errorf("waited %s", took)
		}

		answer := make(chan *httptest.ResponseRecorder)
		began = time.Now()
		go func() { answer <- r.do("GET", "/checkout/status?orderid="+id+"&wait=30", "") }()
		time.Sleep(7 * time.Second)
		if w := r.do("POST", "/checkout/notify", notifyBody(t, "p1", id, "78.01", "78.01")); w.Code != 200 {
			t.Errorf("notify: %d", w.Code)
		}
		if w := <-answer; !strings.Contains(w.Body.String(), `"status":"0","state":"paid"`) {
			t.Errorf("paid meanwhile: %s", w.Body)
		}
		if took := time.Since(began); took != 7*time.Second {
			t.Errorf("told after %s", took)
		}
	})
}

func TestStatusDoesNotWaitWithoutRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waits := NewWaits(1, 0)
		r := newRig(t, func(c *Config) { c.Waits = waits })
		id := r.put(order.Pending).ID
		first := make(chan struct{})
		go func() {
			defer close(first)
			r.do("GET", "/checkout/status?orderid="+id+"&wait=30", "")
		}()
		synctest.Wait()
		began := time.Now()
		w := r.do("GET", "/checkout/status?orderid="+id+"&wait=30", "")
		if w.Code != 200 || !strings.Contains(w.Body.String(), `"pending"`) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("waited %s", took)
		}
		<-first
		if waits.all != 0 {
			t.Error("the first has not given its place back")
		}
	})
}
