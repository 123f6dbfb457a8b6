package handlers

import (
	"errors"
	"net/http"

	"github.com/caddy-checkout/checkout/internal/gateway"
	"github.com/caddy-checkout/checkout/internal/payment"
)

// notify answers the gateway, which tries again after every status from 400
// on. The answer is always one word.
func (s *shop) notify(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		answer(w, r, http.StatusMethodNotAllowed, "method")
		return
	}
	svc := s.c.Service()
	if svc == nil {
		s.notKept(w, r)
		return
	}
	done := hurry(w)
	n, err := gateway.ParseNotify(r)
	done()
	if err != nil {
		svc.NotifyMalformed()
		if errors.Is(err, gateway.ErrTooLarge) {
			answer(w, r, http.StatusRequestEntityTooLarge, "large")
			return
		}
		answer(w, r, http.StatusBadRequest, "malformed")
		return
	}
	verdict, err := svc.Notify(r.Context(), n)
	if verdict != payment.NotifyBadKey && verdict != payment.NotifyMalformed {
		s.c.Seen(r, n.OrderID, nil)
	}
	if err != nil {
		s.c.Log.Error("keeping notify", "order_id", n.OrderID, "error", err)
		s.notKept(w, r)
		return
	}
	switch verdict {
	case payment.NotifyOrphan:
		answer(w, r, http.StatusNotFound, "unknown")
	case payment.NotifyBadKey:
		answer(w, r, http.StatusForbidden, "key")
	case payment.NotifyMalformed:
		answer(w, r, http.StatusBadRequest, "malformed")
	default:
		answer(w, r, http.StatusOK, "success")
	}
}

func (s *shop) notKept(w http.ResponseWriter, r *http.Request) {
	setRetryAfter(w, unavailable.retryAfter)
	answer(w, r, http.StatusServiceUnavailable, "unavailable")
}

func answer(w http.ResponseWriter, r *http.Request, status int, word string) {
	send(w, r, status, "text/plain; charset=utf-8", []byte(word))
}
