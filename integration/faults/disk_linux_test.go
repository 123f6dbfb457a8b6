package faults

import (
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/caddy-checkout/checkout/integration/harness"
)

// disk is a small file system in memory.
type disk struct {
	t   *testing.T
	dir string
}

const diskOptions = "size=16m,mode=0700"

// newDisk makes a disk, where the test may: ok is false where it must not mount
// file systems, as in most containers.
func newDisk(t *testing.T) (d disk, ok bool) {
	t.Helper()
	d = disk{t, t.TempDir()}
	if err := syscall.Mount("checkout-test", d.dir, "tmpfs", 0, diskOptions); err != nil {
		t.Logf("not run, because no file system can be mounted here (%v); the tests of the store, with a bounded file and a file that is read-only, stand in", err)
		return d, false
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(d.dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmounting: %v", err)
		}
	})
	return d, true
}

func (d disk) database() string { return filepath.Join(d.dir, "orders.db") }

// caddyfile keeps the shop's orders on the disk.
func (d disk) caddyfile(shop *harness.Shop) string {
	return with(shop.Caddyfile("limits off"), "checkout {\n\t\tstore sqlite "+d.database()+"\n\t}")
}

func (d disk) filler() string { return filepath.Join(d.dir, "filler") }

// fill leaves no free block.
func (d disk) fill() {
	d.t.Helper()
	f, err := os.Create(d.filler())
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 20, 1 << 12} {
		for block := make([]byte, size); err == nil; {
			_, err = f.Write(block)
		}
		if !errors.Is(err, syscall.ENOSPC) {
			d.t.Fatalf("filling the disk: %v", err)
		}
		err = nil
	}
}

func (d disk) free() {
	d.t.Helper()
	if err := os.Remove(d.filler()); err != nil {
		d.t.Fatal(err)
	}
}

func (d disk) remount(flags uintptr) {
	d.t.Helper()
	if err := syscall.Mount("checkout-test", d.dir, "tmpfs", syscall.MS_REMOUNT|flags, diskOptions); err != nil {
		d.t.Fatalf("remounting: %v", err)
	}
}

// makeOrders makes n orders and pays every second.
func makeOrders(t *testing.T, shop *harness.Shop, l *ledger, n int) {
	t.Helper()
	for i := range n {
		o := shop.Order()
		l.ordered(o)
		if i%2 == 0 {
			continue
		}
		expectSuccess(t, shop.Notify(o.Payment("pay-"+o.OrderID)))
		l.acknowledged(o)
	}
}

// expectRefusals orders until an order is refused and sends the notifies of
// what is unpaid: those not acknowledged must be answered 503, for the gateway
// to try again, and at least one is.
func expectRefusals(t *testing.T, shop *harness.Shop, l *ledger) {
	t.Helper()
	const enough = 10_000 // orders: more than the disk holds
	var refusal harness.Answer
	for range enough {
		o, a, err := shop.TryOrder(url.Values{"sku": {"mug"}, "qty": {"1"}})
		if err != nil {
			t.Fatal(err)
		}
		if refusal = a; a.Status != http.StatusOK {
			break
		}
		l.ordered(o)
	}
	expectUnavailable(t, "an order", refusal)
	unpaid, refused := l.unpaid(), 0
	for _, o := range unpaid {
		a := shop.Notify(o.Payment("pay-" + o.OrderID))
		if a.Status == http.StatusOK {
			expectSuccess(t, a)
			l.acknowledged(o)
			continue
		}
		refused++
		expectUnavailable(t, "a notify", a)
	}
	if refused == 0 {
		t.Errorf("all of %d notifies were taken", len(unpaid))
	}
	expectSite(t, shop)
	t.Logf("%d of %d notifies refused", refused, len(unpaid))
}

func expectUnavailable(t *testing.T, what string, a harness.Answer) {
	t.Helper()
	if a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
		t.Errorf("%s is answered HTTP %d, Retry-After %q, want 503: %s", what, a.Status, a.Header.Get("Retry-After"), a.Body)
	}
}

// expectRecovery waits until orders are taken again and sends the refused
// notifies once more, as the gateway does.
func expectRecovery(t *testing.T, shop *harness.Shop, l *ledger) {
	t.Helper()
	harness.Await(t, "an order that is taken", func() bool {
		o, a, err := shop.TryOrder(url.Values{"sku": {"mug"}, "qty": {"1"}})
		if err != nil {
			t.Fatal(err)
		}
		if a.Status == http.StatusOK {
			l.ordered(o)
		}
		return a.Status == http.StatusOK
	})
	for _, o := range l.unpaid() {
		expectSuccess(t, shop.Notify(o.Payment("pay-"+o.OrderID)))
		l.acknowledged(o)
	}
	l.ask(t, shop)
	expectSite(t, shop)
}

func TestFullDisk(t *testing.T) {
	d, ok := newDisk(t)
	if !ok {
		return
	}
	shop := harness.NewShop(t)
	config := d.caddyfile(shop)
	shop.Start(config)
	l := newLedger()
	makeOrders(t, shop, l, 40)

	d.fill()
	expectRefusals(t, shop, l)
	shop.AwaitLog(`"level":"error"`, "answering checkout request", "no space left for the database")
	shop.AwaitLog(`"level":"error"`, "keeping notify", "no space left for the database")
	l.ask(t, shop)
	d.free()
	expectRecovery(t, shop, l)

	// Now it also dies, and comes back to a disk that is still full.
	makeOrders(t, shop, l, 40)
	d.fill()
	expectRefusals(t, shop, l)
	shop.Kill()
	shop.StartWithoutStore(config)
	expectRefusals(t, shop, l)
	d.free()
	expectRecovery(t, shop, l)
	shop.Stop()
	l.audit(t, d.database())
}

func TestReadOnlyDisk(t *testing.T) {
	d, ok := newDisk(t)
	if !ok {
		return
	}
	shop := harness.NewShop(t)
	config := d.caddyfile(shop)
	shop.Start(config)
	l := newLedger()
	makeOrders(t, shop, l, 20)

	// A file that is open for writing keeps its file system from becoming
	// read-only, so Caddy has ended before: by force, so that its log is there.
	shop.Kill()
	d.remount(syscall.MS_RDONLY)
	shop.StartWithoutStore(config)
	expectRefusals(t, shop, l)
	shop.AwaitLog(`"level":"error"`, "opening store", "read-only")
	d.remount(0)
	expectRecovery(t, shop, l)
	shop.AwaitLog("store opened")
	shop.Stop()
	l.audit(t, d.database())
}
