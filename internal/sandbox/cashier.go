package sandbox

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// serveCashier shows an order to the person who pays.
func (g *Gateway) serveCashier(w http.ResponseWriter, r *http.Request) {
	orderid := r.URL.Query().Get("orderid")
	g.mu.Lock()
	e, ok := g.book.byID[orderid]
	if !ok {
		g.mu.Unlock()
		g.excuse(w, r, errUnknownOrder)
		return
	}
	o := g.view(e)
	g.mu.Unlock()

	p := g.page(r, "cashier")
	p.Order = &o
	switch o.State {
	case statePaid, stateCancelled:
		p.Next, p.Refresh = returnURL(orderid), seconds(g.c.ReturnDelay)
	case stateWaiting:
		// Just after the deadline the page shows that time is up.
		p.Next, p.Refresh = cashierURL(orderid), seconds(o.Deadline.Sub(g.c.Now())+time.Second)
	case stateTimeout:
		p.Next = returnURL(orderid)
	}
	g.render(w, http.StatusOK, p)
}

// serveCashierButton does what a button of the cashier says.
func (g *Gateway) serveCashierButton(w http.ResponseWriter, r *http.Request) {
	form, v := readBody(r)
	if v != nil {
		g.excuse(w, r, fmt.Errorf("%w: %s", errCommand, v.text(english)))
		return
	}
	orderid := form.Get("orderid")
	if err := g.press(form.Get("do"), orderid, form.Get("realpay")); err != nil {
		g.excuse(w, r, err)
		return
	}
	http.Redirect(w, r, cashierURL(orderid), http.StatusSeeOther)
}

func (g *Gateway) press(button, orderid, realpay string) error {
	switch button {
	case "pay":
		return g.payAtCashier(orderid, "", false)
	case "amount":
		if realpay == "" {
			return fmt.Errorf("realpay: %w", errAmount)
		}
		return g.payAtCashier(orderid, realpay, false)
	case "twice":
		if err := g.payAtCashier(orderid, "", false); err != nil {
			return err
		}
		return g.payAtCashier(orderid, "", true)
	case "cancel":
		return g.shut(orderid, stateCancelled)
	case "timeout":
		return g.shut(orderid, stateTimeout)
	}
	return fmt.Errorf("%w: no such button", errCommand)
}

// payAtCashier pays, and notifies at once or, if so set, after the return.
func (g *Gateway) payAtCashier(orderid, realpay string, force bool) error {
	n, err := g.pay(orderid, realpay, force)
	if err != nil {
		return err
	}
	g.mu.Lock()
	e, ok := g.book.byID[orderid]
	if ok && g.faults.notify == notifyAfterReturn {
		e.held = append(e.held, n)
		g.mu.Unlock()
		return nil
	}
	g.mu.Unlock()
	_, err = g.send(0, n)
	return err
}

// serveReturn sends the browser back to the shop (protocol section 3).
func (g *Gateway) serveReturn(w http.ResponseWriter, r *http.Request) {
	orderid := r.URL.Query().Get("orderid")
	g.mu.Lock()
	e, ok := g.book.byID[orderid]
	if !ok {
		g.mu.Unlock()
		g.excuse(w, r, errUnknownOrder)
		return
	}
	target, held := e.values["returnurl"], e.held
	e.held = nil
	g.mu.Unlock()

	g.record(&message{
		Kind: kindReturn, Sent: true, OrderID: orderid, URL: target,
		HTTP: http.StatusSeeOther, OK: true, Verdict: because("returned"),
	})
	if _, err := g.send(g.c.ReturnDelay, held...); err != nil {
		g.c.Log.Error("sending held notifies", "orderid", orderid, "error", err)
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, target, http.StatusSeeOther)
}

func returnURL(orderid string) string {
	return "/return?orderid=" + url.QueryEscape(orderid)
}

// seconds is d as a page's refresh takes it.
func seconds(d time.Duration) string {
	return strconv.Itoa(int(d.Round(time.Second) / time.Second))
}
