package handlers

import (
	"net/http"
	"time"

	"github.com/caddy-checkout/checkout/internal/gateway"
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/payment"
)

// maxWait is the longest that a buyer may wait in status, in seconds.
const maxWait = 30

// status tells programs where an order stands, in the gateway's words. Its
// errors are JSON, too.
func (s *shop) status(w http.ResponseWriter, r *http.Request) {
	s.share(w, r)
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		s.otherMethod(w, r, "GET, HEAD")
		return
	}
	svc := s.c.Service()
	if svc == nil {
		refuseJSON(w, r, unavailable, nil)
		return
	}
	id, wait, err := statusQuery(r.URL.RawQuery)
	if err != nil {
		refuseJSON(w, r, malformed, nil)
		return
	}
	o, err := s.await(svc, r, id, wait)
	if err != nil {
		refuseJSON(w, r, s.problemFor(r, err), nil)
		return
	}
	s.c.Seen(r, o.ID, o)
	writeJSON(w, r, http.StatusOK, statusJSON(r, o))
}

// await waits if asked to and if there is room to wait.
func (s *shop) await(svc *payment.Service, r *http.Request, id string, wait int) (*order.Order, error) {
	if wait == 0 {
		return svc.Status(r.Context(), id)
	}
	client := s.c.Client(r)
	if !s.c.Waits.acquire(client) {
		return svc.Status(r.Context(), id)
	}
	defer s.c.Waits.release(client)
	return svc.Wait(r.Context(), id, time.Duration(wait)*time.Second)
}

// statusQuery takes orderid and wait, each at most once, out of a query.
func statusQuery(raw string) (id string, wait int, err error) {
	pairs, err := parsePairs(raw)
	if err != nil {
		return "", 0, err
	}
	var ids, waits int
	for _, p := range pairs {
		switch p.name {
		case "orderid":
			id = p.value
			ids++
		case "wait":
			var ok bool
			if wait, ok = number(p.value, maxWait); !ok {
				return "", 0, errMalformed
			}
			waits++
		}
	}
	if ids > 1 || waits > 1 {
		return "", 0, errMalformed
	}
	return id, wait, nil
}

var statusNumber = map[order.State]string{
	order.Pending: gateway.StatusWaiting,
	order.Paid:    gateway.StatusPaid,
	order.Expired: gateway.StatusTimeout,
	order.Review:  gateway.StatusError,
}

// statusJSON writes the gateway's reply (protocol section 4) with ours beside
// it.
func statusJSON(r *http.Request, o *order.Order) []byte {
	msg := ""
	if o.State == order.Review {
		msg = languageOf(r, orderLanguage(o.Language)).text("contact_text")
	}
	b := append(make([]byte, 0, 256), `{"msg":`...)
	b = appendString(b, msg)
	b = append(b, `,"orderid":`...)
	b = appendString(b, o.ID)
	b = append(b, `,"paymoney":"`...)
	b = o.Total.Append(b)
	b = append(b, `","realpay":`...)
	b = appendString(b, realPay(o))
	b = append(b, `,"status":"`...)
	b = append(b, statusNumber[o.State]...)
	b = append(b, `","state":"`...)
	b = append(b, o.State.String()...)
	return append(b, `"}`...)
}

// realPay is what the buyer paid, as the gateway wrote it: empty unless the
// order is paid. Where the merchant took the order as paid no payment matches,
// and it is the first one.
func realPay(o *order.Order) string {
	if o.State != order.Paid || len(o.Payments) == 0 {
		return ""
	}
	for _, p := range o.Payments {
		if p.Verdict == "paid" || p.Verdict == "late" {
			return p.RealPay
		}
	}
	return o.Payments[0].RealPay
}
