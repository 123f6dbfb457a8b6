package sandbox

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/caddy-checkout/checkout/internal/gateway"
)

// faults are the misbehaviours that are switched on. Gateway.mu guards them.
type faults struct {
	status, balance, notify string
	elsewhere               []byte // what a redirected client finds
}

// The misbehaviours of notifies.
const (
	notifyLose        = "lose"
	notifyAfterReturn = "after_return"
)

var notifyFaults = []string{notifyLose, notifyAfterReturn}

// commonFaults are broken replies of both queries. Where a careless reader could
// take a broken status reply for a payment, the rest of it says paid.
var commonFaults = []string{
	"empty_object",  // {}
	"null",          // null
	"array",         // []
	"html",          // a page, HTTP 200
	"empty",         // no body
	"status_null",   // "status":null
	"status_upper",  // "STATUS" in place of "status"
	"status_twice",  // "status" twice, with two values
	"status_number", // "status" as a JSON number: unusual, not wrong
	"status_absent", // no "status"
	"status_other",  // "status":"7"
	"http_500",      // HTTP 500
	"redirect",      // 302 to the reply
	"hang",          // no answer until the client gives up
	"slow",          // a byte a second
	"huge",          // white space without end
	"gzip_bomb",     // 1 GiB in 1 MiB
	"truncated",     // the connection ends inside the reply
}

// StatusFaults and BalanceFaults are what the replies to the queries can be
// made to be.
var (
	StatusFaults = append([]string{
		"error",         // -2 with a msg
		"timeout_paid",  // 1 with a realpay, as in the document's example
		"wrong_orderid", // 0, about another order
		"wrong_amount",  // 0 with another realpay
		"paid_no_money", // 0 with an empty realpay
	}, commonFaults...)
	BalanceFaults = append([]string{
		"error",         // 1 with a msg
		"wrong_uid",     // a good reply about another merchant
		"wrong_reqtime", // a good reply to another query
		"bad_amount",    // "balance":"5.9 yuan"
	}, commonFaults...)
)

const (
	elsewherePath = "/sandbox/elsewhere"
	hugeBytes     = 10 << 30
	bombBytes     = 1 << 30
	slowInterval  = time.Second
)

// statusFault is the reply that fault is built upon.
func statusFault(fault string, reply statusReply) statusReply {
	switch fault {
	case "error":
		return statusReply{Msg: "sandbox: error on request", OrderID: reply.OrderID, Status: gateway.StatusError}
	case "slow", "hang", "huge", "gzip_bomb", "truncated", "status_number":
		return reply
	}
	if reply.PayID == "" {
		reply.PayID = newPayID()
	}
	reply.Status, reply.RealPay = gateway.StatusPaid, reply.PayMoney
	switch fault {
	case "timeout_paid":
		reply.Status = gateway.StatusTimeout
	case "wrong_orderid":
		reply.OrderID += "0"
	case "wrong_amount":
		reply.RealPay = otherAmount(reply.PayMoney)
	case "paid_no_money":
		reply.RealPay = ""
	}
	return reply
}

func balanceFault(fault string, reply balanceReply) balanceReply {
	switch fault {
	case "error":
		return balanceReply{Msg: "sandbox: error on request", ReqTime: reply.ReqTime, Status: balanceError, UID: reply.UID}
	case "wrong_uid":
		reply.UID += "0"
	case "wrong_reqtime":
		reply.ReqTime = "2018-09-02 12:35:06"
	case "bad_amount":
		reply.Balance = "5.9 yuan"
	}
	return reply
}

// otherAmount is the least payment that is not amount.
func otherAmount(amount string) string {
	if amount == "0.01" {
		return "0.02"
	}
	return "0.01"
}

// faultBody is the text of a broken reply; whole replies pass unchanged.
func faultBody(fault string, whole []byte, status string) []byte {
	member := []byte(`"status":"` + status + `"`)
	spoil := func(spoilt string) []byte { return bytes.Replace(whole, member, []byte(spoilt), 1) }
	switch fault {
	case "empty_object":
		return []byte("{}")
	case "null":
		return []byte("null")
	case "array":
		return []byte("[]")
	case "html":
		return []byte("<!DOCTYPE html><title>502</title><h1>Bad Gateway</h1>")
	case "empty":
		return nil
	case "status_null":
		return spoil(`"status":null`)
	case "status_upper":
		return spoil(`"STATUS":"` + status + `"`)
	case "status_twice":
		return spoil(`"status":"-1",` + string(member))
	case "status_number":
		return spoil(`"status":` + status)
	case "status_absent":
		return spoil(`"state":"` + status + `"`)
	case "status_other":
		return spoil(`"status":"7"`)
	}
	return whole
}

// misbehave answers a query with what fault makes of reply, whose status is given.
func (g *Gateway) misbehave(w http.ResponseWriter, r *http.Request, m *message, fault string, reply any, status string) {
	whole, err := json.Marshal(reply)
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	body := faultBody(fault, whole, status)
	m.HTTP, m.Reply, m.Verdict = http.StatusOK, string(body), because("misbehaved", fault)
	switch fault {
	case "http_500":
		m.HTTP = http.StatusInternalServerError
	case "redirect":
		m.HTTP = http.StatusFound
	case "hang", "huge", "gzip_bomb":
		m.Reply = ""
	}
	g.record(m)

	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	switch fault {
	case "html":
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
	case "redirect":
		g.mu.Lock()
		g.faults.elsewhere = body
		g.mu.Unlock()
		http.Redirect(w, r, elsewherePath, http.StatusFound)
		return
	case "hang":
		select {
		case <-r.Context().Done():
		case <-g.ctx.Done():
		}
		panic(http.ErrAbortHandler)
	case "slow":
		g.trickle(w, r, body)
		return
	case "huge":
		g.flood(w, r, hugeBytes)
		return
	case "gzip_bomb":
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		g.flood(z, r, bombBytes)
		z.Close()
		return
	case "truncated":
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body[:len(body)/2])
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(m.HTTP)
	_, _ = w.Write(body)
}

// over reports whether nobody waits for the rest of an answer.
func (g *Gateway) over(r *http.Request) bool {
	return r.Context().Err() != nil || g.ctx.Err() != nil
}

func (g *Gateway) trickle(w http.ResponseWriter, r *http.Request, body []byte) {
	t := time.NewTicker(slowInterval)
	defer t.Stop()
	for i := range body {
		_, _ = w.Write(body[i : i+1])
		http.NewResponseController(w).Flush()
		select {
		case <-t.C:
		case <-r.Context().Done():
			return
		case <-g.ctx.Done():
			return
		}
	}
}

func (g *Gateway) flood(w io.Writer, r *http.Request, size int) {
	block := bytes.Repeat([]byte{' '}, 64<<10)
	for ; size > 0 && !g.over(r); size -= len(block) {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

// serveElsewhere is where the redirect leads: a client that follows it finds
// what it must not believe.
func (g *Gateway) serveElsewhere(w http.ResponseWriter, _ *http.Request) {
	g.mu.Lock()
	body := g.faults.elsewhere
	g.mu.Unlock()
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(body)
}
