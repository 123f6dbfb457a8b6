package sandbox_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/internal/gateway"
	"github.com/caddy-checkout/checkout/internal/sandbox"
)

// TestWithTheShopsClient has both sides of the wire speak to each other: form,
// notify, return, status and balance.
func TestWithTheShopsClient(t *testing.T) {
	g, err := sandbox.New(sandbox.Config{UID: uid, Token: token, ReturnDelay: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	wire := httptest.NewServer(g)
	defer wire.Close()
	client, err := gateway.New(gateway.Config{Base: wire.URL, UID: uid, Tokens: []string{token}, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}

	notified := make(chan gateway.Notify, 1)
	merchant := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/notify" {
			io.WriteString(w, "receipt")
			return
		}
		n, err := gateway.ParseNotify(r)
		if err == nil {
			err = client.VerifyNotify(n)
		}
		if err != nil {
			t.Errorf("notify: %v", err)
		}
		notified <- n
		io.WriteString(w, "success")
	}))
	defer merchant.Close()

	form, err := client.PayForm(gateway.PayRequest{
		OrderID: "A1", OrderName: gateway.Title("Tea & 茶", 100), PayMoney: "39.00", OrderUID: "顾客01",
		NotifyURL: merchant.URL + "/notify", ReturnURL: merchant.URL + "/return",
	})
	if err != nil {
		t.Fatal(err)
	}
	values := make(url.Values)
	for _, f := range form.Fields {
		values.Set(f.Name, f.Value)
	}
	page := fetch(t, http.MethodPost, form.Action, values)
	if !strings.Contains(page, "Tea \uff06 茶") {
		t.Fatalf("cashier: %s", page)
	}

	s, err := client.Status(t.Context(), "A1")
	if err != nil || s.Status != gateway.StatusWaiting {
		t.Errorf("status %+v, %v", s, err)
	}
	fetch(t, http.MethodPost, wire.URL+"/cashier", url.Values{"orderid": {"A1"}, "do": {"pay"}})
	if n := <-notified; n.OrderID != "A1" || n.RealPay != "39.00" || n.OrderUID != "顾客01" {
		t.Errorf("notify %+v", n)
	}
	if body := fetch(t, http.MethodGet, wire.URL+"/return?orderid=A1", nil); body != "receipt" {
		t.Errorf("return: %s", body)
	}
	if balance, err := client.Balance(t.Context(), time.Now()); err != nil || balance != "39.00" {
		t.Errorf("balance %q, %v", balance, err)
	}
}

func fetch(t *testing.T, method, target string, form url.Values) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %d %v %s", method, target, resp.StatusCode, err, body)
	}
	return string(body)
}

// TestNoFaultDeceivesTheShopsClient: an unpaid order must not look paid.
func TestNoFaultDeceivesTheShopsClient(t *testing.T) {
	for _, fault := range sandbox.StatusFaults {
		t.Run(fault, func(t *testing.T) {
			r := newRig(t, nil)
			r.order("A1")
			r.command(200, "misbehave", `{"status":"`+fault+`"}`)
			wire := httptest.NewServer(r.g)
			defer wire.Close()
			c := gateway.Config{Base: wire.URL, UID: uid, Tokens: []string{token}, Timeout: time.Minute}
			if fault == "hang" || fault == "slow" {
				c.Timeout = 50 * time.Millisecond
			}
			client, err := gateway.New(c)
			if err != nil {
				t.Fatal(err)
			}
			s, err := client.Status(t.Context(), "A1")
			legible := slices.Contains([]string{"error", "timeout_paid", "wrong_amount", "paid_no_money", "status_number"}, fault)
			if err == nil && !legible {
				t.Errorf("believed %+v", s)
			}
			if err == nil && s.Status == gateway.StatusPaid && s.RealPay == "39.00" {
				t.Errorf("paid: %+v", s)
			}
		})
	}
}
