package faults

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/caddy-checkout/checkout/integration/harness"
)

// failSyncs makes all that the shop's process syncs fail, until heal is called
// or the process ends. On many systems an ordinary user must not.
func failSyncs(t *testing.T, shop *harness.Shop) (heal func()) {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		harness.Missing(t, "strace (Debian: apt-get install strace)")
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "strace"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(strace, "-f", "-p", strconv.Itoa(shop.PID()),
		"-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO")
	cmd.Stderr = out

	// A process that is stopped starts no thread, so strace misses none.
	defer stop(t, shop)()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	heal = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended with Caddy
		_ = cmd.Wait()                       // by the signal
	})
	t.Cleanup(heal)
	var said string
	harness.Await(t, "a word from strace", func() bool {
		b, err := os.ReadFile(out.Name())
		if err != nil {
			t.Fatal(err)
		}
		said = string(b)
		return strings.Contains(said, "\n")
	})
	switch {
	case strings.Contains(said, " attached"):
		return heal
	case strings.Contains(said, "Operation not permitted"):
		harness.Missing(t, "the right to trace another process")
	default:
		t.Fatalf("strace: %s", said)
	}
	return nil
}

// stop stops the shop's process and returns when none of its threads runs.
func stop(t *testing.T, shop *harness.Shop) (resume func()) {
	t.Helper()
	pid := shop.PID()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatalf("stopping caddy: %v", err)
	}
	if _, err := syscall.Wait4(pid, nil, syscall.WUNTRACED, nil); err != nil {
		t.Fatalf("waiting for caddy to stop: %v", err)
	}
	return func() {
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			t.Errorf("resuming caddy: %v", err)
		}
	}
}

// expectNothingTaken orders, and sends the notifies of what is unpaid, all at
// once: each must be answered 503, because of the syncs.
func expectNothingTaken(t *testing.T, shop *harness.Shop, l *ledger) {
	t.Helper()
	unpaid := l.unpaid()
	var requests sync.WaitGroup
	for _, o := range unpaid {
		requests.Go(func() {
			_, a, err := shop.TryOrder(url.Values{"sku": {"mug"}, "qty": {"1"}})
			if err != nil {
				t.Error(err)
			}
			expectUnavailable(t, "an order", a)
		})
		requests.Go(func() {
			for range 2 { // the second finds what the first may have left
				expectUnavailable(t, "a notify", shop.Notify(o.Payment("pay-"+o.OrderID)))
			}
		})
	}
	requests.Wait()
	if t.Failed() {
		t.FailNow() // what follows would wait in vain
	}
	l.ask(t, shop)
	for _, o := range unpaid {
		expectUnpaid(t, shop, o)
	}
	expectSite(t, shop)
}

// Syncs fail: nothing is acknowledged, and the site is served. When they work
// again, so does the shop, and it has what it acknowledged.
func TestFailingSyncs(t *testing.T) {
	shop := harness.NewShop(t)
	config := with(shop.Caddyfile("limits off"), quiet)
	shop.Start(config)
	l := newLedger()
	makeOrders(t, shop, l, 20)

	heal := failSyncs(t, shop)
	expectNothingTaken(t, shop, l)
	shop.AwaitLog(`"level":"error"`, "answering checkout request", "disk I/O error")
	shop.AwaitLog(`"level":"error"`, "keeping notify", "disk I/O error")
	heal()
	expectRecovery(t, shop, l)

	// Now it also dies, and comes back to a log that may hold what it refused.
	makeOrders(t, shop, l, 20)
	failSyncs(t, shop)
	expectNothingTaken(t, shop, l)
	shop.Kill()
	shop.Start(config)
	expectRecovery(t, shop, l)
	shop.Stop()
	l.audit(t, database(shop))
}
