// Package handlers answers the routes of a shop: one file a route. It parses,
// calls a use case and writes the answer.
package handlers

import (
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/payment"
)

// Config is what the routes of one shop need. Service, Path, GatewayOrigin and
// Client are required.
type Config struct {
	Service       func() *payment.Service // nil result: the store is not ready: 503
	Origin        string                  // the shop's own: http(s)://host[:port]
	Path          string                  // of every route, like "/checkout"
	Fields        []payment.BuyerField
	GatewayOrigin string                                               // for form-action
	Success       string                                               // path or URL of the merchant's own page for the paid buyer; empty: the built-in receipt
	AllowOrigins  []string                                             // other origins whose pages may post to checkout
	OrderUID      func(*http.Request) string                           // may be nil
	Client        func(*http.Request) string                           // the buyer's network address as limits count it
	Test          bool                                                 // pages say that no real money moves
	Waits         *Waits                                               // limits of status?wait; shared by all shops; nil: none
	CheckoutRate  func(client string) (retryAfterSeconds int, ok bool) // may be nil
	Log           *slog.Logger                                         // nil: silent

	// Seen hears which order a request is about, before it is answered. o is
	// the order where it was read, else nil: after a notify whose key fits,
	// which need not be of an order that exists. May be nil.
	Seen func(r *http.Request, id string, o *order.Order)
}

type shop struct {
	c     Config
	cross *http.CrossOriginProtection
	pages [languages]*template.Template
}

// New returns the handler for everything under Config.Path. Requests elsewhere
// must not reach it. It reports a Config that cannot work.
func New(c Config) (http.Handler, error) {
	if c.Service == nil || c.Client == nil {
		return nil, errors.New("handlers need a service and the client's address")
	}
	if !strings.HasPrefix(c.Path, "/") || strings.HasSuffix(c.Path, "/") {
		return nil, fmt.Errorf("path %q must begin with a slash and not end with one", c.Path)
	}
	if c.GatewayOrigin == "" || !strings.EqualFold(sourceOf(c.GatewayOrigin), c.GatewayOrigin) {
		return nil, fmt.Errorf("gateway origin %q is not http(s)://host[:port]", c.GatewayOrigin)
	}
	if c.Seen == nil {
		c.Seen = func(*http.Request, string, *order.Order) {}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &shop{c: c, cross: http.NewCrossOriginProtection()}
	// The shop's own origin is trusted also where a proxy has changed the Host.
	for _, origin := range append([]string{c.Origin}, c.AllowOrigins...) {
		if err := s.cross.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("allowing origin: %w", err)
		}
	}
	for l := range s.pages {
		pages, err := loadPages(language(l))
		if err != nil {
			return nil, fmt.Errorf("loading pages: %w", err)
		}
		s.pages[l] = pages
	}
	return s, nil
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	route, _ := strings.CutPrefix(r.URL.Path, s.c.Path)
	id, isReturn := strings.CutPrefix(route, "/return/")
	switch {
	case route == "":
		s.order(w, r)
	case route == "/notify":
		s.notify(w, r)
	case route == "/status":
		s.status(w, r)
	case isReturn:
		s.back(w, r, id)
	default:
		s.refuse(w, r, notFound)
	}
}

// order shares the bare path between the review page and checkout.
func (s *shop) order(w http.ResponseWriter, r *http.Request) {
	s.share(w, r)
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		s.review(w, r)
	case http.MethodPost:
		s.checkout(w, r)
	default:
		s.otherMethod(w, r, "GET, HEAD, POST")
	}
}

// share lets pages on the allowed origins read the answer.
func (s *shop) share(w http.ResponseWriter, r *http.Request) {
	if len(s.c.AllowOrigins) == 0 {
		return
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	if origin := r.Header.Get("Origin"); slices.Contains(s.c.AllowOrigins, origin) {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", "Retry-After")
	}
}

// otherMethod answers the preflights of a shared route, and 405 to the rest.
func (s *shop) otherMethod(w http.ResponseWriter, r *http.Request, methods string) {
	h := w.Header()
	allow := methods
	if len(s.c.AllowOrigins) > 0 {
		allow += ", OPTIONS"
	}
	h.Set("Allow", allow)
	if len(s.c.AllowOrigins) == 0 || r.Method != http.MethodOptions {
		s.refuse(w, r, wrongMethod)
		return
	}
	h.Set("Access-Control-Allow-Methods", methods)
	h.Set("Access-Control-Allow-Headers", "Content-Type")
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}

// send writes an answer that nobody keeps.
func send(w http.ResponseWriter, r *http.Request, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that has gone misses it
	}
}
