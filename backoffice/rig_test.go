package backoffice

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/internal/catalog"
	"github.com/caddy-checkout/checkout/internal/gateway"
	"github.com/caddy-checkout/checkout/internal/merchant"
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/payment"
	"github.com/caddy-checkout/checkout/internal/store"
	"github.com/caddy-checkout/checkout/internal/store/sqlite"
	"github.com/caddy-checkout/checkout/sign"
)

const (
	token = "0123456789abcdef0123456789abcdef"
	hook  = "https://hooks.example.com/orders"
	nasty = `'"><script>alert(1)</script><img src=x onerror=alert(1)>{{.}}`
)

// noon is noon in Beijing.
var noon = time.Date(2026, 3, 10, 4, 0, 0, 0, time.UTC)

// rig is an office over a real store and a real shop.
type rig struct {
	t      testing.TB
	office *Office
	st     store.Store
	shop   *payment.Service
	desk   func() (*merchant.Desk, error)
	end    chan struct{}
	now    func() time.Time
	set    func(time.Time)
	status string // what the gateway answers: a status
	mu     sync.Mutex
}

// newRig makes an office; change may change its configuration.
func newRig(t testing.TB, change ...func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, end: make(chan struct{}), status: gateway.StatusWaiting}
	clock := noon
	r.now = func() time.Time { r.mu.Lock(); defer r.mu.Unlock(); return clock }
	r.set = func(at time.Time) { r.mu.Lock(); defer r.mu.Unlock(); clock = at }

	gw := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		_ = json.NewEncoder(w).Encode(map[string]string{
			"msg": "", "orderid": q.FormValue("orderid"), "payid": "", "paymoney": "39.00", "realpay": "", "status": r.status,
		})
	}))
	t.Cleanup(gw.Close)
	cat, err := catalog.Open(catalog.Config{Inline: []catalog.Product{
		{SKU: "mug", Name: "Coffee mug", Price: 3900},
		{SKU: "pot", Name: "手冲咖啡壶", Price: 12800},
		{SKU: "a&b", Name: nasty, Price: 1},
	}})
	if err != nil {
		t.Fatal(err)
	}
	client, err := gateway.New(gateway.Config{Base: gw.URL, UID: "10000001400000", Tokens: []string{token}})
	if err != nil {
		t.Fatal(err)
	}
	if r.st, err = sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "orders.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.st.Close() })
	var fields []payment.BuyerField
	for name := range payment.BuyerFields {
		fields = append(fields, payment.BuyerField{Name: name})
	}
	r.shop = payment.New(payment.Config{
		UID: "10000001400000", Gateway: client, GatewayBase: gw.URL, Origin: "https://shop.example.com", Path: "/checkout",
		Catalog: cat, Fields: fields, Webhooks: []string{hook}, MailMerchant: true, Now: r.now,
	}, r.st)
	t.Cleanup(r.shop.Close)
	r.desk = func() (*merchant.Desk, error) {
		return &merchant.Desk{Store: r.st, Shops: map[string]*payment.Service{r.shop.ID(): r.shop}}, nil
	}
	c := Config{Desk: func() (*merchant.Desk, error) { return r.desk() }, End: r.end, Now: r.now}
	for _, f := range change {
		f(&c)
	}
	if r.office, err = New(c); err != nil {
		t.Fatal(err)
	}
	return r
}

// buy makes an order of a mug, or of the items.
func (r *rig) buy(buyer order.Buyer, items ...payment.Item) *order.Order {
	r.t.Helper()
	if items == nil {
		items = []payment.Item{{SKU: "mug", Qty: 1}}
	}
	o, _, err := r.shop.Begin(r.t.Context(), payment.Purchase{Items: items, Buyer: buyer, Client: "192.0.2.7", Language: "zh"})
	if err != nil {
		r.t.Fatal(err)
	}
	return o
}

// pay sends a genuine notify; realpay "" is what the order asks for.
func (r *rig) pay(payid string, o *order.Order, realpay string) {
	r.t.Helper()
	n := gateway.Notify{PayID: payid, OrderID: o.ID, PayMoney: o.Total.String(), RealPay: cmp.Or(realpay, o.Total.String())}
	var err error
	if n.Key, err = sign.Notify.Key(token, n.PayID, n.OrderID, "", n.PayMoney, n.RealPay); err != nil {
		r.t.Fatal(err)
	}
	if _, err = r.shop.Notify(r.t.Context(), n); err != nil {
		r.t.Fatal(err)
	}
}

// giveUp lets every delivery that is due fail for good.
func (r *rig) giveUp(answer string) {
	r.t.Helper()
	list, err := r.st.ClaimDeliveries(r.t.Context(), "webhook:"+hook, r.now(), time.Minute, 100)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, d := range list {
		a := store.Attempt{At: r.now(), Took: 120 * time.Millisecond, Status: http.StatusBadGateway, Answer: answer}
		if err := r.st.RecordAttempt(r.t.Context(), d.ID, a, store.DeliveryFailed, time.Time{}); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *rig) detail(id string) *merchant.Detail {
	r.t.Helper()
	desk, err := r.desk()
	if err != nil {
		r.t.Fatal(err)
	}
	d, err := desk.Order(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

// do serves a request of alice; headers are "Name: value".
func (r *rig) do(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r.t.Helper()
	return r.doAs("alice", method, target, body, headers...)
}

func (r *rig) doAs(user, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r.t.Helper()
	req := httptest.NewRequestWithContext(r.t.Context(), method, target, strings.NewReader(body))
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	r.office.Serve(w, req, Visitor{User: user, Path: req.URL.Path})
	return w
}

// page gets a page that must be there.
func (r *rig) page(target string, headers ...string) string {
	r.t.Helper()
	w := r.do(http.MethodGet, target, "", headers...)
	if w.Code != http.StatusOK {
		r.t.Fatalf("%s: status %d\n%s", target, w.Code, w.Body)
	}
	return w.Body.String()
}

var seenField = regexp.MustCompile(`name="seen" value="(\w+)"`)

// press fills in a form of an order's page as it stands and sends it.
func (r *rig) press(id, action string, fields ...string) *httptest.ResponseRecorder {
	r.t.Helper()
	form := url.Values{"seen": {sight(r.detail(id).Order)}}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, "=")
		form.Set(name, value)
	}
	return r.do(http.MethodPost, "/admin/orders/"+id+"/"+action, form.Encode())
}

// serve runs the office on a port of its own.
func (r *rig) serve() string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.office.Serve(w, q, Visitor{User: "alice", Path: q.URL.Path})
	}))
	r.t.Cleanup(s.Close)
	return s.URL + "/admin/"
}

// says sets what the gateway answers.
func (r *rig) says(status string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}
