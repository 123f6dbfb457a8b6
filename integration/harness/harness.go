// Package harness lets tests use real parts: Caddy as a process of its own, a
// payment gateway written from the protocol alone, a receiver of webhooks and
// a browser.
//
// Caddy is the test binary itself, started once more: it holds the same
// modules as cmd/caddy, is built with the race detector when the test is, and
// go test knows when it is out of date.
package harness

import (
	"os"
	"testing"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	// What cmd/caddy is made of.
	_ "github.com/caddy-checkout/checkout"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

// Failsafe bounds every wait. No test depends on its length: it only turns
// what would hang into a failure.
const Failsafe = 2 * time.Minute

// asCaddy in the environment makes the test binary be Caddy.
const asCaddy = "CHECKOUT_TEST_AS_CADDY"

// Main is for TestMain: it runs the tests, or Caddy in a process that a test
// has started.
func Main(m *testing.M) {
	if os.Getenv(asCaddy) != "" {
		caddycmd.Main()
		os.Exit(0) // a command that ends well returns
	}
	code := m.Run()
	endChromium()
	os.Exit(code)
}

// Missing ends a test whose part is not on this machine: it is skipped, or
// fails where CHECKOUT_TEST_REQUIRE_ALL is 1.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CHECKOUT_TEST_REQUIRE_ALL") == "1" {
		t.Fatalf("missing %s, and CHECKOUT_TEST_REQUIRE_ALL=1 requires it", what)
	}
	t.Skipf("missing %s", what)
}
