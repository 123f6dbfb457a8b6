package sandbox

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// serveMessages lists messages, and waits for them if asked to.
func (g *Gateway) serveMessages(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f := filter{orderid: q.Get("orderid"), kind: q.Get("kind"), code: q.Get("code")}
	after, err := number(q.Get("after"), 0)
	if err != nil {
		writeError(w, fmt.Errorf("after: %w", err))
		return
	}
	f.after = int64(after)
	least, err := number(q.Get("min"), 1)
	if err != nil {
		writeError(w, fmt.Errorf("min: %w", err))
		return
	}
	wait, err := number(q.Get("wait"), 0)
	if err != nil {
		writeError(w, fmt.Errorf("wait: %w", err))
		return
	}

	patience := time.NewTimer(min(time.Duration(wait)*time.Second, maxWait))
	defer patience.Stop()
	found, changed := g.find(f)
	for waiting := wait > 0; waiting && len(found) < least; {
		select {
		case <-changed:
		case <-patience.C:
			waiting = false
		case <-r.Context().Done():
			waiting = false
		case <-g.ctx.Done():
			waiting = false
		}
		found, changed = g.find(f)
	}
	writeJSON(w, http.StatusOK, map[string]any{"messages": found})
}

func number(s string, absent int) (int, error) {
	if s == "" {
		return absent, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 1<<31 {
		return 0, fmt.Errorf("%w: %q is no natural number", errCommand, s)
	}
	return n, nil
}

func (g *Gateway) serveOrders(w http.ResponseWriter, r *http.Request) {
	orders := g.orders(r.URL.Query().Get("orderid"), 0)
	writeJSON(w, http.StatusOK, map[string]any{"orders": orders})
}

// orders lists the newest limit orders (zero: all), the newest first; with an
// orderid, that one or none.
func (g *Gateway) orders(orderid string, limit int) []orderView {
	g.mu.Lock()
	defer g.mu.Unlock()

	views := []orderView{}
	for _, id := range slices.Backward(g.book.ids) {
		if orderid != "" && id != orderid {
			continue
		}
		views = append(views, g.view(g.book.byID[id]))
		if len(views) == limit {
			break
		}
	}
	return views
}
