package cluster

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/integration/harness"
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
	"github.com/caddy-checkout/checkout/internal/store/postgres"
)

// load is buyers who order and pay at both nodes until it ends, and the books
// of what they were told.
type load struct {
	c    *cluster
	wg   sync.WaitGroup
	over atomic.Bool
	dead [2]atomic.Bool // nodes that nobody turns to

	mu          sync.Mutex
	paid        map[string]bool // acknowledged orders: whether their payment was, too
	unavailable [2]int          // answers 503 of each node
	served      [2]int          // acknowledged orders and payments of each node
	dropped     int             // requests without an answer
	problems    []string
}

// buyers are few and slow: the tests are about what happens to them, not about
// how many there are.
const (
	buyers = 8
	pace   = 10 * time.Millisecond
)

func startLoad(c *cluster) *load {
	l := &load{c: c, paid: make(map[string]bool)}
	for i := range buyers {
		l.wg.Go(func() {
			for n := 0; !l.over.Load(); n++ {
				l.buy(i, n)
				time.Sleep(pace)
			}
		})
	}
	return l
}

// end lets every buyer pay what was ordered.
func (l *load) end() {
	l.over.Store(true)
	l.wg.Wait()
}

// buy orders once and then has the gateway notify until it is acknowledged.
func (l *load) buy(buyer, n int) {
	node := l.alive(buyer + n)
	o, a, err := l.c.nodes[node].TryOrder(url.Values{"sku": {"mug"}, "qty": {"1"}})
	if !l.answered(node, "an order", a, err, a.Status == http.StatusOK) {
		return
	}
	l.ordered(o)
	form := l.c.nodes[0].Gateway.NotifyForm(o.Payment(fmt.Sprintf("pay-%d-%d", buyer, n))).Encode()
	deadline := time.Now().Add(harness.Failsafe)
	for try := 1; ; try++ {
		node := l.alive(buyer + n + try)
		a, err := l.c.nodes[node].TrySend(http.MethodPost, "/checkout/notify", form, "Content-Type", "application/x-www-form-urlencoded")
		if l.answered(node, "a notify", a, err, acknowledged(a)) {
			break
		}
		if time.Now().After(deadline) {
			l.problem("the notify of %s was never acknowledged", o.OrderID)
			return
		}
		time.Sleep(pace)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paid[o.OrderID] = true
}

// alive picks a node.
func (l *load) alive(n int) int {
	if n %= len(l.c.nodes); !l.dead[n].Load() {
		return n
	}
	return 1 - n
}

// answered books an answer and reports whether it is the good one.
func (l *load) answered(node int, what string, a harness.Answer, err error, good bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err != nil:
		l.dropped++
	case good:
		l.served[node]++
	case a.Status == http.StatusServiceUnavailable && a.Header.Get("Retry-After") != "":
		l.unavailable[node]++
	default:
		l.problems = append(l.problems, fmt.Sprintf("%s is answered HTTP %d %q", what, a.Status, a.Body))
	}
	return err == nil && good
}

func (l *load) ordered(o harness.Order) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paid[o.OrderID] = false
}

func (l *load) problem(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.problems = append(l.problems, fmt.Sprintf(format, args...))
}

// awaitServed waits until each node in use has served so many more requests.
func (l *load) awaitServed(t testing.TB, more int) {
	t.Helper()
	l.mu.Lock()
	before := l.served
	l.mu.Unlock()
	harness.Await(t, "the nodes to serve buyers", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		for i, n := range l.served {
			if n < before[i]+more && !l.dead[i].Load() {
				return false
			}
		}
		return true
	})
}

// awaitUnavailable waits until each node has answered 503.
func (l *load) awaitUnavailable(t testing.TB) {
	t.Helper()
	harness.Await(t, "503 from both nodes", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.unavailable[0] > 0 && l.unavailable[1] > 0
	})
}

// audit holds the store to the books: nothing that was acknowledged is lost,
// and nothing happened twice. It waits until all events are delivered.
func (l *load) audit(t testing.TB) {
	t.Helper()
	for _, p := range l.problems {
		t.Error(p)
	}
	st := l.c.store()
	awaitDelivered(t, st)
	there := make(map[string]bool)
	eventOf := make(map[string]string) // by order
	err := st.Each(t.Context(), store.Filter{}, func(listed *order.Order) error {
		o, deliveries, err := st.Detail(t.Context(), listed.ID)
		if err != nil {
			return err
		}
		there[o.ID] = true
		want := 0
		if o.State == order.Paid {
			want = 1
		}
		if len(deliveries) != want || len(o.Payments) != want || entries(o, "paid") != want || entries(o, "created") != 1 || len(o.History) != 1+want {
			t.Errorf("order %s is %s with payments %+v, history %+v and %d deliveries", o.ID, o.State, o.Payments, o.History, len(deliveries))
		}
		if paid, known := l.paid[o.ID]; known && paid && want == 0 {
			t.Errorf("order %s is %s, though its payment was acknowledged", o.ID, o.State)
		}
		for _, d := range deliveries {
			eventOf[o.ID] = d.EventID
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for id := range l.paid {
		if !there[id] {
			t.Errorf("order %s was acknowledged and is lost", id)
		}
	}
	arrived := make(map[string]bool)
	for _, d := range l.c.receiver.Deliveries() {
		arrived[d.Header.Get("Webhook-Id")] = true
	}
	events := make(map[string]bool)
	for id, event := range eventOf {
		events[event] = true
		if !arrived[event] {
			t.Errorf("the receiver never heard of order %s", id)
		}
	}
	if !maps.Equal(events, arrived) {
		t.Errorf("%d orders were paid, and the receiver heard of %d events", len(events), len(arrived))
	}
	t.Logf("%d orders acknowledged, %d there, %d paid; served %v, unavailable %v, %d without an answer",
		len(l.paid), len(there), len(eventOf), l.served, l.unavailable, l.dropped)
}

// awaitDelivered waits until no delivery is pending. Leases of nodes that died,
// or that could not record what they did, are ended once instead of waited for.
func awaitDelivered(t testing.TB, st *postgres.Store) {
	t.Helper()
	ended := make(map[string]bool)
	harness.Await(t, "all events to be delivered", func() bool {
		pending := 0
		for cursor, more := "", true; more; more = cursor != "" {
			page, next, err := st.Deliveries(t.Context(), "", store.DeliveryPending, cursor, 1000)
			if err != nil {
				t.Fatal(err)
			}
			cursor = next
			pending += len(page)
			for _, d := range page {
				if d.NextAt.After(time.Now()) && !ended[d.ID] {
					ended[d.ID] = true
					if err := st.Redeliver(t.Context(), d.ID, time.Now()); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		return pending == 0
	})
}

func entries(o *order.Order, what string) int {
	return len(slices.DeleteFunc(slices.Clone(o.History), func(e order.Entry) bool { return e.What != what }))
}
