package cluster

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/integration/harness"
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
	"github.com/caddy-checkout/checkout/internal/store/postgres/pgtest"
)

// TestCluster has one PostgreSQL for all tests, each of which has a schema of
// its own.
func TestCluster(t *testing.T) {
	pg := pgtest.Start(t)
	for _, tt := range []struct {
		name string
		run  func(t *testing.T, pg *pgtest.Server)
	}{
		{"one notify a thousand times", testThousandNotifies},
		{"a wait on the other node", testWait},
		{"one question for all nodes", testQuestions},
		{"killed in mid-delivery", testKilledInDelivery},
		{"killed under load", testKilledUnderLoad},
		{"reloaded under load", testReloadedUnderLoad},
		{"database restarted under load", testDatabaseRestarted},
		{"migration killed", testMigrationKilled},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, pg) })
	}
}

// However often and wherever it is told, an order is paid once, and the
// merchant hears of it once.
func testThousandNotifies(t *testing.T, pg *pgtest.Server) {
	c := startCluster(t, pg, harness.NewReceiver(t, nil))
	o := c.nodes[0].Order()
	p := o.Payment("pay-1")
	var wg sync.WaitGroup
	for worker := range 40 {
		wg.Go(func() {
			for range 25 {
				expectSuccess(t, c.nodes[worker%2].Notify(p))
			}
		})
	}
	wg.Wait()
	if n := transitions(t, c.nodes[0]) + transitions(t, c.nodes[1]); n != 1 {
		t.Errorf("the nodes took the order as paid %d times", n)
	}
	for _, n := range c.nodes {
		if st := n.Status(o.OrderID); st.State != "paid" {
			t.Errorf("a node says that the order is %s", st.State)
		}
	}
	st := c.store()
	harness.Await(t, "the delivery to be done", func() bool {
		_, deliveries, err := st.Detail(t.Context(), o.OrderID)
		return err == nil && len(deliveries) == 1 && deliveries[0].State == store.DeliveryDone
	})
	got, deliveries, err := st.Detail(t.Context(), o.OrderID)
	if err != nil {
		t.Fatal(err)
	}
	if got.State != order.Paid || len(got.Payments) != 1 || entries(got, "paid") != 1 || len(got.History) != 2 || len(deliveries) != 1 || deliveries[0].Attempts != 1 {
		t.Errorf("order %+v, deliveries %+v", got, deliveries)
	}
	if n := len(c.receiver.Deliveries()); n != 1 {
		t.Errorf("the receiver got %d webhooks", n)
	}
}

// A buyer who waits at one node hears of a notify at the other. A wait that
// ends by itself would find the order paid as well: of a few waits one must
// end early.
func testWait(t *testing.T, pg *pgtest.Server) {
	const longest = 30 // seconds, the most that status allows
	c := startCluster(t, pg, harness.NewReceiver(t, nil))
	for try := 1; ; try++ {
		o := c.nodes[0].Order()
		answers := make(chan harness.Answer, 1)
		began := time.Now()
		go func() {
			answers <- c.nodes[1].Get(fmt.Sprintf("/checkout/status?orderid=%s&wait=%d", o.OrderID, longest))
		}()
		harness.Await(t, "somebody to wait at the other node", func() bool {
			_, goroutines := c.nodes[1].Admin(http.MethodGet, "/debug/pprof/goroutine?debug=1", nil)
			return strings.Contains(goroutines, "payment.(*Service).Wait") || len(answers) > 0
		})
		expectSuccess(t, c.nodes[0].Notify(o.Payment(payid(try))))
		a := <-answers
		took := time.Since(began)
		var st harness.Status
		a.JSON(t, &st)
		if took < longest*time.Second {
			if st.State != "paid" {
				t.Errorf("woken to find the order %s", st.State)
			}
			return
		}
		if try == 3 {
			t.Fatalf("nobody was woken in %d tries", try)
		}
	}
}

// Whoever asks wherever, the gateway is asked about an order once a minute.
func testQuestions(t *testing.T, pg *pgtest.Server) {
	c := startCluster(t, pg, harness.NewReceiver(t, nil))
	o := c.nodes[0].Order()
	var wg sync.WaitGroup
	for buyer := range 20 {
		wg.Go(func() {
			for range 5 {
				if st := c.nodes[buyer%2].Status(o.OrderID); st.State != "pending" {
					t.Errorf("the order is %s", st.State)
				}
			}
		})
	}
	wg.Wait()
	asked := c.nodes[0].Gateway.Questions(o.OrderID)
	if len(asked) == 0 {
		t.Fatal("the gateway was not asked")
	}
	for i := 1; i < len(asked); i++ {
		// The claims are a minute apart; on the way they may come closer.
		if d := asked[i].Sub(asked[i-1]); d < 50*time.Second {
			t.Errorf("the gateway was asked again after %s", d)
		}
	}
}

// A node dies while the receiver has its webhook and has not answered. When
// its lease is over, the other node delivers the event, under the same id.
func testKilledInDelivery(t *testing.T, pg *pgtest.Server) {
	arrived, release := make(chan struct{}), make(chan struct{})
	var calls atomic.Int64
	receiver := harness.NewReceiver(t, func(harness.Delivery) int {
		if calls.Add(1) == 1 {
			close(arrived)
			<-release
		}
		return http.StatusNoContent
	})
	defer close(release)
	c := newCluster(t, pg, receiver)
	c.start(0)
	o := c.nodes[0].Order()
	expectSuccess(t, c.nodes[0].Notify(o.Payment("pay-1")))
	select {
	case <-arrived:
	case <-time.After(harness.Failsafe):
		t.Fatal("nothing arrived")
	}
	c.nodes[0].Kill() // before it gives up by itself
	c.start(1)

	st := c.store()
	_, deliveries, err := st.Detail(t.Context(), o.OrderID)
	if err != nil || len(deliveries) != 1 {
		t.Fatalf("deliveries %+v: %v", deliveries, err)
	}
	d := deliveries[0]
	if d.State != store.DeliveryPending || d.Attempts != 0 {
		t.Fatalf("after the kill the delivery is %+v", d)
	}
	awaitDelivered(t, st)
	got := receiver.Deliveries()
	if len(got) != 2 || got[0].Header.Get("Webhook-Id") != d.EventID || got[1].Header.Get("Webhook-Id") != d.EventID {
		t.Errorf("%d webhooks arrived, want two of event %s", len(got), d.EventID)
	}
	if st := c.nodes[1].Status(o.OrderID); st.State != "paid" {
		t.Errorf("the other node says that the order is %s", st.State)
	}
}

// A node dies and comes back; the other one serves all buyers meanwhile.
func testKilledUnderLoad(t *testing.T, pg *pgtest.Server) {
	c := startCluster(t, pg, harness.NewReceiver(t, nil))
	l := startLoad(c)
	l.awaitServed(t, 100)
	// Not after the kill: all buyers might come to wait at the socket, which
	// stays open, before they know.
	l.dead[0].Store(true)
	c.nodes[0].Kill()
	l.awaitServed(t, 100)
	c.start(0) // whose socket stayed open: whoever still waits there is served
	l.dead[0].Store(false)
	l.awaitServed(t, 50)
	l.end()
	l.audit(t)
}

// A node is reloaded while both sell.
func testReloadedUnderLoad(t *testing.T, pg *pgtest.Server) {
	c := startCluster(t, pg, harness.NewReceiver(t, nil))
	l := startLoad(c)
	for i := range 3 {
		l.awaitServed(t, 50)
		if err := c.nodes[0].Reload(c.caddyfile(0, fmt.Sprintf("expire %dh", 3+i))); err != nil {
			t.Fatal(err)
		}
	}
	l.awaitServed(t, 50)
	l.end()
	l.audit(t)
}

// Without the database there is 503 and the static site; with it all goes on,
// and nobody has to help.
func testDatabaseRestarted(t *testing.T, pg *pgtest.Server) {
	c := startCluster(t, pg, harness.NewReceiver(t, nil))
	l := startLoad(c)
	l.awaitServed(t, 100)
	if err := pg.Stop(); err != nil {
		t.Fatal(err)
	}
	l.awaitUnavailable(t)
	for _, n := range c.nodes {
		expectSite(t, n)
	}
	if err := pg.Resume(); err != nil {
		t.Fatal(err)
	}
	l.awaitServed(t, 100)
	l.end()
	if l.dropped > 0 {
		t.Errorf("%d requests were not answered", l.dropped)
	}
	l.audit(t)
}
