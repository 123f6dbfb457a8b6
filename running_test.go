package checkout

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
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
		// The last of them is let go by what ends behind the last answer.
		for deadline := time.Now().Add(failsafe); poolSize(stores)+poolSize(sandboxes) != 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d references are left", poolSize(stores)+poolSize(sandboxes))
			}
		}
	})
	r.start(t, lines...)
	// Start waits for the store only so long, and a disk may be slower.
	for deadline := time.Now().Add(failsafe); ; time.Sleep(time.Millisecond) {
		if get(t, r.shop+"/checkout/status").status != http.StatusServiceUnavailable {
			return r
		}
		if time.Now().After(deadline) {
			t.Fatal("the store does not open")
		}
	}
}

// start loads the configuration at addresses that are free, while none runs.
func (r *running) start(t *testing.T, lines ...string) {
	t.Helper()
	for try := 1; ; try++ {
		r.shop, r.sandbox = freeOrigins(t)
		err := r.load(t, lines...)
		if err == nil {
			return
		}
		if try == 10 || !strings.Contains(err.Error(), "address already in use") {
			t.Fatal(err)
		}
	}
}

// freeOrigins names two ports that were free a moment ago. Both are held until
// the second is found.
func freeOrigins(t *testing.T) (shop, sandbox string) {
	t.Helper()
	var origins [2]string
	for i := range origins {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		origins[i] = "http://" + l.Addr().String()
	}
	return origins[0], origins[1]
}

// load loads the configuration with other lines in the checkout block.
func (r *running) load(t *testing.T, lines ...string) error {
	t.Helper()
	return reload(t, adaptRaw(t, r.caddyfile(lines...)))
}

// reload loads a configuration and returns when the servers of the former one,
// its admin endpoint among them, are gone: until then net/http closes
// connections that they accept, without an answer.
func reload(t *testing.T, raw []byte) error {
	t.Helper()
	if err := caddy.Load(raw, true); err != nil {
		return err
	}
	stacks := make([]byte, 4<<20)
	for deadline := time.Now().Add(failsafe); ; time.Sleep(time.Millisecond) {
		running := stacks[:runtime.Stack(stacks, true)]
		if !bytes.Contains(running, []byte("caddyhttp.(*App).stop")) && !bytes.Contains(running, []byte("caddy/v2.stopAdminServer")) {
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
	log
	log_append order {http.checkout.order_id}
	log_append state {http.checkout.state}
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

// waitForAccess returns when the access log tells of a request, its order and
// state. It is written after the answer.
func (r *running) waitForAccess(t *testing.T, want string) {
	t.Helper()
	for deadline := time.Now().Add(failsafe); ; time.Sleep(10 * time.Millisecond) {
		log, err := os.ReadFile(filepath.Join(r.dir, "log.json"))
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(log) {
			var e struct {
				Logger, Order, State string
				Request              struct{ Method, URI string }
			}
			if json.Unmarshal(line, &e) != nil || !strings.HasPrefix(e.Logger, "http.log.access") {
				continue // or a line that is being written
			}
			if e.Request.Method+" "+e.Request.URI+" order="+e.Order+" state="+e.State == want {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the access log lacks %q", want)
		}
	}
}
