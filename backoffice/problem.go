package backoffice

import (
	"errors"
	"net/http"

	"github.com/caddy-checkout/checkout/internal/merchant"
	"github.com/caddy-checkout/checkout/internal/store"
)

// problem is why a request is refused. Its code names its messages.
type problem struct {
	status int
	code   string
}

var (
	malformed   = problem{http.StatusBadRequest, "malformed"}
	unprotected = problem{http.StatusForbidden, "unprotected"}
	crossSite   = problem{http.StatusForbidden, "cross_site"}
	notFound    = problem{http.StatusNotFound, "not_found"}
	wrongMethod = problem{http.StatusMethodNotAllowed, "wrong_method"}
	tooLarge    = problem{http.StatusRequestEntityTooLarge, "too_large"}
	internal    = problem{http.StatusInternalServerError, "internal"}
	unavailable = problem{http.StatusServiceUnavailable, "unavailable"}
)

// problems are all of them.
var problems = []problem{malformed, unprotected, crossSite, notFound, wrongMethod, tooLarge, internal, unavailable}

var (
	errMalformed = errors.New("malformed request")
	errTooLarge  = errors.New("form too large")
)

// fail answers an error. What only the merchant can mend is logged.
func (s *visit) fail(err error) {
	p := internal
	switch {
	case errors.Is(err, errMalformed), errors.Is(err, merchant.ErrQuery):
		p = malformed
	case errors.Is(err, errTooLarge):
		p = tooLarge
	case errors.Is(err, store.ErrNotFound):
		p = notFound
	case errors.Is(err, store.ErrUnavailable), s.r.Context().Err() != nil:
		p = unavailable
	}
	if p.status >= http.StatusInternalServerError && s.r.Context().Err() == nil {
		s.c.Log.Error("answering back office request", "page", s.route.name, "status", p.status, "error", err)
	}
	s.refuse(p)
}

// refuse answers with the page of a problem.
func (s *visit) refuse(p problem) {
	if p.status == http.StatusServiceUnavailable {
		s.w.Header().Set("Retry-After", "5")
	}
	err := s.render(page{Name: "problem", Status: p.status, Body: p.code})
	if err != nil {
		s.c.Log.Error("rendering page", "page", "problem", "error", err)
		http.Error(s.w, http.StatusText(p.status), p.status)
	}
}
