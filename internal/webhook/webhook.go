// Package webhook delivers the outbox to the merchant: signed webhooks and mail.
//
// Delivery is at least once. An attempt is recorded after the receiver
// answered, so a crash between the two sends the same event again, with the
// same webhook-id or Message-ID, by which receivers can tell.
package webhook

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-checkout/checkout/internal/store"
)

// Target prefixes of store.Event.Targets.
const (
	TargetWebhook = "webhook:" // followed by the URL
	TargetMail    = "mail:"    // followed by "merchant" or "buyer"
)

// The targets of mail.
const (
	MailMerchant = TargetMail + "merchant"
	MailBuyer    = TargetMail + "buyer"
)

// Sender brings one delivery to its target. Send returns soon after ctx is
// done, and is safe for concurrent use. status is the HTTP or SMTP status, 0
// without an answer; answer is what the receiver said, or why it said nothing.
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

// Target is one place where the events of one shop go.
type Target struct {
	Shop   string // as in store.Delivery
	Name   string // as in store.Delivery.Target
	Sender Sender
}

// Config of a Dispatcher.
type Config struct {
	Store store.Outbox

	// Targets are all that is configured; a later one replaces an earlier
	// one of the same shop and name. Pending deliveries to a name that is
	// missing here wait until a configuration has it again.
	Targets []Target

	// Grace is how long attempts under way may go on after Run's context is
	// done. Zero: 5s.
	Grace time.Duration

	// Observe hears of every recorded attempt: kind is "webhook" or "mail",
	// outcome "delivered", "retry", "failed" or "gone". May be nil.
	Observe func(kind, outcome string, took time.Duration)

	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: slog.Default()
}

const (
	concurrency    = 4                // attempts under way per target
	attemptTimeout = 30 * time.Second // of any sender; webhooks have less
	recordTimeout  = 10 * time.Second
	lease          = 2 * time.Minute // longer than both, so that nobody else sends meanwhile
	shortestPoll   = time.Second     // between two looks at the outbox without a Wake
	longestPoll    = 5 * time.Second
	defaultGrace   = 5 * time.Second
)

// ErrCutOff is returned by Run when attempts outlasted the grace. Their
// deliveries are tried again when the lease ends.
var ErrCutOff = errors.New("deliveries under way were cut off; they will be tried again")

// Dispatcher empties the outbox.
type Dispatcher struct {
	c      Config
	groups []*group
	cutOff atomic.Bool
}

// New makes a Dispatcher; Run starts it.
func New(c Config) *Dispatcher {
	if c.Grace == 0 {
		c.Grace = defaultGrace
	}
	if c.Observe == nil {
		c.Observe = func(string, string, time.Duration) {}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	d := &Dispatcher{c: c}
	byName := make(map[string]*group)
	for _, t := range c.Targets {
		g := byName[t.Name]
		if g == nil {
			g = &group{d: d, name: t.Name, senders: make(map[string]Sender), wake: make(chan struct{}, 1)}
			byName[t.Name] = g
		}
		g.senders[t.Shop] = t.Sender
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		d.groups = append(d.groups, byName[name])
	}
	return d
}

// Run delivers until ctx is done, then claims nothing more and waits for the
// attempts under way, for the grace at most. It returns nil or ErrCutOff.
// Call it once.
func (d *Dispatcher) Run(ctx context.Context) error {
	d.warnOfStrays(ctx)
	attempts, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer abort()
	var wg sync.WaitGroup
	for _, g := range d.groups {
		wg.Go(func() { g.run(ctx, attempts) })
	}
	<-ctx.Done()
	grace := time.AfterFunc(d.c.Grace, abort)
	defer grace.Stop()
	wg.Wait()
	if d.cutOff.Load() {
		return ErrCutOff
	}
	return nil
}

// Wake makes every target look at the outbox at once. It never blocks.
func (d *Dispatcher) Wake() {
	for _, g := range d.groups {
		g.wakeUp()
	}
}

// Resume is Wake that also tries targets again which answered 410 Gone: for
// when a person asks for a redelivery.
func (d *Dispatcher) Resume() {
	for _, g := range d.groups {
		g.gone.Store(false)
		g.wakeUp()
	}
}

// warnOfStrays tells of targets that have pending deliveries and are not
// configured.
func (d *Dispatcher) warnOfStrays(ctx context.Context) {
	names, err := d.c.Store.PendingTargets(ctx)
	if err != nil {
		return // the groups will say so
	}
	for _, name := range names {
		if !slices.ContainsFunc(d.groups, func(g *group) bool { return g.name == name }) {
			d.c.Log.Warn("deliveries wait for a target that is not configured", "target", logName(name))
		}
	}
}

// kind of a target, for metrics.
func kind(target string) string {
	k, _, _ := strings.Cut(target, ":")
	return k
}

// logName is the target without what may be secret in a URL: its path and
// query.
func logName(target string) string {
	raw, ok := strings.CutPrefix(target, TargetWebhook)
	if !ok {
		return target
	}
	u, err := url.Parse(raw)
	if err != nil {
		return TargetWebhook
	}
	return TargetWebhook + u.Host
}
