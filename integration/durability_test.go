package integration

import (
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-checkout/checkout/integration/harness"
)

// load orders and notifies from many clients until it is done, and keeps what
// was acknowledged.
type load struct {
	shop *harness.Shop
	done atomic.Bool
	wg   sync.WaitGroup
	acks atomic.Int64

	// Connections that ended without an answer. Some do at each reload of a
	// stock Caddy, too, so browsers and gateways must live with them.
	dropped atomic.Int64

	mu     sync.Mutex
	orders []harness.Order
	paid   map[string]bool // by order id
	failed []string
}

func startLoad(shop *harness.Shop, clients int, atLeast int64) *load {
	l := &load{shop: shop, paid: map[string]bool{}}
	for range clients {
		l.wg.Go(func() {
			for !l.done.Load() || l.acks.Load() < atLeast {
				l.buy()
			}
		})
	}
	return l
}

func (l *load) buy() {
	o, a, err := l.shop.TryOrder(url.Values{"sku": {"mug"}, "qty": {"1"}})
	if err != nil {
		l.dropped.Add(1)
		return
	}
	if a.Status != http.StatusOK {
		l.fail("ordering: HTTP %d %s", a.Status, a.Body)
		return
	}
	l.mu.Lock()
	l.orders = append(l.orders, o)
	l.mu.Unlock()
	l.acks.Add(1)
	form := l.shop.Gateway.NotifyForm(o.Payment("pay-" + o.OrderID))
	a, err = l.shop.TrySend(http.MethodPost, "/checkout/notify", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	if err != nil {
		l.dropped.Add(1)
		return
	}
	if a.Status != http.StatusOK || a.Body != "success" {
		l.fail("notify: HTTP %d %q", a.Status, a.Body)
		return
	}
	l.mu.Lock()
	l.paid[o.OrderID] = true
	l.mu.Unlock()
	l.acks.Add(1)
}

func (l *load) fail(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = append(l.failed, fmt.Sprintf(format, args...))
}

// check asks about everything that was acknowledged.
func (l *load) check(t *testing.T) {
	t.Helper()
	for _, o := range l.orders {
		a := l.shop.Get("/checkout/status?orderid=" + o.OrderID)
		if a.Status != http.StatusOK {
			t.Errorf("order %s was acknowledged and is HTTP %d", o.OrderID, a.Status)
			continue
		}
		var st harness.Status
		a.JSON(t, &st)
		if l.paid[o.OrderID] && st.State != "paid" || st.PayMoney != "39.00" {
			t.Errorf("order %s, payment acknowledged: %t, is %+v", o.OrderID, l.paid[o.OrderID], st)
		}
	}
}

func TestReloadedUnderLoad(t *testing.T) {
	const reloads = 20
	shop := harness.StartShop(t, "limits off")
	shop.Order()
	settle := func() (goroutines, files int) {
		return goroutineCount(t, shop), openStoreFiles(t, shop)
	}
	shop.Reload(shop.Caddyfile("limits off", "expire 3h"))
	goroutines, files := settle()

	l := startLoad(shop, 8, 400)
	for i := range reloads {
		if err := shop.Reload(shop.Caddyfile("limits off", fmt.Sprintf("expire %dh", 1+i%3))); err != nil {
			t.Fatal(err)
		}
	}
	l.done.Store(true)
	l.wg.Wait()
	for _, f := range l.failed {
		t.Error(f)
	}
	t.Logf("%d acknowledged, %d connections dropped in %d reloads", l.acks.Load(), l.dropped.Load(), reloads)
	l.check(t)
	harness.Await(t, fmt.Sprintf("the %d goroutines and %d files of before", goroutines, files), func() bool {
		g, f := settle()
		return g <= goroutines+10 && f <= files+4 // connections of the pools come and go
	})
	if out, err := shop.Validate(shop.Caddyfile()); err != nil {
		t.Errorf("validating beside the running server: %v\n%s", err, out)
	}
}

var profileTotal = regexp.MustCompile(`goroutine profile: total (\d+)`)

func goroutineCount(t *testing.T, shop *harness.Shop) int {
	t.Helper()
	_, profile := shop.Admin(http.MethodGet, "/debug/pprof/goroutine?debug=1", nil)
	m := profileTotal.FindStringSubmatch(profile)
	if m == nil {
		t.Fatalf("no goroutine profile: %s", profile)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// openStoreFiles counts the open files of the store.
func openStoreFiles(t *testing.T, shop *harness.Shop) int {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", shop.PID())
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err == nil && filepath.Base(filepath.Dir(target)) == "checkout" {
			n++
		}
	}
	return n
}

// Without a store nothing is sold, the site stays up, and the shop opens by
// itself when the store can be opened.
func TestWithoutAStore(t *testing.T) {
	shop := harness.NewShop(t)
	dir := filepath.Join(shop.Dir, "orders")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	global := fmt.Sprintf("{\n\tcheckout {\n\t\tstore sqlite %s/orders.db\n\t}\n", dir)
	shop.StartWithoutStore(global + shop.Caddyfile()[len("{\n"):])
	if a := shop.Get("/"); a.Status != http.StatusOK {
		t.Errorf("the site: HTTP %d", a.Status)
	}
	for _, req := range []struct{ method, path string }{
		{"GET", "/checkout?sku=mug"}, {"POST", "/checkout"}, {"POST", "/checkout/notify"},
		{"GET", "/checkout/status?orderid=01ARZ3NDEKTSV4RRFFQ69G5FAV"}, {"GET", "/checkout/return/01ARZ3NDEKTSV4RRFFQ69G5FAV"},
	} {
		a := shop.Send(req.method, req.path, "")
		if a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
			t.Errorf("%s %s: HTTP %d, Retry-After %q, want 503", req.method, req.path, a.Status, a.Header.Get("Retry-After"))
		}
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	harness.Await(t, "the shop to open", func() bool { return shop.Get("/checkout?sku=mug").Status == http.StatusOK })
	shop.Order()
}

// A damaged file is neither used nor touched.
func TestADamagedStore(t *testing.T) {
	shop := harness.StartShop(t)
	o := shop.Order()
	shop.Stop()
	file := filepath.Join(shop.Dir, "data", "caddy", "checkout", "orders.db")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	damaged := append([]byte("this is no database, and it is long enough to be seen as none\n"), whole[64:]...)
	if err := os.WriteFile(file, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	shop.StartWithoutStore(shop.Caddyfile())
	if a := shop.Get("/"); a.Status != http.StatusOK {
		t.Errorf("the site: HTTP %d", a.Status)
	}
	if a := shop.Notify(o.Payment("pay-1")); a.Status != http.StatusServiceUnavailable {
		t.Errorf("notify: HTTP %d %q, want 503", a.Status, a.Body)
	}
	after, err := os.ReadFile(file)
	if err != nil || string(after) != string(damaged) {
		t.Errorf("the damaged file was changed (%v)", err)
	}
	shop.Stop()
	if err := os.WriteFile(file, whole, fs.FileMode(0o600)); err != nil {
		t.Fatal(err)
	}
	shop.Start(shop.Caddyfile())
	if a := shop.Notify(o.Payment("pay-1")); a.Body != "success" {
		t.Errorf("with the file mended: HTTP %d %q", a.Status, a.Body)
	}
}
