package faults

import (
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/caddy-checkout/checkout/integration/harness"
)

// Flipped bits in the file: whatever can still be read, nothing becomes paid
// by it, the site stays up, and the log says what is wrong.
func TestDamagedFile(t *testing.T) {
	const rounds = 12
	random := seeded(t)
	shop := harness.NewShop(t)
	config := with(shop.Caddyfile("limits off"), quiet)
	shop.Start(config)
	l := newLedger()
	for i := range 60 {
		o := shop.Order()
		l.ordered(o)
		if i%3 == 0 {
			expectSuccess(t, shop.Notify(o.Payment("pay-"+o.OrderID)))
			l.acknowledged(o)
		}
	}
	shop.Stop()
	file := database(shop)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}

	unread, refused := 0, 0
	for round := range rounds {
		torn := append([]byte(nil), whole...)
		for range 1 << min(round, 11) {
			torn[random.IntN(len(torn))] ^= 1 << random.IntN(8)
		}
		for _, left := range []string{"-wal", "-shm"} {
			if err := os.Remove(file + left); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(file, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		shop.StartWithoutStore(config)
		expectSite(t, shop)
		for _, o := range l.unpaid() {
			unread += expectUnpaid(t, shop, o)
		}
		_, a, err := shop.TryOrder(url.Values{"sku": {"mug"}, "qty": {"1"}})
		if err != nil || a.Status != http.StatusOK && a.Status != http.StatusServiceUnavailable {
			t.Errorf("ordering: HTTP %d %v %s", a.Status, err, a.Body)
		}
		if a.Status != http.StatusOK {
			refused++
		}
		expectSite(t, shop)
		shop.Kill()
	}
	t.Logf("%d of %d damaged files took no order, %d of %d orders were unreadable", refused, rounds, unread, rounds*len(l.unpaid()))
	if logs := shop.Logs(); unread+refused > 0 && !strings.Contains(logs, "database is damaged") {
		t.Error("the log does not say that the database is damaged")
	}
	if unread+refused == 0 {
		t.Error("no damage was noticed: the test does not reach what it damages")
	}
}

// expectUnpaid fails the test if an order is taken as paid. It counts 1 if the
// order could not be read.
func expectUnpaid(t *testing.T, shop *harness.Shop, o harness.Order) int {
	t.Helper()
	a := shop.Get("/checkout/status?orderid=" + o.OrderID)
	switch a.Status {
	case http.StatusOK:
		var st harness.Status
		a.JSON(t, &st)
		if st.State == "paid" || st.Status == "0" {
			t.Errorf("the damage paid order %s: %+v", o.OrderID, st)
		}
		return 0
	case http.StatusNotFound, http.StatusServiceUnavailable:
		return 1
	}
	t.Errorf("the status of order %s is answered HTTP %d %s", o.OrderID, a.Status, a.Body)
	return 1
}
