package cluster

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/integration/harness"
	"github.com/caddy-checkout/checkout/internal/order"
)

// example is examples/cluster, running.
type example struct {
	t             testing.TB
	cmd           *exec.Cmd
	tmp           string // where it keeps everything
	shop, gateway string
	output        *strings.Builder
	exited        chan error
	ended         bool
	client        *http.Client
}

// startExample runs the script. The ports are free when they are chosen; if
// somebody else takes them before Caddy does, others are.
func startExample(t *testing.T) *example {
	t.Helper()
	if found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres"); err != nil || len(found) == 0 {
		harness.Missing(t, "PostgreSQL (Debian: apt-get install postgresql)")
	}
	for range 5 {
		e := &example{t: t, output: new(strings.Builder), exited: make(chan error, 1), client: harness.NewClient()}
		if e.start() {
			return e
		}
		if !strings.Contains(e.output.String(), "address already in use") {
			break
		}
	}
	t.Fatal("the example does not start")
	return nil
}

// start reports whether the example says that it runs.
func (e *example) start() bool {
	e.t.Helper()
	// Not t.TempDir: the path of a Unix socket holds 100 bytes at most.
	tmp, err := os.MkdirTemp("", "ex")
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { os.RemoveAll(tmp) })
	if err := os.Chmod(tmp, 0o711); err != nil { // PostgreSQL may run as another user
		e.t.Fatal(err)
	}
	shop, gateway := freePorts(e.t)
	e.tmp, e.shop, e.gateway = tmp, "http://localhost:"+shop, "http://localhost:"+gateway
	e.cmd = exec.Command("../../examples/cluster/run")
	e.cmd.Env = append(harness.NewCaddy(e.t).Command().Env,
		"TMPDIR="+tmp, "CADDY="+os.Args[0], "SHOP_PORT="+shop, "GATEWAY_PORT="+gateway)
	pipe, err := e.cmd.StdoutPipe()
	if err != nil {
		e.t.Fatal(err)
	}
	e.cmd.Stderr = e.cmd.Stdout
	if err := e.cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	ready, failsafe := false, time.AfterFunc(harness.Failsafe, func() { _ = e.cmd.Process.Signal(syscall.SIGTERM) })
	lines := bufio.NewScanner(pipe)
	for !ready && lines.Scan() {
		fmt.Fprintln(e.output, lines.Text())
		ready = strings.HasPrefix(lines.Text(), "Kill a node")
	}
	failsafe.Stop()
	go func() {
		_, _ = io.Copy(io.Discard, pipe)
		e.exited <- e.cmd.Wait()
	}()
	if !ready {
		e.t.Logf("the example ended: %v\n%s", <-e.exited, e.output)
		return false
	}
	e.t.Cleanup(e.stop)
	return true
}

// stop ends the example as Ctrl-C does, and expects that nothing is left.
func (e *example) stop() {
	if e.ended {
		return
	}
	e.ended = true
	if err := e.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		e.t.Error(err)
	}
	select {
	case <-e.exited:
	case <-time.After(harness.Failsafe):
		e.t.Error("the example did not end")
		_ = e.cmd.Process.Kill()
		return
	}
	left, err := os.ReadDir(e.tmp)
	if err != nil || len(left) > 0 {
		e.t.Errorf("the example left %v (%v)", left, err)
	}
}

// freePorts names two ports: both are held until the second is found, since
// Caddy would share one with another Caddy.
func freePorts(t testing.TB) (shop, gateway string) {
	t.Helper()
	var ports [2]string
	for i := range ports {
		ln, err := net.Listen("tcp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		ports[i] = strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
	}
	return ports[0], ports[1]
}

// do sends a request and returns the answer, whatever its status.
func (e *example) do(method, address string, form url.Values, header ...string) harness.Answer {
	e.t.Helper()
	req, err := http.NewRequest(method, address, strings.NewReader(form.Encode()))
	if err != nil {
		e.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := e.client.Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	return harness.Answer{Status: resp.StatusCode, Header: resp.Header, Body: string(body)}
}

// buy orders through the balancer, pays at the gateway and waits until the
// shop knows.
func (e *example) buy() {
	e.t.Helper()
	a := e.do(http.MethodPost, e.shop+"/checkout", url.Values{"sku": {"mug"}, "email": {"buyer@example.com"}}, "Accept", "application/json")
	if a.Status != http.StatusOK {
		e.t.Fatalf("ordering: HTTP %d %s", a.Status, a.Body)
	}
	var o harness.Order
	a.JSON(e.t, &o)
	if !strings.HasPrefix(o.Action, e.gateway) {
		e.t.Fatalf("the buyer is sent to %s", o.Action)
	}
	if a := e.do(http.MethodPost, o.Action, o.Form()); a.Status >= http.StatusBadRequest {
		e.t.Fatalf("the pay request: HTTP %d %s", a.Status, a.Body)
	}
	if a := e.do(http.MethodPost, e.gateway+"/cashier", url.Values{"orderid": {o.OrderID}, "do": {"pay"}}); a.Status != http.StatusSeeOther {
		e.t.Fatalf("paying: HTTP %d %s", a.Status, a.Body)
	}
	harness.Await(e.t, "the order to be paid", func() bool {
		a := e.do(http.MethodGet, e.shop+"/checkout/status?wait=5&orderid="+o.OrderID, nil)
		return a.Status == http.StatusOK && strings.Contains(a.Body, `"state":"paid"`)
	})
}

// failures is how often the balancer found a node dead lately.
func (e *example) failures(node string) (n int) {
	e.t.Helper()
	sockets, err := filepath.Glob(filepath.Join(e.tmp, "*", "balancer-admin.sock"))
	if err != nil || len(sockets) != 1 {
		e.t.Fatalf("admin sockets of the balancer: %v %v", sockets, err)
	}
	admin := &http.Client{Timeout: harness.Failsafe, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", sockets[0])
		},
	}}
	resp, err := admin.Get("http://caddy/reverse_proxy/upstreams")
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	var upstreams []struct {
		Address string
		Fails   int
	}
	if err := json.NewDecoder(resp.Body).Decode(&upstreams); err != nil {
		e.t.Fatal(err)
	}
	for _, u := range upstreams {
		if strings.Contains(u.Address, node) {
			n += u.Fails
		}
	}
	return n
}

var nodeProcess = regexp.MustCompile(`(?m)^node1: process (\d+)`)

// The example sells, with both nodes and with one.
func TestExample(t *testing.T) {
	e := startExample(t)
	open := make(map[string]bool) // nodes that have opened their store
	harness.Await(t, "both nodes to serve", func() bool {
		a := e.do(http.MethodGet, e.shop+"/checkout/status?orderid="+order.NewID(time.Now()), nil)
		open[a.Header.Get("Node")] = a.Status == http.StatusNotFound
		return open["node1"] && open["node2"]
	})
	for range 4 {
		e.buy()
	}

	m := nodeProcess.FindStringSubmatch(e.output.String())
	if m == nil {
		t.Fatalf("the example does not tell of its nodes:\n%s", e.output)
	}
	pid, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	harness.Await(t, "the balancer to notice", func() bool {
		// A POST could still go out on a connection that was kept, and be lost.
		if a := e.do(http.MethodGet, e.shop+"/", nil); a.Status != http.StatusOK && a.Status != http.StatusBadGateway {
			t.Errorf("the site answers HTTP %d", a.Status)
		}
		return e.failures("node1") > 0
	})
	for range 2 {
		e.buy()
	}
	e.stop()
}
