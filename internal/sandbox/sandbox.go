// Package sandbox is the gateway's other side of the wire, for tests and first steps. It takes no real money.
package sandbox

import (
	"log/slog"
	"net/http"
	"time"
)

// Config of a sandbox gateway.
type Config struct {
	UID, Token      string
	NotifyRetries   int           // zero: 3
	NotifyInterval  time.Duration // zero: 1m
	ReturnDelay     time.Duration // zero: 2s
	PayTimeout      time.Duration // zero: 5m; then the order is status 1
	StatusInterval  time.Duration // zero: 1m
	BalanceInterval time.Duration // zero: 3m
	Log             *slog.Logger
}

// Gateway is an http.Handler that plays the payment gateway.
type Gateway struct{}

// New starts a sandbox; Close ends its timers and notifies.
func New(c Config) (*Gateway, error) { panic("unwritten") }

func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) { panic("unwritten") }

// Close stops what is under way.
func (g *Gateway) Close() error { panic("unwritten") }
