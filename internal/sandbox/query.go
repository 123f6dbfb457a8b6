package sandbox

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/caddy-checkout/checkout/internal/gateway"
	"github.com/caddy-checkout/checkout/sign"
)

// The time of a balance query (protocol section 5).
const (
	reqtimeLayout = "2006-01-02 15:04:05"
	reqtimeSlack  = 10 * time.Minute
)

// beijing has no daylight saving and needs no time zone database.
var beijing = time.FixedZone("UTC+8", 8*60*60)

// statusReply has its members in the order of the protocol's example.
type statusReply struct {
	Msg      string `json:"msg"`
	OrderID  string `json:"orderid"`
	PayID    string `json:"payid"`
	PayMoney string `json:"paymoney"`
	RealPay  string `json:"realpay"`
	Status   string `json:"status"`
}

// The values of a balance reply's status (protocol section 5).
const (
	balanceFine  = "0"
	balanceError = "1"
)

type balanceReply struct {
	Balance string `json:"balance"`
	Msg     string `json:"msg"`
	ReqTime string `json:"reqtime"`
	Status  string `json:"status"`
	UID     string `json:"uid"`
}

// serveStatus answers what became of an order (protocol section 4).
func (g *Gateway) serveStatus(w http.ResponseWriter, r *http.Request) {
	m, values, v := g.readQuery(r, kindStatus, statusRules, g.c.SignStatus)
	reply := statusReply{OrderID: values["orderid"], Status: gateway.StatusError}
	if v == nil {
		reply, v = g.status(values["orderid"])
	}
	if v != nil {
		reply.Msg = g.masked(v).text(english)
		g.answer(w, m, v, reply)
		return
	}
	g.mu.Lock()
	fault := g.faults.status
	g.mu.Unlock()
	if fault != "" {
		broken := statusFault(fault, reply)
		g.misbehave(w, r, m, fault, broken, broken.Status)
		return
	}
	g.answer(w, m, nil, reply)
}

func (g *Gateway) status(orderid string) (statusReply, verdict) {
	g.mu.Lock()
	defer g.mu.Unlock()

	reply := statusReply{OrderID: orderid, Status: gateway.StatusError}
	e, ok := g.book.byID[orderid]
	if !ok {
		return reply, because("order_unknown")
	}
	now := g.c.Now()
	if ago := now.Sub(e.asked); !e.asked.IsZero() && ago < g.c.StatusInterval {
		return reply, because("too_soon", ago.Round(time.Millisecond), g.c.StatusInterval)
	}
	e.asked = now
	reply.PayMoney = e.values["paymoney"]
	reply.Status = statusOf(e.state(now, g.c.PayTimeout))
	if len(e.payments) > 0 {
		reply.PayID, reply.RealPay = e.payments[0].PayID, e.payments[0].RealPay
	}
	return reply, nil
}

// serveBalance answers the sum of all payments (protocol section 5).
func (g *Gateway) serveBalance(w http.ResponseWriter, r *http.Request) {
	m, values, v := g.readQuery(r, kindBalance, balanceRules, sign.Balance)
	reply := balanceReply{ReqTime: values["reqtime"], UID: values["uid"], Status: balanceError}
	if v == nil {
		reply.Balance, v = g.balance(values["reqtime"])
	}
	if v != nil {
		reply.Msg = g.masked(v).text(english)
		g.answer(w, m, v, reply)
		return
	}
	reply.Status = balanceFine
	g.mu.Lock()
	fault := g.faults.balance
	g.mu.Unlock()
	if fault != "" {
		broken := balanceFault(fault, reply)
		g.misbehave(w, r, m, fault, broken, broken.Status)
		return
	}
	g.answer(w, m, nil, reply)
}

func (g *Gateway) balance(reqtime string) (string, verdict) {
	g.mu.Lock()
	defer g.mu.Unlock()

	now := g.c.Now()
	asked, err := time.ParseInLocation(reqtimeLayout, reqtime, beijing)
	if err != nil || asked.Format(reqtimeLayout) != reqtime {
		return "", because("reqtime_form", reqtime)
	}
	if off := asked.Sub(now); off.Abs() > reqtimeSlack {
		return "", because("reqtime_off", off.Round(time.Second), now.In(beijing).Format(reqtimeLayout))
	}
	if ago := now.Sub(g.balanceAsked); !g.balanceAsked.IsZero() && ago < g.c.BalanceInterval {
		return "", because("too_soon", ago.Round(time.Millisecond), g.c.BalanceInterval)
	}
	g.balanceAsked = now
	return formatFen(g.earned), nil
}

// readQuery reads and authenticates a GET message. values is never nil.
func (g *Gateway) readQuery(r *http.Request, kind string, rules []rule, names sign.Fields) (*message, map[string]string, verdict) {
	form, v := parseForm(r.URL.RawQuery)
	m := &message{Kind: kind, Fields: fieldsOf(form, rules), OrderID: form.Get("orderid")}
	values, wrong := check(form, rules)
	if v = append(v, wrong...); v == nil {
		m.Hashed, v = g.authenticate(names, values)
	}
	return m, values, v
}

// answer sends a reply, always as HTTP 200: trouble is told inside.
func (g *Gateway) answer(w http.ResponseWriter, m *message, v verdict, reply any) {
	body, err := json.Marshal(reply)
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	m.OK, m.HTTP, m.Reply, m.Verdict = v == nil, http.StatusOK, string(body), v
	if v == nil {
		m.Verdict = because("answered")
	}
	g.record(m)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(body)
}
