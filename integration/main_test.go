// Package integration tests the whole of it: real Caddy processes, real HTTP,
// files on disk, and a gateway that shares no code with the plugin.
package integration

import (
	"testing"

	"github.com/caddy-checkout/checkout/integration/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
