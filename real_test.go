package checkout

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func init() {
	caddy.RegisterModule(eventSink{})
}

// eventSink hands Caddy events to the test that runs.
type eventSink struct{}

var emitted = make(chan map[string]any, 1024)

func (eventSink) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.checkout_test", New: func() caddy.Module { return new(eventSink) }}
}

func (eventSink) Handle(_ context.Context, e caddy.Event) error {
	data := map[string]any{"name": e.Name()}
	for k, v := range e.Data {
		data[k] = v
	}
	emitted <- data
	return nil
}

func (eventSink) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { d.Next(); return nil }

// failsafe bounds what a test waits for; nothing is expected to take so long.
const failsafe = 60 * time.Second

// running is a Caddy in this process with a shop and a sandbox gateway.
type running struct {
	dir           string
	shop, sandbox string // base URLs
	admin         *http.Client
}

// run starts Caddy with a shop whose checkout block has the lines.
func run(t *testing.T, lines ...string) *running {
	t.Helper()
	t.Setenv("CHECKOUT_TEST_TOKEN", canary)
	dir, err := os.MkdirTemp("", "checkout") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte("static"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &running{dir: dir, admin: &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, "admin.sock"))
		},
	}}}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
		if left := poolSize(stores) + poolSize(sandboxes); left != 0 {
			t.Errorf("%d references are left", left)
		}
	})
	for try := 1; ; try++ {
		r.shop, r.sandbox = "http://"+freeAddr(t), "http://"+freeAddr(t)
		err := r.load(t, lines...)
		if err == nil {
			return r
		}
		if try == 10 || !strings.Contains(err.Error(), "address already in use") {
			t.Fatal(err)
		}
	}
}

// freeAddr names a port that was free a moment ago.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// load loads the configuration with other lines in the checkout block.
func (r *running) load(t *testing.T, lines ...string) error {
	t.Helper()
	return reload(t, adaptRaw(t, r.caddyfile(lines...)))
}

// reload loads a configuration and returns when the servers of the former one
// are gone: until then net/http closes connections that they accept, without an
// answer.
func reload(t *testing.T, raw []byte) error {
	t.Helper()
	if err := caddy.Load(raw, true); err != nil {
		return err
	}
	stacks := make([]byte, 4<<20)
	for deadline := time.Now().Add(failsafe); ; time.Sleep(time.Millisecond) {
		n := runtime.Stack(stacks, true)
		if !bytes.Contains(stacks[:n], []byte("caddyhttp.(*App).stop")) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the former servers do not stop")
		}
	}
	http.DefaultClient.CloseIdleConnections() // to them
	return nil
}

func (r *running) caddyfile(lines ...string) string {
	return fmt.Sprintf(`{
	admin unix/%[1]s/admin.sock
	persist_config off
	auto_https off
	debug
	log {
		output file %[1]s/log.json
		format json
	}
	storage file_system %[1]s/caddy
	events {
		on checkout.created checkout_test
		on checkout.paid checkout_test
	}
	checkout {
		store sqlite %[1]s/orders/orders.db
	}
}
%[2]s {
	root * %[1]s
	handle {
		file_server
	}
	%[4]s
}
%[3]s {
	checkout_sandbox {
		uid 10000001400000
		token {env.CHECKOUT_TEST_TOKEN}
		notify_interval 1s
		return_delay 1s
	}
}
`, r.dir, r.shop, r.sandbox, block(append([]string{"origin " + r.shop, "gateway " + r.sandbox}, lines...)...))
}

// answer is what a server said.
type answer struct {
	status int
	header http.Header
	body   string
}

func ask(t *testing.T, c *http.Client, method, target, body string, header ...string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), failsafe)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(b)}
}

func get(t *testing.T, target string) answer {
	t.Helper()
	return ask(t, http.DefaultClient, "GET", target, "")
}

const form = "application/x-www-form-urlencoded"

// payForm is the JSON answer of checkout.
type payForm struct {
	OrderID, Action, Method string
	Fields                  map[string]string
}

func (r *running) order(t *testing.T, body string) payForm {
	t.Helper()
	a := ask(t, http.DefaultClient, "POST", r.shop+"/checkout", body, "Content-Type", form, "Accept", "application/json")
	var f payForm
	if err := json.Unmarshal([]byte(a.body), &f); err != nil || a.status != http.StatusOK {
		t.Fatalf("POST /checkout: %d %s", a.status, a.body)
	}
	return f
}

// pay posts the signed form and pays at the sandbox; the notify has been
// answered when it returns.
func (r *running) pay(t *testing.T, f payForm) {
	t.Helper()
	values := make(url.Values)
	for k, v := range f.Fields {
		values.Set(k, v)
	}
	if a := ask(t, http.DefaultClient, f.Method, f.Action, values.Encode(), "Content-Type", form); a.status != http.StatusOK {
		t.Fatalf("%s: %d %s", f.Action, a.status, a.body)
	}
	a := ask(t, http.DefaultClient, "POST", r.sandbox+"/sandbox/pay", `{"orderid":"`+f.OrderID+`","wait":"first"}`, "Content-Type", "application/json")
	if a.status != http.StatusOK || !strings.Contains(a.body, `"acknowledged"`) {
		t.Fatalf("paying: %d %s", a.status, a.body)
	}
}

func (r *running) state(t *testing.T, id string) string {
	t.Helper()
	a := get(t, r.shop+"/checkout/status?orderid="+id)
	var s struct{ State string }
	if err := json.Unmarshal([]byte(a.body), &s); err != nil || a.status != http.StatusOK {
		t.Fatalf("status: %d %s", a.status, a.body)
	}
	return s.State
}

func waitForEvent(t *testing.T, name, id string) map[string]any {
	t.Helper()
	timeout := time.After(failsafe)
	for {
		select {
		case e := <-emitted:
			if e["name"] == name && e["order_id"] == id {
				return e
			}
		case <-timeout:
			t.Fatalf("no event %s of %s", name, id)
		}
	}
}

// waitForMetric returns the metrics when they hold the line. A request is
// counted after it was answered.
func (r *running) waitForMetric(t *testing.T, line string) string {
	t.Helper()
	for deadline := time.Now().Add(failsafe); ; time.Sleep(10 * time.Millisecond) {
		metrics := ask(t, r.admin, "GET", "http://127.0.0.1/metrics", "").body
		if strings.Contains(metrics, line+"\n") {
			return metrics
		}
		if time.Now().After(deadline) {
			t.Fatalf("metrics lack %s", line)
		}
	}
}

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
	stop, answered := make(chan struct{}), 0
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
			answered++
		}
	})
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
	if answered == 0 {
		t.Error("nothing was asked during the reloads")
	}

	if openStore(t) != st {
		t.Error("the store was opened again")
	}
	if n, _ := stores.References(st.config); n != 1 {
		t.Errorf("%d references to the store, want 1", n)
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
	if err := r.load(t); err != nil {
		t.Fatalf("a store in trouble failed the start: %v", err)
	}
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
