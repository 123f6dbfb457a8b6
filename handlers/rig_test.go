package handlers

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/internal/catalog"
	"github.com/caddy-checkout/checkout/internal/gateway"
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/payment"
	"github.com/caddy-checkout/checkout/internal/store"
	"github.com/caddy-checkout/checkout/sign"
)

const (
	testUID      = "10000001400000"
	testToken    = "canary-token-0123456789abcdef"
	testBase     = "https://gateway.example"
	pendingLimit = 1000
	nasty        = `'><script>alert(1)</script>`
)

// memory is the part of a store that the routes reach, with a switch to fail.
type memory struct {
	store.Store
	hub store.Hub

	mu      sync.Mutex
	fail    error
	orders  map[string]order.Order
	orphans int
	watched chan struct{} // gets a token for each Watch, if not nil
}

func (m *memory) failWith(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

func (m *memory) find(shop, id string) (order.Order, error) {
	o, ok := m.orders[id]
	if m.fail != nil {
		return o, m.fail
	}
	if !ok || o.Shop != shop {
		return o, store.ErrNotFound
	}
	o.Payments = slices.Clone(o.Payments)
	return o, nil
}

func (m *memory) Create(_ context.Context, o *order.Order, _ time.Time, limits store.PendingLimits) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	if limits.Total > 0 && len(m.orders) >= limits.Total {
		return &store.LimitError{Limit: limits.Total}
	}
	m.orders[o.ID] = *o
	return nil
}

func (m *memory) Order(_ context.Context, shop, id string) (*order.Order, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o, err := m.find(shop, id)
	if err != nil {
		return nil, err
	}
	return &o, nil
}

func (m *memory) Update(_ context.Context, shop, id, payid string, decide func(store.Subject) (*store.Change, error)) (*order.Order, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o, err := m.find(shop, id)
	if err != nil {
		return nil, err
	}
	sub := store.Subject{Order: o}
	for _, other := range m.orders {
		if other.ID != id && slices.ContainsFunc(other.Payments, func(p order.Payment) bool { return p.PayID == payid }) {
			sub.PayidOf = other.ID
		}
	}
	change, err := decide(sub)
	if err != nil || change == nil {
		return &o, err
	}
	was := o.State
	o = change.Order
	if change.Payment != nil {
		o.Payments = append(o.Payments, *change.Payment)
	}
	m.orders[id] = o
	m.hub.Publish(store.Notice{Shop: shop, ID: id, State: o.State, Was: was})
	return &o, nil
}

func (m *memory) KeepOrphan(context.Context, store.Orphan) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.orphans++
	return true, m.fail
}

func (m *memory) Watch(shop, id string) (<-chan struct{}, func()) {
	changed, stop := m.hub.Watch(shop, id)
	if m.watched != nil {
		m.watched <- struct{}{}
	}
	return changed, stop
}

func (m *memory) ClaimQuestion(context.Context, string, string, time.Time, time.Duration) (bool, error) {
	return false, nil
}

// rig is a shop with its routes.
type rig struct {
	http.Handler
	t       testing.TB
	store   *memory
	service *payment.Service
	config  Config
	heard   *observer
}

type observer struct {
	mu       sync.Mutex
	verdicts []payment.Verdict
}

func (o *observer) OrderCreated(*order.Order)              {}
func (o *observer) StateChanged(*order.Order, order.State) {}
func (o *observer) Alarm(_, _, _ string)                   {}
func (o *observer) BalanceKnown(string, time.Time)         {}
func (o *observer) NotifyAnswered(v payment.Verdict, _ string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.verdicts = append(o.verdicts, v)
}

var products = []catalog.Product{
	{SKU: "mug", Name: "Coffee mug", Price: 3900, Image: "/mug.jpg", URL: "/mug/"},
	{SKU: "茶壶", Name: "手冲茶壶", Price: 12800, Image: "https://cdn.example.com/pot.jpg"},
	{SKU: "a&b", Name: `Salt & "Pepper" ` + nasty, Price: 1},
	{SKU: "gold", Name: "Gold", Price: order.MaxMoney},
}

// newRig makes a shop; set changes its configuration before it starts.
func newRig(t testing.TB, set func(*Config)) *rig {
	t.Helper()
	items := slices.Clone(products)
	for i := range order.MaxLines + 1 {
		items = append(items, catalog.Product{SKU: fmt.Sprint("n", i), Name: "Pin", Price: 100})
	}
	cat, err := catalog.Open(catalog.Config{Inline: items})
	if err != nil {
		t.Fatal(err)
	}
	client, err := gateway.New(gateway.Config{Base: testBase, UID: testUID, Tokens: []string{testToken}, Transport: http.NewFileTransport(http.Dir(t.TempDir()))})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, store: &memory{orders: make(map[string]order.Order)}, heard: new(observer)}
	r.config = Config{
		Service:       func() *payment.Service { return r.service },
		Origin:        "https://shop.example.com",
		Path:          "/checkout",
		GatewayOrigin: testBase,
		Client:        func(*http.Request) string { return "192.0.2.1" },
	}
	if set != nil {
		set(&r.config)
	}
	r.service = payment.New(payment.Config{
		UID: testUID, Gateway: client, GatewayBase: testBase, Origin: "https://shop.example.com", Path: "/checkout",
		Catalog: cat, Fields: r.config.Fields, Observer: r.heard, Limits: store.PendingLimits{Total: pendingLimit},
	}, r.store)
	t.Cleanup(r.service.Close)
	if r.Handler, err = New(r.config); err != nil {
		t.Fatal(err)
	}
	return r
}

// do sends a request with headers given as "Name: value".
func (r *rig) do(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r.t.Helper()
	req := httptest.NewRequest(method, target, strings.NewReader(body))
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	return w
}

// put stores an order of two lines in the state.
func (r *rig) put(state order.State) order.Order {
	r.t.Helper()
	now := time.Now()
	o := order.Order{
		ID: order.NewID(now), Shop: r.service.ID(), State: state, Total: 7801, Language: "en",
		Lines: []order.Line{
			{SKU: "mug", Name: "Coffee mug", Price: 3900, Qty: 2},
			{SKU: "a&b", Name: nasty, Price: 1, Qty: 1},
		},
		CreatedAt: now, ExpiresAt: now.Add(time.Hour),
	}
	switch state {
	case order.Paid:
		o.PaidAt = now
		o.Payments = []order.Payment{
			{PayID: "1", PayMoney: "78.01", RealPay: "0.01", Verdict: "mismatch"},
			{PayID: "2", PayMoney: "78.01", RealPay: "78.01", Verdict: "paid"},
		}
	case order.Review:
		o.Payments = []order.Payment{{PayID: "1", PayMoney: "78.01", RealPay: "0.01", Verdict: "mismatch"}}
	}
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	r.store.orders[o.ID] = o
	return o
}

func (r *rig) orderCount() int {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	return len(r.store.orders)
}

// notifyBody is the signed body of a notify.
func notifyBody(t testing.TB, payid, orderid, paymoney, realpay string) string {
	t.Helper()
	key, err := sign.Notify.Key(testToken, payid, orderid, "", paymoney, realpay)
	if err != nil {
		t.Fatal(err)
	}
	return "payid=" + payid + "&orderid=" + orderid + "&orderuid=&paymoney=" + paymoney + "&realpay=" + realpay + "&key=" + key
}
