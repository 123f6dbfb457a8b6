// Package simulation runs the use cases of package payment through random
// histories: orders, payments, notifies that come late, doubled, lost or not
// at all, questions that the gateway does not answer, a store that fails
// before or after it wrote, crashes and restarts. A history follows from its
// seed alone. After each step, and at the end, it checks what must always hold.
package simulation

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-checkout/checkout/internal/catalog"
	"github.com/caddy-checkout/checkout/internal/gateway"
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/payment"
	"github.com/caddy-checkout/checkout/internal/store"
)

const (
	uid   = "10000001400000"
	token = "simulated-token-0123456789"
	steps = 40 // of a history, before all comes to rest
)

// Stats are what a history did.
type Stats struct {
	Orders, Paid, Late, Review, Expired, Orphans int
	Notifies, Questions, Faults, Crashes         int
}

// Add adds the counts of another history.
func (s *Stats) Add(o Stats) {
	s.Orders += o.Orders
	s.Paid += o.Paid
	s.Late += o.Late
	s.Review += o.Review
	s.Expired += o.Expired
	s.Orphans += o.Orphans
	s.Notifies += o.Notifies
	s.Questions += o.Questions
	s.Faults += o.Faults
	s.Crashes += o.Crashes
}

// world is one history: a shop, its buyers and the gateway.
type world struct {
	rand  *rand.Rand
	now   time.Time
	base  store.Store // what survives a crash
	svc   *payment.Service
	trace func(format string, args ...any)
	stats Stats

	orders  []*purchase
	byID    map[string]*purchase
	mail    []*letter // notifies on their way
	down    bool      // the gateway does not answer
	resting bool
	failIn  int  // writes until the store fails; negative: it does not
	after   bool // it fails after it wrote
	depth   int  // of questions within questions
	payids  int
	broken  []string
}

// purchase is an order as the gateway and the buyer know it.
type purchase struct {
	n        int
	id       string
	total    string
	payments []paid
	acked    map[paid]bool // notifies answered with success
	timeout  time.Time     // the gateway takes no payment after it
	asked    []time.Time
	told     bool // the gateway's last answer told of a payment
	turned   int  // paid transitions that the observer heard
	confirms int
}

type paid struct{ payid, paymoney, realpay string }

// letter is a notify on its way to the shop.
type letter struct {
	p     *purchase
	paid  paid
	at    time.Time
	tries int
}

// Run runs the history of a seed on a store that is empty or has only other
// shops' orders. It returns an error that says what did not hold; trace, if not
// nil, hears every step.
func Run(seed uint64, st store.Store, trace func(format string, args ...any)) (Stats, error) {
	if trace == nil {
		trace = func(string, ...any) {}
	}
	w := &world{
		rand:   rand.New(rand.NewPCG(seed, 0x636865636b6f7574)),
		now:    time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		base:   st,
		trace:  trace,
		byID:   make(map[string]*purchase),
		failIn: -1,
	}
	if err := w.start(seed); err != nil {
		return w.stats, err
	}
	for range steps {
		w.now = w.now.Add(time.Duration(1+w.rand.IntN(90_000)) * time.Millisecond)
		w.step(seed)
		w.check()
		if len(w.broken) > 0 {
			break
		}
	}
	if len(w.broken) == 0 {
		w.rest(seed)
	}
	w.svc.Close()
	if len(w.broken) > 0 {
		return w.stats, fmt.Errorf("seed %d: %s", seed, strings.Join(w.broken, "; "))
	}
	return w.stats, nil
}

// start makes the shop anew over what the store holds, as a restart does.
func (w *world) start(seed uint64) error {
	cat, err := catalog.Open(catalog.Config{Inline: []catalog.Product{
		{SKU: "mug", Name: "Coffee mug", Price: 3900},
		{SKU: "tea", Name: "Tea", Price: 1},
	}})
	if err != nil {
		return fmt.Errorf("opening catalog: %w", err)
	}
	gw, err := gateway.New(gateway.Config{
		Base: gateway.DefaultBase, UID: uid, Tokens: []string{token}, Transport: w,
	})
	if err != nil {
		return fmt.Errorf("making gateway client: %w", err)
	}
	w.svc = payment.New(payment.Config{
		UID: uid, Gateway: gw, GatewayBase: gateway.DefaultBase,
		Origin: fmt.Sprintf("https://shop%d.example.com", seed), Path: "/checkout",
		Catalog: cat, Webhooks: []string{"https://hooks.example.com"}, Observer: w,
		// One question at a time keeps a history the same at every run.
		QueriesPerSecond: 1,
		Now:              func() time.Time { return w.now },
		Jitter:           func(d time.Duration) time.Duration { return d },
	}, &faulty{Store: w.base, w: w})
	return nil
}

// step does one thing that may happen in a shop.
func (w *world) step(seed uint64) {
	ctx := context.Background()
	switch n := w.rand.IntN(100); {
	case len(w.orders) == 0 || n < 8 && len(w.orders) < 4:
		w.order(ctx)
	case n < 25:
		w.pay(w.pick())
	case n < 50:
		w.deliver(ctx)
	case n < 60:
		p := w.pick()
		w.trace("somebody asks for order %d", p.n)
		if _, asked, err := w.svc.Refresh(ctx, p.id); asked && err != nil {
			p.told = false // who asked knows that the answer was lost
		}
	case n < 75:
		w.trace("reconciler")
		_, _ = w.svc.Reconcile(ctx)
	case n < 80:
		w.now = w.now.Add(time.Duration(w.rand.IntN(150)) * time.Minute)
		w.trace("time passes: %v", w.now)
	case n < 84:
		w.down = !w.down
		w.trace("gateway down: %v", w.down)
	case n < 90:
		w.failIn, w.after = w.rand.IntN(3), w.rand.IntN(2) == 0
		w.trace("the store fails after %d writes, written all the same: %v", w.failIn, w.after)
	case n < 94:
		w.stats.Crashes++
		w.trace("crash and restart")
		w.restart(seed)
	case n < 96:
		p := w.pick()
		w.trace("merchant confirms order %d", p.n)
		if _, err := w.svc.Confirm(ctx, p.id, "ann", "saw the money"); err == nil {
			p.confirms++
		}
	case n < 98:
		w.forge(ctx)
	default:
		p := w.pick()
		w.trace("buyer returns to order %d", p.n)
		before, err := w.base.Order(ctx, w.svc.ID(), p.id)
		if err != nil {
			w.breaks("order %d cannot be read: %v", p.n, err)
			return
		}
		_, _ = w.svc.Order(ctx, p.id)
		if after, err := w.base.Order(ctx, w.svc.ID(), p.id); err != nil || after.State != before.State {
			w.breaks("reading order %d changed it", p.n)
		}
	}
}

func (w *world) restart(seed uint64) {
	w.svc.Close()
	if err := w.start(seed); err != nil {
		w.breaks("restart: %v", err)
	}
}

func (w *world) pick() *purchase { return w.orders[w.rand.IntN(len(w.orders))] }

func (w *world) order(ctx context.Context) {
	sku := []string{"mug", "tea"}[w.rand.IntN(2)]
	o, _, err := w.svc.Begin(ctx, payment.Purchase{
		Items: []payment.Item{{SKU: sku, Qty: 1 + w.rand.IntN(3)}}, Client: "192.0.2.1", Language: "en",
	})
	if err != nil {
		w.trace("no order: %v", err)
		return
	}
	p := &purchase{
		n: len(w.orders), id: o.ID, total: o.Total.String(), acked: make(map[paid]bool),
		timeout: w.now.Add(time.Duration(5+w.rand.IntN(200)) * time.Minute),
	}
	w.orders, w.byID[o.ID] = append(w.orders, p), p
	w.stats.Orders++
	w.trace("order %d of %s", p.n, p.total)
}

// pay lets the buyer pay at the gateway, which takes up to two payments, and
// not always the whole.
func (w *world) pay(p *purchase) {
	if len(p.payments) == 2 || (len(p.payments) == 1 && w.rand.IntN(4) > 0) {
		return
	}
	if w.now.After(p.timeout) && w.rand.IntN(3) > 0 {
		return
	}
	w.payids++
	m := paid{payid: fmt.Sprintf("P%d", w.payids), paymoney: p.total, realpay: p.total}
	switch w.rand.IntN(12) {
	case 0:
		m.realpay = "0.01"
	case 1:
		m.realpay = strings.TrimSuffix(p.total, "0")
	case 2:
		if w.payids > 1 {
			m.payid = "P1" // the gateway's own mistake
		}
	}
	p.payments = append(p.payments, m)
	w.trace("order %d is paid: %+v", p.n, m)
	for range w.rand.IntN(3) { // none: the notify is lost
		at := w.now.Add(time.Duration(w.rand.IntN(600)) * time.Second)
		w.mail = append(w.mail, &letter{p: p, paid: m, at: at})
	}
}

// deliver brings a notify to the shop. Four tries, a minute apart, then it is
// lost.
func (w *world) deliver(ctx context.Context) {
	if len(w.mail) == 0 {
		return
	}
	i := w.rand.IntN(len(w.mail))
	l := w.mail[i]
	if w.now.Before(l.at) {
		w.now = l.at
	}
	w.mail = append(w.mail[:i], w.mail[i+1:]...)
	w.stats.Notifies++
	v, err := w.svc.Notify(ctx, notify(l.p.id, l.paid))
	w.trace("notify of order %d, %+v: %q, %v", l.p.n, l.paid, v, err)
	switch {
	case err == nil && v == payment.NotifyOrphan:
		w.breaks("order %d is unknown to its own shop", l.p.n)
	case err == nil:
		l.p.acked[l.paid] = true
		if w.rand.IntN(5) == 0 { // the answer is lost, the gateway tries again
			w.mail = append(w.mail, l)
		}
	case l.tries < 3:
		l.tries++
		l.at = w.now.Add(time.Minute)
		w.mail = append(w.mail, l)
	}
}

// forge sends what must change nothing: a wrong key, and a notify of an order
// that is not there.
func (w *world) forge(ctx context.Context) {
	p := w.pick()
	w.trace("forged notify of order %d", p.n)
	n := notify(p.id, paid{"F1", p.total, p.total})
	n.PayMoney = "7.77"
	if v, err := w.svc.Notify(ctx, n); v != payment.NotifyBadKey || err != nil {
		w.breaks("forged notify: %q, %v", v, err)
	}
	stray := order.NewID(w.now)
	v, err := w.svc.Notify(ctx, notify(stray, paid{"S1", "1.00", "1.00"}))
	if err == nil && v != payment.NotifyOrphan {
		w.breaks("stray notify: %q", v)
	}
	if err == nil {
		w.stats.Orphans++
	}
}

func notify(id string, m paid) gateway.Notify {
	sum := md5.Sum([]byte("payid=" + m.payid + "&orderid=" + id + "&orderuid=&paymoney=" + m.paymoney + "&realpay=" + m.realpay + "&token=" + token))
	return gateway.Notify{PayID: m.payid, OrderID: id, PayMoney: m.paymoney, RealPay: m.realpay, Key: hex.EncodeToString(sum[:])}
}

// RoundTrip is the gateway that answers questions. While it thinks, other
// things happen.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	p := w.byID[r.URL.Query().Get("orderid")]
	if p == nil {
		return nil, errors.New("no such order at the gateway")
	}
	w.stats.Questions++
	if n := len(p.asked); n > 0 && w.now.Sub(p.asked[n-1]) < gateway.StatusInterval {
		w.breaks("order %d was asked about twice within %v", p.n, w.now.Sub(p.asked[n-1]))
	}
	p.asked = append(p.asked, w.now)
	if w.down || !w.resting && w.rand.IntN(10) == 0 {
		w.trace("question about order %d: no answer", p.n)
		return nil, errors.New("connection refused")
	}
	reply := map[string]string{"msg": "", "orderid": p.id, "payid": "", "paymoney": p.total, "realpay": "", "status": "-1"}
	switch {
	case len(p.payments) > 0:
		m := p.payments[0]
		reply["status"], reply["payid"], reply["realpay"] = "0", m.payid, m.realpay
		if m.realpay != p.total && w.rand.IntN(2) == 0 {
			reply["status"] = "1"
		}
		if w.rand.IntN(10) == 0 {
			reply["payid"] = ""
		}
	case w.now.After(p.timeout):
		reply["status"] = "1"
	case w.rand.IntN(10) == 0:
		reply["status"], reply["msg"] = "-2", "busy"
	}
	w.trace("question about order %d: %v", p.n, reply)
	p.told = reply["realpay"] != ""
	if w.depth == 0 && w.rand.IntN(3) == 0 {
		w.depth++
		w.deliver(context.Background())
		w.depth--
	}
	body, err := json.Marshal(reply)
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/json"}}, ContentLength: int64(len(body)),
		Body: io.NopCloser(strings.NewReader(string(body))),
	}, nil
}
