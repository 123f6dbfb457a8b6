package checkout

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-checkout/checkout/internal/merchant"
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// checkoutCommand makes the command as Caddy does.
func checkoutCommand(t *testing.T) *cobra.Command {
	t.Helper()
	c, ok := caddycmd.Commands()["checkout"]
	if !ok {
		t.Fatal("the command is not registered")
	}
	root := &cobra.Command{Use: "caddy", SilenceUsage: true}
	cmd := &cobra.Command{Use: c.Name + " " + c.Usage, Short: c.Short, Long: c.Long}
	c.CobraFunc(cmd)
	root.AddCommand(cmd)
	return root
}

// result is what a command did.
type result struct {
	out, notes string
	err        error
}

func execute(t *testing.T, args ...string) result {
	t.Helper()
	root := checkoutCommand(t)
	var out, notes bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&notes)
	root.SetArgs(append([]string{"checkout"}, args...))
	ctx, cancel := context.WithTimeout(t.Context(), failsafe)
	defer cancel()
	err := root.ExecuteContext(ctx)
	return result{out.String(), notes.String(), err}
}

// checkout runs a command against the running Caddy, and expects it to work.
func (r *running) checkout(t *testing.T, args ...string) string {
	t.Helper()
	got := execute(t, append(args, "--address", "unix/"+r.dir+"/admin.sock")...)
	if got.err != nil {
		t.Errorf("%v: %v\n%s", args, got.err, got.notes)
	}
	return got.out
}

func wantText(t *testing.T, out string, wants ...string) {
	t.Helper()
	for _, w := range wants {
		if !strings.Contains(out, w) {
			t.Errorf("lacks %q:\n%s", w, out)
		}
	}
}

func TestCommands(t *testing.T) {
	r := run(t)
	now := time.Now()
	shipped := r.keep(t, now, order.Buyer{Name: "张三", Address: "长安街 1 号\nBeijing", Note: "\x1b[2J"}, paid)
	review := r.keep(t, now, order.Buyer{Name: "Bob"}, inReview)
	if _, err := openStore(t).get().KeepOrphan(t.Context(), store.Orphan{Shop: r.shopID(), OrderID: "x1", PayID: "stray", PayMoney: "1.00", RealPay: "1.00", At: now}); err != nil {
		t.Fatal(err)
	}

	out := r.checkout(t, "orders")
	wantText(t, out, shipped, review, "79.00", "张三", "Bob", "review")
	if strings.Contains(r.checkout(t, "orders", "--state", "paid"), review) {
		t.Error("the filter does not filter")
	}
	out = r.checkout(t, "show", shipped)
	wantText(t, out, "手冲咖啡壶", "78.00", "长安街 1 号", "Beijing", "pay"+shipped, "notify", "webhook:https://hooks.example.com/")
	if strings.Contains(out, "\x1b") {
		t.Errorf("the buyer steers the terminal: %q", out)
	}

	wantText(t, r.checkout(t, "ship", shipped, "--reason", "SF123", "--who", "李四"), "paid (test, shipped)")
	wantText(t, r.checkout(t, "show", shipped), "李四", "shipped", "SF123")
	wantText(t, r.checkout(t, "confirm", review, "--reason", "seen"), review+" is paid")
	wantText(t, r.checkout(t, "refund", review, "--reason", "broken"), "refunded")
	wantText(t, r.checkout(t, "balance"), "10000001400000@")
	wantText(t, r.checkout(t, "summary"), now.Format(time.DateOnly), "158.00", "手冲咖啡壶", "156.00")
	wantText(t, r.checkout(t, "orphans"), "stray")
	wantText(t, r.checkout(t, "deliveries"), "checkout.paid", shipped)

	var page merchant.DeliveryPage
	if err := json.Unmarshal([]byte(r.checkout(t, "deliveries", "--json")), &page); err != nil || len(page.Deliveries) == 0 {
		t.Fatalf("deliveries: %v", err)
	}
	wantText(t, r.checkout(t, "redeliver", page.Deliveries[0].ID), "goes out now")

	f := r.order(t, "sku=mug&qty=1")
	r.pay(t, f)
	wantText(t, r.checkout(t, "refresh", f.OrderID), f.OrderID+" is paid", "39.00")
	wantText(t, r.checkout(t, "refresh", f.OrderID), "Not asked", "one a minute")

	file := filepath.Join(r.dir, "orders.csv")
	r.checkout(t, "export", "-o", file, "--sku", "tea")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(b, []byte("\ufeff")))).ReadAll()
	if err != nil || len(rows) != 5 || !slices.ContainsFunc(rows, func(row []string) bool { return slices.Contains(row, "长安街 1 号\nBeijing") }) {
		t.Errorf("export: %v, %q", err, rows)
	}

	backup := filepath.Join(r.dir, "backup.db")
	wantText(t, r.checkout(t, "backup", backup), backup)
	if _, err := os.Stat(backup); err != nil {
		t.Error(err)
	}

	var found merchant.OrderPage
	if err := json.Unmarshal([]byte(r.checkout(t, "orders", "--json", "--limit", "1", "--text", "张三")), &found); err != nil || len(found.Orders) != 1 || found.Orders[0].ID != shipped {
		t.Errorf("orders --json: %v, %+v", err, found)
	}
}

func TestCommandStatus(t *testing.T) {
	r := run(t)
	id := r.keep(t, time.Now(), order.Buyer{}, nil)
	address := "unix/" + r.dir + "/admin.sock"
	t.Setenv("CHECKOUT_TOKEN", canary)
	for name, tc := range map[string]struct {
		args   []string
		status int
		want   string
	}{
		"no such order":    {[]string{"show", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "--address", address}, 1, "order 01ARZ3NDEKTSV4RRFFQ69G5FAV not found; look with: caddy checkout orders --text"},
		"not in the state": {[]string{"ship", id, "--reason", "x", "--address", address}, 1, "only a paid order can be shipped"},
		"bad filter":       {[]string{"orders", "--from", "yesterday", "--address", address}, 2, "write a day like"},
		"no reason":        {[]string{"ship", id, "--address", address}, 2, "write a --reason"},
		"no id":            {[]string{"show", "--address", address}, 2, "write one order id"},
		"unknown flag":     {[]string{"orders", "--sate", "paid"}, 2, "unknown flag: --sate"},
		"unknown command":  {[]string{"order"}, 2, `unknown command "order"`},
		"no Caddy":         {[]string{"orders", "--address", "unix/" + r.dir + "/absent.sock"}, 2, "is Caddy running there?"},
		"bad address":      {[]string{"orders", "--address", "localhost:1-9"}, 2, "invalid admin address"},
		"no configuration": {[]string{"orders", "--config", r.dir + "/absent.json"}, 2, "couldn't determine admin API address"},
		"key does not fit": {[]string{"verify", "status", "key=" + strings.Repeat("0", 32)}, 1, "the key does not fit"},
		"no key":           {[]string{"verify", "status"}, 2, "write the key"},
	} {
		got := execute(t, tc.args...)
		if status := exitStatus(got.err); status != tc.status || !strings.Contains(got.notes, "Error: ") || !strings.Contains(got.notes, tc.want) || strings.Count(got.notes, "Error: ") != 1 {
			t.Errorf("%s: status %d, %q; want %d, %q", name, status, got.notes, tc.status, tc.want)
		}
	}
	if got := execute(t); got.err != nil || !strings.Contains(got.out, "Available Commands:") {
		t.Errorf("without a command: %v\n%s", got.err, got.out)
	}
}

// exitStatus is what Caddy ends with for an error of a command.
func exitStatus(err error) int {
	if err == nil {
		return 0
	}
	// The type of errors with a status is Caddy's own.
	if _, after, ok := strings.Cut(err.Error(), "exiting with status "); ok {
		return int(after[0] - '0')
	}
	return 1
}

// The admin endpoint's own guards see a command as any of Caddy's.
func TestConnect(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != address || r.Header.Get("Origin") != "http://"+address {
			t.Errorf("host %q, origin %q", r.Host, r.Header.Get("Origin"))
		}
		io.WriteString(w, `{"orders":[]}`)
	})}
	go srv.Serve(ln)
	defer srv.Close()
	file := filepath.Join(t.TempDir(), "caddy.json")
	if err := os.WriteFile(file, []byte(`{"admin":{"listen":"`+address+`"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--address", address}, {"--address", "tcp/" + address}, {"--config", file}} {
		if got := execute(t, append([]string{"orders"}, args...)...); got.err != nil || !strings.Contains(got.out, "No orders.") {
			t.Errorf("%v: %v, %s", args, got.err, got.notes)
		}
	}
}

func TestConnectRefuses(t *testing.T) {
	for _, address := range []string{"http://localhost:2019", "localhost:2019/x", "localhost:2019-2020", "fd/3", "udp/localhost:2019"} {
		if got := execute(t, "orders", "--address", address); got.err == nil || !strings.Contains(got.notes, "write host:port") {
			t.Errorf("%s: %v, %s", address, got.err, got.notes)
		}
	}
}

// follower collects what tail writes.
type follower struct {
	mu    sync.Mutex
	text  bytes.Buffer
	wrote chan struct{}
}

func (f *follower) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.text.Write(p)
	select {
	case f.wrote <- struct{}{}:
	default:
	}
	return n, err
}

func (f *follower) await(t *testing.T, text string) {
	t.Helper()
	timeout := time.After(failsafe)
	for {
		f.mu.Lock()
		got := f.text.String()
		f.mu.Unlock()
		if strings.Contains(got, text) {
			return
		}
		select {
		case <-f.wrote:
		case <-timeout:
			t.Fatalf("tail does not write %q, but\n%s", text, got)
		}
	}
}

func TestTailCommand(t *testing.T) {
	r := run(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &follower{wrote: make(chan struct{}, 1)}
	root := checkoutCommand(t)
	root.SetOut(out)
	root.SetErr(out)
	root.SetArgs([]string{"checkout", "tail", "--address", "unix/" + r.dir + "/admin.sock"})
	done := make(chan error, 1)
	go func() { done <- root.ExecuteContext(ctx) }()

	out.await(t, "Following the orders")
	f := r.order(t, "sku=mug&qty=1")
	out.await(t, f.OrderID+"  new ")
	r.pay(t, f)
	out.await(t, f.OrderID+"  paid ")
	cancel()
	select {
	case err := <-done:
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	case <-time.After(failsafe):
		t.Fatal("tail does not end")
	}
	r.waitIdle(t)
}
