package faults

import (
	"database/sql"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/caddy-checkout/checkout/integration/harness"
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
	"github.com/caddy-checkout/checkout/internal/store/sqlite"
	"github.com/caddy-checkout/checkout/internal/webhook"
)

// ledger holds what a shop acknowledged. It is safe for concurrent use.
type ledger struct {
	mu      sync.Mutex
	orders  map[string]harness.Order
	paid    map[string]bool // by order id: a notify was answered success
	answers int
	problem error // the first answer that there must not be
}

func newLedger() *ledger {
	return &ledger{orders: map[string]harness.Order{}, paid: map[string]bool{}}
}

func (l *ledger) ordered(o harness.Order) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.orders[o.OrderID] = o
	l.answers++
}

func (l *ledger) acknowledged(o harness.Order) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paid[o.OrderID] = true
	l.answers++
}

func (l *ledger) fail(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.problem == nil {
		l.problem = fmt.Errorf(format, args...)
	}
}

// progress is how many requests were answered so far, and what was wrong.
func (l *ledger) progress() (answers int, problem error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.answers, l.problem
}

// copy is the ledger as it stands.
func (l *ledger) copy() *ledger {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &ledger{orders: maps.Clone(l.orders), paid: maps.Clone(l.paid)}
}

// since is what came after an earlier copy.
func (l *ledger) since(earlier *ledger) *ledger {
	c := l.copy()
	maps.DeleteFunc(c.orders, func(id string, _ harness.Order) bool {
		_, known := earlier.orders[id]
		return known && c.paid[id] == earlier.paid[id]
	})
	return c
}

// unpaid are the orders whose notify was not acknowledged.
func (l *ledger) unpaid() []harness.Order {
	c := l.copy()
	maps.DeleteFunc(c.orders, func(id string, _ harness.Order) bool { return c.paid[id] })
	return slices.Collect(maps.Values(c.orders))
}

// ask holds what the shop says of every order to the ledger.
func (l *ledger) ask(t *testing.T, shop *harness.Shop) {
	t.Helper()
	for id, o := range l.orders {
		a := shop.Get("/checkout/status?orderid=" + id)
		if a.Status != http.StatusOK {
			t.Errorf("order %s was acknowledged and is answered HTTP %d %s", id, a.Status, a.Body)
			continue
		}
		var st harness.Status
		a.JSON(t, &st)
		if l.paid[id] && st.State != "paid" || st.PayMoney != o.Fields["paymoney"] {
			t.Errorf("order %s, payment acknowledged: %t, is %+v", id, l.paid[id], st)
		}
	}
}

// audit opens the database of a Caddy that has ended. It holds all orders to
// what must be true of any, and those in the ledger to what was acknowledged.
func (l *ledger) audit(t *testing.T, file string) {
	t.Helper()
	expectIntegrity(t, file)
	st, err := sqlite.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	there := map[string]bool{}
	paid, delivered := 0, 0
	err = st.Each(t.Context(), store.Filter{}, func(listed *order.Order) error {
		o, deliveries, err := st.Detail(t.Context(), listed.ID)
		if err != nil {
			return err
		}
		there[o.ID] = true
		want := 0
		if o.State == order.Paid {
			want = 1
			paid++
		}
		if l.paid[o.ID] != (o.State == order.Paid) {
			t.Errorf("order %s, payment acknowledged: %t, is %s", o.ID, l.paid[o.ID], o.State)
		}
		what := map[string]int{}
		for _, e := range o.History {
			what[e.What]++
		}
		if what["created"] != 1 || what["paid"] != want || len(o.History) != 1+want || len(o.Payments) != want {
			t.Errorf("order %s is %s with history %+v and payments %+v", o.ID, o.State, o.History, o.Payments)
		}
		for _, d := range deliveries {
			if d.Type != webhook.TypePaid || len(deliveries) != want {
				t.Errorf("order %s is %s and has %d deliveries, one of type %s", o.ID, o.State, len(deliveries), d.Type)
			}
			if d.State == store.DeliveryDone {
				delivered++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	lost := 0
	for id := range l.orders {
		if !there[id] {
			lost++
			t.Errorf("order %s was acknowledged and is not there", id)
		}
	}
	t.Logf("%d orders acknowledged, %d there, %d lost; %d payments acknowledged, %d orders paid, %d events delivered",
		len(l.orders), len(there), lost, len(l.paid), paid, delivered)
}

func expectIntegrity(t *testing.T, file string) {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity check: %s %v", verdict, err)
	}
}
