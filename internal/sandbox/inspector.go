package sandbox

import (
	"net/http"
	"time"
)

// How much the inspector shows on one page.
const (
	ordersShown   = 50
	messagesShown = 100
	liveInterval  = 3 * time.Second
)

// serveInspector shows what was received and sent, the orders, and the buttons
// to misbehave.
func (g *Gateway) serveInspector(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	before, err := number(q.Get("before"), 0)
	if err != nil {
		g.excuse(w, r, err)
		return
	}
	p := g.page(r, "inspector")
	p.Messages, _ = g.find(filter{before: int64(before), limit: messagesShown})
	if n := len(p.Messages); n == messagesShown {
		p.Before = p.Messages[n-1].ID
	}
	p.Orders = g.orders("", ordersShown)
	if p.Live = q.Has("live"); p.Live {
		p.Next, p.Refresh = "/inspector?live", seconds(liveInterval)
	}

	g.mu.Lock()
	now := g.faults
	g.mu.Unlock()
	p.Settings = []setting{
		{"status", p.T.StatusReplies, now.status, StatusFaults},
		{"balance", p.T.BalanceReplies, now.balance, BalanceFaults},
		{"notify", p.T.Notifies, now.notify, notifyFaults},
	}
	g.render(w, http.StatusOK, p)
}
