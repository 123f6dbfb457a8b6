package payment

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/internal/catalog"
	"github.com/caddy-checkout/checkout/internal/gateway"
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
	"github.com/caddy-checkout/checkout/internal/store/sqlite"
)

const token = "0123456789abcdef0123456789abcdef"

// fakeGateway answers status queries from a table and counts them.
type fakeGateway struct {
	*httptest.Server
	mu      sync.Mutex
	replies map[string]map[string]string // by order id
	asked   map[string][]time.Time
	now     func() time.Time
	down    bool
}

func newGateway(t *testing.T) *fakeGateway {
	g := &fakeGateway{replies: make(map[string]map[string]string), asked: make(map[string][]time.Time), now: time.Now}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		if r.URL.Path == "/requstBalance.action" {
			_ = json.NewEncoder(w).Encode(map[string]string{"balance": "5.94", "msg": "", "reqtime": r.FormValue("reqtime"), "status": "0", "uid": r.FormValue("uid")})
			return
		}
		id := r.FormValue("orderid")
		g.asked[id] = append(g.asked[id], g.now())
		if g.down {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		reply := map[string]string{"msg": "", "orderid": id, "payid": "", "paymoney": "39.00", "realpay": "", "status": "-1"}
		for k, v := range g.replies[id] {
			reply[k] = v
		}
		_ = json.NewEncoder(w).Encode(reply)
	}))
	t.Cleanup(g.Close)
	return g
}

func (g *fakeGateway) says(id string, reply map[string]string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.replies[id] = reply
}

func (g *fakeGateway) questions(id string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.asked[id])
}

// clock is a clock that tests move. Its times carry no monotonic reading.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// newService makes a shop that sells a mug for 39.00. st may be nil for tests
// that store nothing.
func newService(t *testing.T, st store.Store, change ...func(*Config)) *Service {
	t.Helper()
	cat, err := catalog.Open(catalog.Config{Inline: []catalog.Product{
		{SKU: "mug", Name: "Coffee mug", Price: 3900},
		{SKU: "dear", Name: "Dear & fine", Price: order.MaxMoney},
		{SKU: "hook", Name: "With a webhook", Price: 100, Webhooks: []string{"https://hooks.example.com/b"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	c := Config{
		UID: "10000001400000", GatewayBase: gateway.DefaultBase, Origin: "https://shop.example.com", Path: "/checkout",
		Catalog: cat, Webhooks: []string{"https://hooks.example.com/a"},
	}
	for _, f := range change {
		f(&c)
	}
	if c.Gateway, err = gateway.New(gateway.Config{Base: c.GatewayBase, UID: c.UID, Tokens: []string{token}}); err != nil {
		t.Fatal(err)
	}
	s := New(c, st)
	t.Cleanup(s.Close)
	return s
}

type shop struct {
	*Service
	st    store.Store
	gw    *fakeGateway
	clock *clock
}

func newShop(t *testing.T, change ...func(*Config)) *shop {
	t.Helper()
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "orders.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	gw, clock := newGateway(t), &clock{t: noon}
	gw.now = clock.now
	change = append([]func(*Config){func(c *Config) { c.GatewayBase, c.Now = gw.URL, clock.now }}, change...)
	return &shop{newService(t, st, change...), st, gw, clock}
}

func (s *shop) buy(t *testing.T) *order.Order {
	t.Helper()
	o, _, err := s.Begin(t.Context(), Purchase{Items: []Item{{"mug", 1}}, Client: "192.0.2.1", Language: "en"})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func (s *shop) state(t *testing.T, id string) order.State {
	t.Helper()
	o, err := s.Order(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return o.State
}

// signed is a notify with a key made by its own lines.
func signed(payid, orderid, paymoney, realpay string) gateway.Notify {
	sum := md5.Sum([]byte("payid=" + payid + "&orderid=" + orderid + "&orderuid=&paymoney=" + paymoney + "&realpay=" + realpay + "&token=" + token))
	return gateway.Notify{PayID: payid, OrderID: orderid, PayMoney: paymoney, RealPay: realpay, Key: hex.EncodeToString(sum[:])}
}

func (s *shop) notify(t *testing.T, n gateway.Notify) Verdict {
	t.Helper()
	v, err := s.Notify(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (s *shop) deliveries(t *testing.T, id string) []store.Delivery {
	t.Helper()
	_, d, err := s.st.Detail(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestPaidOnce(t *testing.T) {
	s := newShop(t)
	o := s.buy(t)
	n := signed("P1", o.ID, "39.00", "39.00")
	var wg sync.WaitGroup
	verdicts := make([]Verdict, 256)
	for i := range verdicts {
		wg.Go(func() {
			v, err := s.Notify(context.Background(), n)
			if err != nil {
				t.Error(err)
			}
			verdicts[i] = v
		})
	}
	wg.Wait()
	count := make(map[Verdict]int)
	for _, v := range verdicts {
		count[v]++
	}
	if count[NotifyPaid] != 1 || count[NotifyDuplicate] != len(verdicts)-1 {
		t.Errorf("verdicts %v, want one paid and the rest duplicates", count)
	}
	if d := s.deliveries(t, o.ID); len(d) != 1 || d[0].Type != EventPaid {
		t.Errorf("deliveries %+v, want one %s", d, EventPaid)
	}
	got, err := s.Order(t.Context(), o.ID)
	if err != nil || got.State != order.Paid || len(got.Payments) != 1 || !got.PaidAt.Equal(noon) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestNotifyRefused(t *testing.T) {
	s := newShop(t)
	o := s.buy(t)
	good := signed("P1", o.ID, "39.00", "39.00")
	bad := good
	bad.RealPay = "0.01"
	shifted := gateway.Notify{PayID: "P1", OrderID: "x", OrderUID: "&orderid=" + o.ID + "&orderuid=", PayMoney: "39.00", RealPay: "39.00", Key: good.Key}
	for name, c := range map[string]struct {
		n    gateway.Notify
		want Verdict
	}{
		"other amount, same key": {bad, NotifyBadKey},
		"no key":                 {gateway.Notify{PayID: "P1", OrderID: o.ID, PayMoney: "39.00", RealPay: "39.00"}, NotifyBadKey},
		"shifted":                {shifted, NotifyMalformed},
		"unknown order":          {signed("P2", order.NewID(noon), "39.00", "39.00"), NotifyOrphan},
		"id of another form":     {signed("P3", "1", "39.00", "39.00"), NotifyOrphan},
	} {
		t.Run(name, func(t *testing.T) {
			if v := s.notify(t, c.n); v != c.want {
				t.Errorf("verdict %q, want %q", v, c.want)
			}
		})
	}
	if got := s.state(t, o.ID); got != order.Pending {
		t.Errorf("order is %v", got)
	}
	orphans, _, err := s.st.Orphans(t.Context(), s.ID(), "", 10)
	if err != nil || len(orphans) != 2 {
		t.Errorf("orphans %+v, %v", orphans, err)
	}
}

// TestAnotherShop sends a genuine notify of one shop to another with the same
// merchant.
func TestAnotherShop(t *testing.T) {
	s := newShop(t)
	other := newService(t, s.st, func(c *Config) { c.GatewayBase, c.Origin = s.gw.URL, "https://other.example.com" })
	o := s.buy(t)
	if v, err := other.Notify(t.Context(), signed("P1", o.ID, "39.00", "39.00")); v != NotifyOrphan || err != nil {
		t.Errorf("verdict %q, %v", v, err)
	}
	if got := s.state(t, o.ID); got != order.Pending {
		t.Errorf("order is %v", got)
	}
	if _, err := other.Status(t.Context(), o.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another shop sees the order: %v", err)
	}
}

func TestStatusAsksOncePerMinute(t *testing.T) {
	s := newShop(t)
	o := s.buy(t)
	for range 5 {
		if _, err := s.Status(t.Context(), o.ID); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.gw.questions(o.ID); n != 1 {
		t.Fatalf("asked %d times in one minute", n)
	}
	s.gw.says(o.ID, map[string]string{"status": "0", "realpay": "39.00", "payid": "P1"})
	s.clock.add(gateway.StatusInterval)
	got, err := s.Status(t.Context(), o.ID)
	if err != nil || got.State != order.Paid || got.Payments[0].Source != order.SourceQuery {
		t.Fatalf("%+v, %v", got, err)
	}
	s.clock.add(time.Hour)
	if _, err := s.Status(t.Context(), o.ID); err != nil || s.gw.questions(o.ID) != 2 {
		t.Errorf("a paid order was asked about: %d questions, %v", s.gw.questions(o.ID), err)
	}
	if v := s.notify(t, signed("P1", o.ID, "39.00", "39.00")); v != NotifyDuplicate {
		t.Errorf("its notify: %q", v)
	}
}

func TestWaitWakes(t *testing.T) {
	s := newShop(t)
	o := s.buy(t)
	if _, err := s.Status(t.Context(), o.ID); err != nil {
		t.Fatal(err)
	}
	got := make(chan *order.Order)
	go func() {
		o, err := s.Wait(context.Background(), o.ID, time.Hour)
		if err != nil {
			t.Error(err)
		}
		got <- o
	}()
	s.notify(t, signed("P1", o.ID, "39.00", "39.00"))
	select {
	case o := <-got:
		if o.State != order.Paid {
			t.Errorf("woke with %v", o.State)
		}
	case <-time.After(time.Minute):
		t.Fatal("still waiting a minute after the notify")
	}
}

// TestEndWaits ends a wait that would last an hour.
func TestEndWaits(t *testing.T) {
	s := newShop(t)
	o := s.buy(t)
	done := make(chan error)
	go func() {
		_, err := s.Wait(context.Background(), o.ID, time.Hour)
		done <- err
	}()
	deadline := time.After(time.Minute)
	for {
		s.EndWaits()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		case <-deadline:
			t.Fatal("still waiting")
		default:
			runtime.Gosched()
		}
	}
}

func TestExpiry(t *testing.T) {
	s := newShop(t)
	o := s.buy(t)

	s.gw.down = true
	s.clock.add(DefaultExpire + time.Second)
	for range 3 {
		if _, err := s.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Status(t.Context(), o.ID); err != nil {
			t.Fatal(err)
		}
		if got := s.state(t, o.ID); got != order.Pending {
			t.Fatalf("a gateway that is down made it %v", got)
		}
		s.clock.add(10 * time.Minute)
	}
	s.gw.down = false
	s.clock.add(time.Hour)
	if n, err := s.Reconcile(t.Context()); n != 1 || err != nil {
		t.Fatalf("asked %d, %v", n, err)
	}
	if got := s.state(t, o.ID); got != order.Expired {
		t.Fatalf("order is %v", got)
	}

	// Once more after it, for the payment whose notify was lost.
	s.gw.says(o.ID, map[string]string{"status": "0", "realpay": "39.00", "payid": "P1"})
	s.clock.add(afterExpiry)
	if n, err := s.Reconcile(t.Context()); n != 1 || err != nil {
		t.Fatalf("asked %d, %v", n, err)
	}
	got, err := s.Order(t.Context(), o.ID)
	if err != nil || got.State != order.Paid || !got.Late {
		t.Fatalf("%+v, %v", got, err)
	}
}

// TestExpiresByLastAnswer: asked just before its end, an order ends in time
// although it may not be asked about again yet.
func TestExpiresByLastAnswer(t *testing.T) {
	s := newShop(t, func(c *Config) { c.Expire = 5 * time.Second })
	o := s.buy(t)
	if got, err := s.Status(t.Context(), o.ID); err != nil || got.State != order.Pending {
		t.Fatal(got, err)
	}
	s.clock.add(5 * time.Second)
	if got, err := s.Status(t.Context(), o.ID); err != nil || got.State != order.Expired {
		t.Fatal(got, err)
	}
	if v := s.notify(t, signed("P1", o.ID, "39.00", "39.00")); v != NotifyLate {
		t.Errorf("late notify: %q", v)
	}
}

// TestReconcileFindsAll loses every notify of 1,000 paid orders.
func TestReconcileFindsAll(t *testing.T) {
	s := newShop(t)
	const orders = 1000
	began := s.clock.now()
	for range orders {
		o := s.buy(t)
		s.gw.says(o.ID, map[string]string{"status": "0", "realpay": "39.00", "payid": "P" + o.ID})
	}
	found := 0
	for s.clock.now().Sub(began) < time.Hour && found < orders {
		s.clock.add(time.Second)
		n, err := s.Reconcile(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n > DefaultQueriesPerSecond {
			t.Fatalf("%d questions in a second", n)
		}
		found += n
	}
	summary, err := s.st.Summarize(t.Context(), s.ID(), began.Add(-time.Hour), began.Add(time.Hour), time.UTC)
	if err != nil || len(summary.Days) != 1 || summary.Days[0].Orders["paid"] != orders {
		t.Fatalf("%+v, %v", summary, err)
	}
	t.Logf("found %d of %d lost payments in %v of the shop's time", found, orders, s.clock.now().Sub(began))
	for id, times := range s.gw.asked {
		if len(times) != 1 {
			t.Errorf("order %s was asked about %d times", id, len(times))
		}
	}
}

// What was given back is not sold, though two decide at once.
func TestRefundedIsNotConfirmed(t *testing.T) {
	s := newShop(t)
	o := s.buy(t)
	if v := s.notify(t, signed("P1", o.ID, "39.00", "38.00")); v != NotifyReview {
		t.Fatal(v)
	}
	if _, err := s.Refund(t.Context(), o.ID, "ann", "sent back"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Confirm(t.Context(), o.ID, "bob", "one yuan is fine"); !errors.Is(err, ErrNotThat) {
		t.Errorf("confirming what was refunded: %v", err)
	}
	got, deliveries, err := s.st.Detail(t.Context(), o.ID)
	if err != nil || got.State != order.Review {
		t.Fatal(got, err)
	}
	for _, d := range deliveries {
		if d.Type == EventPaid {
			t.Error("it is told as paid")
		}
	}
}

func TestMerchantDecides(t *testing.T) {
	s := newShop(t)
	o := s.buy(t)
	ctx := t.Context()
	if _, err := s.Confirm(ctx, o.ID, "ann", "saw it"); !errors.Is(err, ErrNotThat) {
		t.Errorf("confirming a pending order: %v", err)
	}
	if _, err := s.Ship(ctx, o.ID, "ann", "parcel 1"); !errors.Is(err, ErrNotThat) {
		t.Errorf("shipping a pending order: %v", err)
	}
	if _, err := s.Refund(ctx, o.ID, "ann", "sorry"); !errors.Is(err, ErrNotThat) {
		t.Errorf("refunding without a payment: %v", err)
	}
	if v := s.notify(t, signed("P1", o.ID, "39.00", "38.00")); v != NotifyReview {
		t.Fatal(v)
	}
	if _, err := s.Confirm(ctx, o.ID, "ann", " \n "); !errors.Is(err, ErrNoReason) {
		t.Errorf("confirming without a reason: %v", err)
	}
	for range 2 {
		if got, err := s.Confirm(ctx, o.ID, "ann", "one yuan\nis fine"); err != nil || got.State != order.Paid {
			t.Fatal(got, err)
		}
		if got, err := s.Ship(ctx, o.ID, "bob", "parcel 1"); err != nil || got.ShippedAt.IsZero() {
			t.Fatal(got, err)
		}
	}
	if _, err := s.Refund(ctx, o.ID, "ann", "broken"); err != nil {
		t.Fatal(err)
	}
	got, deliveries, err := s.st.Detail(ctx, o.ID)
	if err != nil {
		t.Fatal(err)
	}
	var what []string
	for _, e := range got.History {
		what = append(what, e.Who+" "+e.What)
	}
	want := []string{"buyer created", "notify review", "ann confirmed", "bob shipped", "ann refunded"}
	if len(what) != len(want) {
		t.Fatalf("history %v, want %v", what, want)
	}
	for i := range want {
		if what[i] != want[i] {
			t.Errorf("history %v, want %v", what, want)
		}
	}
	if got.History[2].Reason != "one yuan is fine" {
		t.Errorf("reason %q", got.History[2].Reason)
	}
	if len(deliveries) != 2 {
		t.Errorf("deliveries %+v, want review and paid", deliveries)
	}
}

func TestQuote(t *testing.T) {
	s := newService(t, nil)
	many := make([]Item, order.MaxLines+1)
	for i := range many {
		many[i] = Item{"mug", 1}
	}
	for name, c := range map[string]struct {
		items []Item
		total order.Money
		err   error
	}{
		"nothing":           {nil, 0, ErrNoItems},
		"one":               {[]Item{{"mug", 1}}, 3900, nil},
		"two lines, merged": {[]Item{{"mug", 1}, {"hook", 1}, {"mug", 2}}, 11800, nil},
		"many of one":       {many, 3900 * (order.MaxLines + 1), nil},
		"zero":              {[]Item{{"mug", 0}}, 0, ErrQty},
		"negative":          {[]Item{{"mug", -1}}, 0, ErrQty},
		"too many":          {[]Item{{"mug", 1000}}, 0, ErrQty},
		"too many, merged":  {[]Item{{"mug", 999}, {"mug", 1}}, 0, ErrQty},
		"unknown":           {[]Item{{"cup", 1}}, 0, ErrUnknownSKU},
		"case differs":      {[]Item{{"MUG", 1}}, 0, ErrUnknownSKU},
		"dearest":           {[]Item{{"dear", 1}}, order.MaxMoney, nil},
		"too dear":          {[]Item{{"dear", 2}}, 0, ErrTotal},
		"too dear in sum":   {[]Item{{"dear", 1}, {"mug", 1}}, 0, ErrTotal},
	} {
		t.Run(name, func(t *testing.T) {
			q, err := s.Quote(c.items)
			if !errors.Is(err, c.err) || (err == nil && q.Total != c.total) {
				t.Errorf("%+v, %v", q, err)
			}
		})
	}
	q, err := s.Quote([]Item{{"dear", 1}})
	if err != nil || q.title() != "Dear ＆ fine" {
		t.Errorf("title %q, %v", q.title(), err)
	}
}

func TestTargets(t *testing.T) {
	s := newService(t, nil, func(c *Config) { c.MailMerchant, c.MailBuyer = true, true })
	o := mug(order.Paid)
	o.Buyer.Email = "a@b.cn"
	o.Lines = append(o.Lines, order.Line{SKU: "hook", Qty: 1})
	got := s.targets(EventPaid, &o)
	want := []string{"webhook:https://hooks.example.com/a", "webhook:https://hooks.example.com/b", "mail:merchant", "mail:buyer"}
	if len(got) != len(want) {
		t.Fatalf("%v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%v, want %v", got, want)
		}
	}
	if got := s.targets(EventExpired, &o); len(got) != 2 {
		t.Errorf("mail about an expired order: %v", got)
	}
}

func TestBalance(t *testing.T) {
	s := newShop(t)
	for range 3 {
		b, err := s.Balance(t.Context())
		if err != nil || b.Amount != "5.94" || !b.At.Equal(noon) {
			t.Fatalf("%+v, %v", b, err)
		}
	}
	s.gw.Close()
	s.clock.add(gateway.BalanceInterval)
	if b, err := s.Balance(t.Context()); !errors.Is(err, gateway.ErrNoAnswer) || b.Amount != "5.94" {
		t.Errorf("%+v, %v", b, err)
	}
}
