package harness

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// UID is the merchant that the tests' shops are.
const UID = "10000001400000"

// Gateway is the gateway's side of the wire. It shares no code with the plugin:
// what both agree on, two readers have read out of the protocol.
type Gateway struct {
	URL        string
	UID, Token string

	t  testing.TB
	mu sync.Mutex

	forms    map[string]url.Values             // pay requests by orderid
	queries  map[string][]time.Time            // status questions by orderid
	balances []url.Values                      // balance questions
	paid     map[string]Payment                // by orderid
	status   func(http.ResponseWriter, string) // answers a status question instead
}

// Payment is what the gateway knows of money that came.
type Payment struct {
	PayID, OrderID, OrderUID, PayMoney, RealPay string
}

// NewGateway starts a gateway for the merchant UID.
func NewGateway(t testing.TB) *Gateway {
	return startGateway(t, httptest.NewServer)
}

// NewTLSGateway is NewGateway with a certificate that nobody vouches for.
func NewTLSGateway(t testing.TB) *Gateway {
	return startGateway(t, httptest.NewTLSServer)
}

func startGateway(t testing.TB, start func(http.Handler) *httptest.Server) *Gateway {
	g := &Gateway{
		UID: UID, Token: Token, t: t,
		forms:   map[string]url.Values{},
		queries: map[string][]time.Time{},
		paid:    map[string]Payment{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /pay.action", g.pay)
	mux.HandleFunc("GET /requstOrderStatus.action", g.answerStatus)
	mux.HandleFunc("GET /requstBalance.action", g.answerBalance)
	server := start(mux)
	g.URL = server.URL
	t.Cleanup(server.Close)
	return g
}

// Key signs as protocol section "The key" says: name=value pairs, alternating
// in pairs, then the token.
func Key(token string, pairs ...string) string {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		fmt.Fprintf(&b, "%s=%s&", pairs[i], pairs[i+1])
	}
	sum := md5.Sum([]byte(b.String() + "token=" + token))
	return hex.EncodeToString(sum[:])
}

var payFields = []string{"uid", "orderid", "ordername", "paymoney", "orderuid", "paytype", "notifyurl", "returnurl", "orderinfo"}

// CheckPayForm says what is wrong with a pay request, by the table of protocol
// section 1.
func (g *Gateway) CheckPayForm(form url.Values) error {
	limits := map[string]int{"orderid": 40, "ordername": 100, "paymoney": 14, "orderuid": 40, "notifyurl": 80, "returnurl": 80, "orderinfo": 500}
	var pairs []string
	for _, name := range payFields {
		if len(form[name]) != 1 {
			return fmt.Errorf("%s stands %d times in the form", name, len(form[name]))
		}
		value := form.Get(name)
		if limit, ok := limits[name]; ok && len(value) > limit {
			return fmt.Errorf("%s is longer than %d bytes", name, limit)
		}
		if strings.Contains(value, "&") {
			return fmt.Errorf("%s holds &", name)
		}
		pairs = append(pairs, name, value)
	}
	if len(form) != len(payFields)+1 {
		return fmt.Errorf("the form has fields that the protocol does not know: %v", form)
	}
	if form.Get("uid") != g.UID || form.Get("paytype") != "11" {
		return fmt.Errorf("uid %q, paytype %q", form.Get("uid"), form.Get("paytype"))
	}
	if form.Get("key") != Key(g.Token, pairs...) {
		return fmt.Errorf("the key does not fit")
	}
	return nil
}

func (g *Gateway) pay(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	form, err := url.ParseQuery(string(body))
	if err == nil {
		err = g.CheckPayForm(form)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	g.mu.Lock()
	g.forms[form.Get("orderid")] = form
	g.mu.Unlock()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, "<!doctype html><title>Cashier</title><h1>Pay %s</h1>", form.Get("paymoney"))
}

// Form returns the pay request of an order, once it came.
func (g *Gateway) Form(orderid string) (url.Values, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	form, ok := g.forms[orderid]
	return form, ok
}

// Receive makes the gateway know of money, so that status questions are
// answered with it. It tells nobody.
func (g *Gateway) Receive(p Payment) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.paid[p.OrderID] = p
}

// NotifyForm is the signed notify of a payment (protocol section 2).
func (g *Gateway) NotifyForm(p Payment) url.Values {
	return url.Values{
		"payid": {p.PayID}, "orderid": {p.OrderID}, "orderuid": {p.OrderUID},
		"paymoney": {p.PayMoney}, "realpay": {p.RealPay},
		"key": {Key(g.Token, "payid", p.PayID, "orderid", p.OrderID, "orderuid", p.OrderUID, "paymoney", p.PayMoney, "realpay", p.RealPay)},
	}
}

// AnswerStatus makes answer reply to every status question from here on; nil
// brings the gateway's own answers back.
func (g *Gateway) AnswerStatus(answer func(w http.ResponseWriter, orderid string)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.status = answer
}

func (g *Gateway) answerStatus(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	orderid := q.Get("orderid")
	if len(q) != 3 || q.Get("uid") != g.UID || q.Get("key") != Key(g.Token, "orderid", orderid, "uid", g.UID) {
		g.t.Errorf("a status question that is not by the protocol: %s", r.URL.Path)
		http.Error(w, "bad key", http.StatusForbidden)
		return
	}
	g.mu.Lock()
	g.queries[orderid] = append(g.queries[orderid], time.Now())
	answer, p := g.status, g.paid[orderid]
	form := g.forms[orderid]
	g.mu.Unlock()
	if answer != nil {
		answer(w, orderid)
		return
	}
	reply := map[string]string{"msg": "", "orderid": orderid, "payid": "", "paymoney": form.Get("paymoney"), "realpay": "", "status": "-1"}
	if p.PayID != "" {
		reply["payid"], reply["paymoney"], reply["realpay"], reply["status"] = p.PayID, p.PayMoney, p.RealPay, "0"
	}
	_ = json.NewEncoder(w).Encode(reply)
}

// AwaitQuestion waits until the shop has asked about an order, and returns how often.
func (g *Gateway) AwaitQuestion(orderid string) int {
	g.t.Helper()
	Await(g.t, "a question about order "+orderid, func() bool { return len(g.Questions(orderid)) > 0 })
	return len(g.Questions(orderid))
}

// Questions tells when the gateway was asked about an order.
func (g *Gateway) Questions(orderid string) []time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]time.Time(nil), g.queries[orderid]...)
}

func (g *Gateway) answerBalance(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	reqtime := q.Get("reqtime")
	reply := map[string]string{"balance": "5.94", "msg": "", "reqtime": reqtime, "status": "0", "uid": g.UID}
	at, err := time.ParseInLocation(time.DateTime, reqtime, time.FixedZone("Beijing", 8*60*60))
	switch {
	case q.Get("key") != Key(g.Token, "uid", q.Get("uid"), "reqtime", reqtime):
		reply["status"], reply["msg"] = "1", "bad key"
	case err != nil || time.Since(at).Abs() > 10*time.Minute:
		reply["status"], reply["msg"] = "1", "reqtime is off"
	}
	g.mu.Lock()
	g.balances = append(g.balances, url.Values{"reqtime": {reqtime}, "answer": {reply["msg"]}})
	g.mu.Unlock()
	_ = json.NewEncoder(w).Encode(reply)
}

// Balances tells what was asked for the balance, with the refusal if any in
// "answer".
func (g *Gateway) Balances() []url.Values {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]url.Values(nil), g.balances...)
}
