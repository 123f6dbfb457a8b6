package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/caddy-checkout/checkout/internal/payment"
	"github.com/caddy-checkout/checkout/internal/store"
)

// problem is why a request is refused. Its code names its messages and is what
// programs see.
type problem struct {
	status     int
	code       string
	retryAfter int // seconds; zero: no Retry-After
}

var (
	malformed      = problem{status: http.StatusBadRequest, code: "malformed"}
	noItems        = problem{status: http.StatusBadRequest, code: "no_items"}
	badQty         = problem{status: http.StatusBadRequest, code: "bad_qty"}
	tooManyLines   = problem{status: http.StatusBadRequest, code: "too_many_lines"}
	badTotal       = problem{status: http.StatusBadRequest, code: "bad_total"}
	crossSite      = problem{status: http.StatusForbidden, code: "cross_site"}
	notFound       = problem{status: http.StatusNotFound, code: "not_found"}
	unknownProduct = problem{status: http.StatusNotFound, code: "unknown_product"}
	wrongMethod    = problem{status: http.StatusMethodNotAllowed, code: "method_not_allowed"}
	tooLarge       = problem{status: http.StatusRequestEntityTooLarge, code: "too_large"}
	badFields      = problem{status: http.StatusUnprocessableEntity, code: "bad_fields"}
	tooManyOrders  = problem{status: http.StatusTooManyRequests, code: "too_many_orders", retryAfter: 60}
	internal       = problem{status: http.StatusInternalServerError, code: "internal"}
	unavailable    = problem{status: http.StatusServiceUnavailable, code: "unavailable", retryAfter: 5}
)

// problems are all of them.
var problems = []problem{
	malformed, noItems, badQty, tooManyLines, badTotal, crossSite, notFound,
	unknownProduct, wrongMethod, tooLarge, badFields, tooManyOrders, internal,
	unavailable,
}

var problemOf = []struct {
	err error
	problem
}{
	{errMalformed, malformed},
	{errTooLarge, tooLarge},
	{payment.ErrNoItems, noItems},
	{payment.ErrQty, badQty},
	{payment.ErrTooManyLines, tooManyLines},
	{payment.ErrTotal, badTotal},
	{payment.ErrUnknownSKU, unknownProduct},
	{store.ErrNotFound, notFound},
	{store.ErrUnavailable, unavailable},
	{context.Canceled, unavailable},
	{context.DeadlineExceeded, unavailable},
}

// problemFor finds what err means to the client. What only the merchant can
// mend is logged.
func (s *shop) problemFor(r *http.Request, err error) problem {
	if limit := (*store.LimitError)(nil); errors.As(err, &limit) {
		return tooManyOrders
	}
	p := internal
	for _, known := range problemOf {
		if errors.Is(err, known.err) {
			p = known.problem
			break
		}
	}
	if p.status >= http.StatusInternalServerError && r.Context().Err() == nil {
		s.c.Log.Error("answering checkout request", "status", p.status, "error", err)
	}
	return p
}

// fail refuses r because of err.
func (s *shop) fail(w http.ResponseWriter, r *http.Request, err error) {
	s.refuse(w, r, s.problemFor(r, err))
}

// refuse answers p: JSON to programs, a plain page to people.
func (s *shop) refuse(w http.ResponseWriter, r *http.Request, p problem) {
	w.Header().Add("Vary", "Accept, Accept-Language")
	if wantsJSON(r) {
		refuseJSON(w, r, p, nil)
		return
	}
	l := languageOf(r, english)
	setRetryAfter(w, p.retryAfter)
	s.render(w, r, l, page{
		status: p.status,
		name:   "error.html",
		Body: struct{ Title, Text string }{
			l.text(p.code + "_title"),
			l.text(p.code + "_text"),
		},
	})
}

// refuseJSON answers p, and the wrong fields if any, to a program.
func refuseJSON(w http.ResponseWriter, r *http.Request, p problem, wrong payment.FieldError) {
	body, _ := json.Marshal(struct {
		Error   string             `json:"error"`
		Message string             `json:"message"`
		Fields  payment.FieldError `json:"fields,omitempty"`
	}{p.code, languageOf(r, english).text(p.code + "_text"), wrong}) // strings cannot fail
	setRetryAfter(w, p.retryAfter)
	writeJSON(w, r, p.status, body)
}

func setRetryAfter(w http.ResponseWriter, seconds int) {
	if seconds > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
	}
}
