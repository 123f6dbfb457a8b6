// Package cluster tests shops that several Caddy processes serve from one
// PostgreSQL: who asks, who delivers and who answers while nodes and database
// come and go.
package cluster

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/integration/harness"
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store/postgres"
	"github.com/caddy-checkout/checkout/internal/store/postgres/pgtest"
)

func TestMain(m *testing.M) { harness.Main(m) }

// cluster is one shop on two nodes, with a database of its own, and the
// receiver of its webhooks.
type cluster struct {
	nodes    [2]*harness.Shop
	receiver *harness.Receiver
	dsn      string

	t testing.TB
}

// hookSecret signs webhooks in tests.
const hookSecret = "whsec_Y2FuYXJ5LWhvb2stc2VjcmV0LW9mLTMyLWJ5dGVz"

// newCluster makes a cluster whose nodes do not run yet.
func newCluster(t testing.TB, pg *pgtest.Server, receiver *harness.Receiver) *cluster {
	t.Helper()
	c := &cluster{
		nodes:    [2]*harness.Shop{harness.NewShop(t), harness.NewShop(t)},
		receiver: receiver,
		dsn:      pg.Schema(t),
		t:        t,
	}
	c.nodes[1].Gateway = c.nodes[0].Gateway
	for _, n := range c.nodes {
		n.Env = append(n.Env, "CHECKOUT_DSN="+c.dsn, "CHECKOUT_HOOK_SECRET="+hookSecret)
	}
	return c
}

// startCluster makes a cluster and runs both nodes.
func startCluster(t testing.TB, pg *pgtest.Server, receiver *harness.Receiver) *cluster {
	t.Helper()
	c := newCluster(t, pg, receiver)
	for i := range c.nodes {
		c.start(i)
	}
	return c
}

func (c *cluster) start(node int) {
	c.t.Helper()
	c.nodes[node].Start(c.caddyfile(node))
	awaitStore(c.t, c.nodes[node])
}

// awaitStore waits until a node has opened its store, for which Caddy's own
// start waits only so long.
func awaitStore(t testing.TB, n *harness.Shop) {
	t.Helper()
	harness.Await(t, "the store to open", func() bool {
		return n.Get("/checkout/status?orderid="+order.NewID(time.Now())).Status == http.StatusNotFound
	})
}

// caddyfile is that of a node, with further lines for its checkout block. Both
// are one shop: its origin is the first one's.
func (c *cluster) caddyfile(node int, block ...string) string {
	n := c.nodes[node]
	block = append(block, "limits off", "webhook "+c.receiver.URL+"/hook {env.CHECKOUT_HOOK_SECRET}")
	return strings.NewReplacer(
		"origin "+n.Origin, "origin "+c.nodes[0].Origin,
		"{\n\tmetrics\n}", "{\n\tmetrics\n\tcheckout {\n\t\tstore postgres {env.CHECKOUT_DSN}\n\t}\n\tlog {\n\t\tlevel WARN\n\t}\n}",
	).Replace(n.Caddyfile(block...))
}

// store opens the cluster's store, as one more node.
func (c *cluster) store() *postgres.Store {
	c.t.Helper()
	st, err := postgres.Open(c.t.Context(), c.dsn, postgres.Options{})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { st.Close() })
	return st
}

var paidTransitions = regexp.MustCompile(`(?m)^caddy_checkout_order_state_changes_total\{.*state="paid".*\} (\d+)$`)

// transitions is how often a node says that it took an order as paid.
func transitions(t testing.TB, n *harness.Shop) int {
	t.Helper()
	sum := 0
	for _, m := range paidTransitions.FindAllStringSubmatch(n.Get("/metrics").Body, -1) {
		v, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		sum += v
	}
	return sum
}

func expectSite(t testing.TB, n *harness.Shop) {
	t.Helper()
	if a := n.Get("/"); a.Status != http.StatusOK || a.Body != "the static site" {
		t.Errorf("the site answers HTTP %d %q", a.Status, a.Body)
	}
}

// expectSuccess fails the test unless a notify was acknowledged.
func expectSuccess(t testing.TB, a harness.Answer) {
	t.Helper()
	if !acknowledged(a) {
		t.Errorf("a notify is answered HTTP %d %q, want success", a.Status, a.Body)
	}
}

func acknowledged(a harness.Answer) bool { return a.Status == http.StatusOK && a.Body == "success" }

func payid(n int) string { return fmt.Sprintf("pay-%d", n) }
