// Package webhook delivers the outbox to the merchant: signed webhooks and mail.
package webhook

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/caddy-checkout/checkout/internal/store"
)

// Target prefixes of store.Event.Targets.
const (
	TargetWebhook = "webhook:" // followed by the URL
	TargetMail    = "mail:"    // followed by "merchant" or "buyer"
)

// Sender brings one delivery to its target.
type Sender interface {
	Send(ctx context.Context, d store.Delivery) (status int, answer string, outcome Outcome)
}

// Outcome of an attempt.
type Outcome int

// The outcomes.
const (
	Delivered Outcome = iota
	Retry             // try again later
	Gone              // the target wants no more: 410
	Rejected          // never going to work
)

// Dispatcher empties the outbox.
type Dispatcher struct{}

// Config of a Dispatcher.
type Config struct {
	Store   store.Outbox
	Senders func(target string) Sender // nil: no such target in the configuration now; its deliveries wait
	Now     func() time.Time
	Observe func(target, outcome string, took time.Duration)
	Log     *slog.Logger
	HTTP    *http.Client
}
