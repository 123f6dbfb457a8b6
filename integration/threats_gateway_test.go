package integration

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/integration/harness"
)

// Only a strict answer about this order, with both amounts, pays it.
func TestAnswersThatPayNothing(t *testing.T) {
	shop := harness.StartShop(t, "limits off")
	paid := func(orderid string) string {
		return fmt.Sprintf(`{"msg":"","orderid":%q,"payid":"p-%[1]s","paymoney":"39.00","realpay":"39.00","status":"0"}`, orderid)
	}
	replace := func(old, replacement string) func(string) string {
		return func(orderid string) string {
			whole := paid(orderid)
			if !strings.Contains(whole, old) {
				t.Fatalf("%s is not in %s", old, whole)
			}
			return strings.Replace(whole, old, replacement, 1)
		}
	}
	constant := func(s string) func(string) string { return func(string) string { return s } }
	for _, tt := range []struct {
		name  string
		reply func(orderid string) string
		code  int
		want  string
	}{
		{"nothing", constant(""), 200, "pending"},
		{"an empty object", constant("{}"), 200, "pending"},
		{"null", constant("null"), 200, "pending"},
		{"a list", constant("[]"), 200, "pending"},
		{"a page", constant("<!doctype html><h1>Bad gateway</h1>"), 200, "pending"},
		{"status null", replace(`"status":"0"`, `"status":null`), 200, "pending"},
		{"status false", replace(`"status":"0"`, `"status":false`), 200, "pending"},
		{"status 0.0", replace(`"status":"0"`, `"status":0.0`), 200, "pending"},
		{"status in upper case", replace(`"status":"0"`, `"STATUS":"0"`), 200, "pending"},
		{"no status", replace(`,"status":"0"`, ``), 200, "pending"},
		{"an empty status", replace(`"status":"0"`, `"status":""`), 200, "pending"},
		{"status 00", replace(`"status":"0"`, `"status":"00"`), 200, "pending"},
		{"status 2", replace(`"status":"0"`, `"status":"2"`), 200, "pending"},
		{"status twice", replace(`"status":"0"`, `"status":-1,"status":"0"`), 200, "pending"},
		{"another order", constant(paid("01ARZ3NDEKTSV4RRFFQ69G5FAV")), 200, "pending"},
		{"no order", replace(`"orderid"`, `"order"`), 200, "pending"},
		{"waiting", replace(`"status":"0"`, `"status":"-1"`), 200, "pending"},
		{"an error", replace(`"status":"0"`, `"status":"-2"`), 200, "pending"},
		{"HTTP 500", paid, 500, "pending"},
		{"HTTP 201", paid, 201, "pending"},
		{"more behind it", func(id string) string { return paid(id) + "{}" }, 200, "pending"},
		{"10 MiB", func(id string) string { return strings.Repeat(" ", 10<<20) + paid(id) }, 200, "pending"},
		{"timed out", func(id string) string {
			return fmt.Sprintf(`{"msg":"","orderid":%q,"payid":"","paymoney":"39.00","realpay":"","status":"1"}`, id)
		}, 200, "expired"},
		{"timed out with money", replace(`"status":"0"`, `"status":"1"`), 200, "review"},
		{"another amount", replace(`"realpay":"39.00"`, `"realpay":"0.01"`), 200, "review"},
		{"another paymoney", replace(`"paymoney":"39.00"`, `"paymoney":"0.01"`), 200, "review"},
		{"paid", paid, 200, "paid"},
		{"paid, as a number", replace(`"status":"0"`, `"status":0`), 200, "paid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := shop.Order()
			shop.Gateway.AnswerStatus(func(w http.ResponseWriter, orderid string) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(tt.code)
				_, _ = w.Write([]byte(tt.reply(orderid)))
			})
			if tt.want != "pending" {
				shop.AwaitState(o.OrderID, tt.want)
			} else {
				expectPending(t, shop, o)
				shop.Gateway.AwaitQuestion(o.OrderID)
				if a := shop.Notify(o.Payment("n-" + o.OrderID)); a.Body != "success" || shop.Status(o.OrderID).State != "paid" {
					t.Errorf("the notify afterwards: HTTP %d %q", a.Status, a.Body)
				}
			}
		})
	}
}

func TestAGatewayInTrouble(t *testing.T) {
	elsewhere := harness.NewGateway(t)
	shop := harness.StartShop(t, "limits off")
	for _, tt := range []struct {
		name   string
		answer func(w http.ResponseWriter, orderid string)
	}{
		{"a redirect", func(w http.ResponseWriter, orderid string) {
			w.Header().Set("Location", elsewhere.URL+"/requstOrderStatus.action?orderid="+orderid)
			w.WriteHeader(http.StatusFound)
		}},
		{"a bomb", func(w http.ResponseWriter, _ string) {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			block := bytes.Repeat([]byte{' '}, 1<<20)
			for range 64 {
				_, _ = z.Write(block)
			}
			z.Close()
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(b.Bytes())
		}},
		{"a broken connection", func(http.ResponseWriter, string) { panic(http.ErrAbortHandler) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := shop.Order()
			elsewhere.Receive(o.Payment("pay-1"))
			shop.Gateway.AnswerStatus(tt.answer)
			expectPending(t, shop, o)
			if n := len(elsewhere.Questions(o.OrderID)); n != 0 {
				t.Errorf("a redirect was followed")
			}
			if a := shop.Get("/"); a.Status != http.StatusOK {
				t.Errorf("the site meanwhile: HTTP %d", a.Status)
			}
		})
	}
}

// A gateway that never answers holds up neither the site nor a notify, and the
// one who asks is told what is known.
func TestAGatewayThatHangs(t *testing.T) {
	shop := harness.StartShop(t)
	o := shop.Order()
	hanging, let := make(chan struct{}), make(chan struct{})
	hung := sync.OnceFunc(func() { close(hanging) })
	shop.Gateway.AnswerStatus(func(http.ResponseWriter, string) {
		hung()
		<-let
	})
	defer close(let)
	asked := make(chan harness.Status, 1)
	go func() { asked <- shop.Status(o.OrderID) }()
	<-hanging
	if a := shop.Get("/"); a.Status != http.StatusOK {
		t.Errorf("the site: HTTP %d", a.Status)
	}
	if st := <-asked; st.State != "pending" {
		t.Errorf("the one who asked hears %+v", st)
	}
	if a := shop.Notify(o.Payment("pay-1")); a.Body != "success" {
		t.Errorf("the notify: HTTP %d %q", a.Status, a.Body)
	}
}

// A gateway whose certificate nobody vouches for is not believed.
func TestTheGatewaysCertificateIsVerified(t *testing.T) {
	shop := harness.NewShop(t)
	tls := harness.NewTLSGateway(t)
	shop.Start(strings.Replace(shop.Caddyfile(), shop.Gateway.URL, tls.URL, 1))
	o := shop.Order()
	tls.Receive(o.Payment("pay-1"))
	expectPending(t, shop, o)
	if n := len(tls.Questions(o.OrderID)); n != 0 {
		t.Error("the question was sent all the same")
	}
}

// One question per order and minute, also across a restart and a reload.
func TestQuestionsAreBounded(t *testing.T) {
	shop := harness.StartShop(t)
	o := shop.Order()
	for i := range 4 {
		for range 10 {
			shop.Status(o.OrderID)
		}
		if i%2 == 0 {
			shop.Kill()
			shop.Start(shop.Caddyfile())
		} else if err := shop.Reload(shop.Caddyfile("expire 3h")); err != nil {
			t.Fatal(err)
		}
	}
	asked := shop.Gateway.Questions(o.OrderID)
	for i := 1; i < len(asked); i++ {
		if gap := asked[i].Sub(asked[i-1]); gap < 55*time.Second {
			t.Errorf("asked again after %s", gap)
		}
	}
	if len(asked) == 0 {
		t.Error("never asked")
	}
}

// Beijing's time needs no database of time zones, and not the machine's zone.
func TestBeijingTime(t *testing.T) {
	shop := harness.NewShop(t)
	shop.Env = append(shop.Env, "TZ=Pacific/Honolulu", "ZONEINFO=/nowhere")
	shop.Start(shop.Caddyfile())
	shop.AwaitLog("balance known")
	for _, asked := range shop.Gateway.Balances() {
		if asked.Get("answer") != "" {
			t.Errorf("asked for the balance of %s: %s", asked.Get("reqtime"), asked.Get("answer"))
		}
	}
}
