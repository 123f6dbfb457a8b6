package checkout

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

func TestWholePath(t *testing.T) {
	r := run(t, "require email")
	if a := get(t, r.shop+"/"); a.body != "static" {
		t.Errorf("static page: %d %s", a.status, a.body)
	}
	if a := get(t, r.shop+"/checkout?sku=mug&qty=2"); a.status != http.StatusOK || !strings.Contains(a.body, "78.00") {
		t.Errorf("review page: %d %s", a.status, a.body)
	}
	f := r.order(t, "sku=mug&qty=2&email=a%40example.com&paymoney=0.01")
	for name, want := range map[string]string{
		"paymoney":  "78.00",
		"notifyurl": r.shop + "/checkout/notify",
		"returnurl": r.shop + "/checkout/return/" + f.OrderID,
	} {
		if got := f.Fields[name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if e := waitForEvent(t, eventCreated, f.OrderID); e["total"] != "78.00" || e["state"] != "pending" || e["test"] != true {
		t.Errorf("event %v", e)
	}
	if got := r.state(t, f.OrderID); got != "pending" {
		t.Errorf("state %s before payment", got)
	}
	r.pay(t, f)
	if e := waitForEvent(t, eventPaid, f.OrderID); e["shop"] == "" || e["state"] != "paid" || e["late"] != false {
		t.Errorf("event %v", e)
	}
	if got := r.state(t, f.OrderID); got != "paid" {
		t.Errorf("state %s after payment", got)
	}
	if a := get(t, r.shop+"/checkout/return/"+f.OrderID); a.status != http.StatusOK || !strings.Contains(a.body, f.OrderID) {
		t.Errorf("receipt: %d %s", a.status, a.body)
	}

	shop := fmt.Sprintf(`shop="10000001400000@%s/checkout via %s"`, r.shop, r.sandbox)
	var metrics string
	for _, want := range []string{
		`caddy_checkout_orders_created_total{` + shop + `} 1`,
		`caddy_checkout_order_state_changes_total{` + shop + `,state="paid"} 1`,
		`caddy_checkout_notifies_total{` + shop + `,verdict="paid"} 1`,
		`caddy_checkout_notifies_total{` + shop + `,verdict="bad_key"} 0`,
		`caddy_checkout_request_duration_seconds_count{code="200",route="notify",` + shop + `} 1`,
		`caddy_checkout_store_up 1`,
	} {
		metrics = r.waitForMetric(t, want)
	}
	if strings.Contains(metrics, f.OrderID) {
		t.Error("metrics hold an order id")
	}

	config := ask(t, r.admin, "GET", "http://127.0.0.1/config/", "").body
	if !strings.Contains(config, `"{env.CHECKOUT_TEST_TOKEN}"`) {
		t.Errorf("the configuration does not show the placeholder: %s", config)
	}
	log, err := os.ReadFile(filepath.Join(r.dir, "log.json"))
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{"log": string(log), "configuration": config, "metrics": metrics} {
		for _, s := range []string{canary, f.Fields["key"]} {
			if strings.Contains(text, s) {
				t.Errorf("the %s holds a secret", what)
			}
		}
	}
	for _, want := range []string{
		"GET / order= state=",
		"GET /checkout?sku=mug&qty=2 order= state=",
		"POST /checkout order=" + f.OrderID + " state=pending",
		"POST /checkout/notify order=" + f.OrderID + " state=paid",
		"GET /checkout/return/" + f.OrderID + " order=" + f.OrderID + " state=paid",
	} {
		r.waitForAccess(t, want)
	}
	for _, want := range []string{"order created", "order paid", "notify answered", f.OrderID} {
		if !bytes.Contains(log, []byte(want)) {
			t.Errorf("the log lacks %q", want)
		}
	}
}

// A reload keeps the store open, and a failed one changes nothing. No request
// finds the store closed in between.
func TestReload(t *testing.T) {
	r := run(t, "limits off")
	f := r.order(t, "sku=mug&qty=1")
	st := openStore(t)

	var wg sync.WaitGroup
	stop, asking := make(chan struct{}), make(chan struct{})
	answered := sync.OnceFunc(func() { close(asking) })
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			// The kernel resets connections that wait at the old listener.
			resp, err := http.Get(r.shop + "/checkout/status?orderid=" + f.OrderID)
			if err != nil {
				continue
			}
			if resp.StatusCode != http.StatusOK {
				t.Errorf("during a reload: %s", resp.Status)
			}
			resp.Body.Close()
			answered()
		}
	})
	select {
	case <-asking:
	case <-time.After(failsafe):
		t.Error("nobody is answered")
	}
	for i := range 5 {
		if err := r.load(t, "limits off", fmt.Sprintf("product pot%d 128 Pot", i)); err != nil {
			t.Error(err)
		}
	}
	if err := r.load(t, "limits off", "catalog "+r.dir+"/absent.json"); err == nil {
		t.Error("loaded with a catalog that is not there")
	}
	close(stop)
	wg.Wait()

	r.waitIdle(t)
	if openStore(t) != st {
		t.Error("the store was opened again")
	}
	if a := get(t, r.shop+"/checkout?sku=pot4"); a.status != http.StatusOK {
		t.Errorf("product of the last good reload: %d", a.status)
	}
	r.pay(t, f)
	if got := r.state(t, f.OrderID); got != "paid" {
		t.Errorf("state %s", got)
	}
}

// openStore returns the one store that is in use.
func openStore(t *testing.T) (st *sharedStore) {
	t.Helper()
	stores.Range(func(_, v any) bool {
		if st != nil {
			t.Error("more than one store is in use")
		}
		st = v.(*sharedStore)
		return true
	})
	if st == nil {
		t.Fatal("no store is in use")
	}
	return st
}

// While the store cannot be opened the static site stays up, and checkout
// works as soon as it can.
func TestStoreUnavailable(t *testing.T) {
	r := run(t)
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(r.dir, "orders")); err != nil {
		t.Fatal(err)
	}
	blocker := filepath.Join(r.dir, "orders")
	if err := os.WriteFile(blocker, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.start(t) // which a store in trouble does not fail
	if a := get(t, r.shop+"/"); a.body != "static" {
		t.Errorf("static page: %d %s", a.status, a.body)
	}
	for _, a := range []answer{
		ask(t, http.DefaultClient, "POST", r.shop+"/checkout", "sku=mug&qty=1", "Content-Type", form),
		ask(t, http.DefaultClient, "POST", r.shop+"/checkout/notify", "payid=1&orderid=2&orderuid=&paymoney=1.00&realpay=1.00&key=x", "Content-Type", form),
		get(t, r.shop+"/checkout/status?orderid=01ARZ3NDEKTSV4RRFFQ69G5FAV"),
	} {
		if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
			t.Errorf("got %d, Retry-After %q; want 503", a.status, a.header.Get("Retry-After"))
		}
	}
	if err := os.Remove(blocker); err != nil {
		t.Fatal(err)
	}
	select {
	case <-openStore(t).ready:
	case <-time.After(failsafe):
		t.Fatal("the store was not opened when it could be")
	}
	for deadline := time.Now().Add(failsafe); ; time.Sleep(10 * time.Millisecond) {
		a := ask(t, http.DefaultClient, "POST", r.shop+"/checkout", "sku=mug&qty=1", "Content-Type", form)
		if a.status == http.StatusOK {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("checkout still answers %d", a.status)
		}
	}
}

// activeApp returns the app of the configuration that runs.
func activeApp(t *testing.T) *App {
	t.Helper()
	mod, err := caddy.ActiveContext().App("checkout")
	if err != nil {
		t.Fatal(err)
	}
	return mod.(*App)
}

// Caddy may start its servers before the app, so a shop serves from the moment
// it is announced if the store is open.
func TestShopServesBeforeStart(t *testing.T) {
	r := run(t)
	h := &Handler{
		UID: "2", Token: canary, Origin: r.shop, Path: "/other",
		Products: []Product{{SKU: "mug", Price: "1", Name: "Mug"}},
	}
	c, err := h.resolve(caddy.NewReplacer())
	if err != nil {
		t.Fatal(err)
	}
	s, err := activeApp(t).register(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if s.service.Load() == nil {
		t.Error("the store is open, but the shop has no service")
	}
}

// A request that began before a reload finds its store open, although nobody
// else uses it any more.
func TestRequestOutlivesReload(t *testing.T) {
	r := run(t)
	old := activeApp(t)
	body, send := io.Pipe()
	ctx, cancel := context.WithTimeout(context.Background(), failsafe)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "POST", r.shop+"/checkout", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", form)
	status := make(chan int, 1)
	go func() {
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			status <- 0
			return
		}
		resp.Body.Close()
		status <- resp.StatusCode
	}()
	if _, err := io.WriteString(send, "sku=mug"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(failsafe); ; time.Sleep(time.Millisecond) {
		old.requests.mu.Lock()
		n := old.requests.n
		old.requests.mu.Unlock()
		if n == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the request did not begin")
		}
	}
	moved := strings.Replace(r.caddyfile(), "/orders/orders.db", "/moved/orders.db", 1)
	if err := caddy.Load(adaptRaw(t, moved), true); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(send, "&qty=1"); err != nil {
		t.Error(err)
	}
	send.Close()
	if got := <-status; got != http.StatusOK {
		t.Errorf("got %d, want 200", got)
	}
	for deadline := time.Now().Add(failsafe); poolSize(stores) != 1; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the old store is still open after its last request")
		}
	}
}
