// Package faults tests what a shop survives: its process killed, its disk full,
// its file damaged, its gateway or its merchant's systems in trouble, a flood.
// Caddy is a real process with a real database file.
package faults

import (
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-checkout/checkout/integration/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

const formType = "application/x-www-form-urlencoded"

// hookSecret signs webhooks in tests. No log may ever hold what follows whsec_.
const hookSecret = "whsec_Y2FuYXJ5LWhvb2stc2VjcmV0LW9mLTMyLWJ5dGVz"

// quiet is a global option: log only what is wrong.
const quiet = "log {\n\t\tlevel WARN\n\t}"

// with adds global options to a Caddyfile of the harness.
func with(caddyfile string, options ...string) string {
	return strings.Replace(caddyfile, "{\n", "{\n\t"+strings.Join(options, "\n\t")+"\n", 1)
}

// database is where a shop keeps its orders unless it is told otherwise.
func database(shop *harness.Shop) string {
	return filepath.Join(shop.Dir, "data", "caddy", "checkout", "orders.db")
}

// number reads a number from the environment.
func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// seeded returns random numbers from CHECKOUT_SEED (default: at random).
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := number(t, "CHECKOUT_SEED", rand.Uint64N(1<<40))
	t.Logf("CHECKOUT_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// expectSite fails the test unless the static site is served.
func expectSite(t *testing.T, shop *harness.Shop) {
	t.Helper()
	if a := shop.Get("/"); a.Status != http.StatusOK || a.Body != "the static site" {
		t.Errorf("the site answers HTTP %d %q", a.Status, a.Body)
	}
}

// expectSuccess fails the test unless a notify was acknowledged.
func expectSuccess(t *testing.T, a harness.Answer) {
	t.Helper()
	if a.Status != http.StatusOK || a.Body != "success" {
		t.Errorf("a notify is answered HTTP %d %q, want success", a.Status, a.Body)
	}
}
