// Package handlers answers the routes of a shop: one file a route. It parses,
// calls a use case and writes the answer.
package handlers

import (
	"log/slog"
	"net/http"

	"github.com/caddy-checkout/checkout/internal/payment"
)

// Config is what the routes of one shop need.
type Config struct {
	Service       func() *payment.Service // nil result: the store is not ready: 503
	Path          string
	Fields        []payment.BuyerField
	GatewayOrigin string                     // for form-action
	Success       string                     // path or URL of the merchant's own page for the paid buyer; empty: the built-in receipt
	AllowOrigins  []string                   // other origins whose pages may post to checkout
	OrderUID      func(*http.Request) string // may be nil
	Client        func(*http.Request) string // the buyer's network address as limits count it
	Test          bool
	Waits         *Waits                                               // limits of status?wait; shared by all shops; nil: none
	CheckoutRate  func(client string) (retryAfterSeconds int, ok bool) // may be nil
	Log           *slog.Logger
}

// Waits bounds the buyers that wait in status.
type Waits struct{}

// New returns the handler for everything under Config.Path. Requests elsewhere
// must not reach it.
func New(c Config) (http.Handler, error) { panic("unwritten") }
