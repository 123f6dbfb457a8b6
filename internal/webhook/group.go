package webhook

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-checkout/checkout/internal/store"
)

// group delivers to one target, apart from all others, so that a receiver that
// is slow or down delays nobody else.
type group struct {
	d       *Dispatcher
	name    string
	senders map[string]Sender // by shop
	wake    chan struct{}     // holds one
	gone    atomic.Bool       // answered 410: claim nothing until Resume or the next configuration
}

func (g *group) wakeUp() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// run claims until ctx is done; the attempts it started live until attempts is
// done. The outbox gives out one delivery of an order at a time, which keeps
// the order of its events.
func (g *group) run(ctx, attempts context.Context) {
	finished := make(chan struct{}, concurrency)
	busy, ailing := 0, false
	for ctx.Err() == nil {
		if !g.gone.Load() && busy < concurrency {
			claimed, err := g.d.c.Store.ClaimDeliveries(ctx, g.name, g.d.c.Now(), lease, concurrency-busy)
			if err != nil && ctx.Err() == nil && !ailing {
				g.d.c.Log.Error("reading the outbox; deliveries wait until it works again", "target", logName(g.name), "error", err)
			}
			ailing = err != nil
			for _, dl := range claimed {
				busy++
				go func() {
					g.attempt(attempts, dl)
					finished <- struct{}{}
				}()
			}
		}
		select {
		case <-ctx.Done():
		case <-finished:
			busy--
		case <-g.wake:
		case <-time.After(shortestPoll + rand.N(longestPoll-shortestPoll)):
		}
	}
	for range busy {
		<-finished
	}
}

// attempt sends one delivery and records what came of it.
func (g *group) attempt(ctx context.Context, dl store.Delivery) {
	began := g.d.c.Now()
	status, answer, outcome := g.send(ctx, dl)
	took := g.d.c.Now().Sub(began)
	if outcome == Retry && ctx.Err() != nil {
		g.d.cutOff.Store(true) // our doing, not the receiver's: no attempt
		return
	}

	log := g.d.c.Log.With("target", logName(g.name), "event", dl.EventID, "type", dl.Type,
		"order_id", dl.OrderID, "attempt", dl.Attempts+1, "status", status, "took", took)
	var next time.Time
	var state, result string
	level, msg := slog.LevelError, ""
	switch outcome {
	case Delivered:
		state, result = store.DeliveryDone, "delivered"
		level, msg = slog.LevelDebug, "delivered"
	case Gone:
		state, result = store.DeliveryDisabled, "gone"
		msg = "target answered 410 Gone: it gets nothing more until the configuration is loaded again or a redelivery is asked for"
		g.gone.Store(true)
	case Retry:
		if delay, ok := backoff(dl.Attempts); ok {
			next = g.d.c.Now().Add(delay)
			state, result = store.DeliveryPending, "retry"
			level, msg = slog.LevelWarn, "delivery failed and will be tried again"
			log = log.With("next", next)
			break
		}
		state, result = store.DeliveryFailed, "failed"
		msg = "delivery given up after its last attempt"
	default:
		state, result = store.DeliveryFailed, "failed"
		msg = "delivery given up: it can never succeed"
	}
	g.d.c.Observe(kind(g.name), result, took)
	log.Log(ctx, level, msg)

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	a := store.Attempt{At: began, Took: took, Status: status, Answer: clean(answer)}
	if err := g.d.c.Store.RecordAttempt(ctx, dl.ID, a, state, next); err != nil {
		log.Error("recording a delivery attempt; the event will be sent again", "error", err)
	}
}

func (g *group) send(ctx context.Context, dl store.Delivery) (status int, answer string, outcome Outcome) {
	s := g.senders[dl.Shop]
	if s == nil {
		return 0, "this target is not configured for this shop", Retry
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	return s.Send(ctx, dl)
}

// schedule is the wait after each failed attempt. It ends after a good three
// days, so that a receiver may be down over a weekend.
var schedule = [...]time.Duration{
	5 * time.Second,
	time.Minute,
	5 * time.Minute,
	30 * time.Minute,
	2 * time.Hour,
	5 * time.Hour,
	10 * time.Hour,
	14 * time.Hour,
	20 * time.Hour,
	24 * time.Hour,
}

// backoff returns the wait after an attempt that failed with so many before
// it, up to a tenth longer or shorter, so that what failed together does not
// come back together. ok is false after the last.
func backoff(before int) (d time.Duration, ok bool) {
	if before >= len(schedule) {
		return 0, false
	}
	d = schedule[before]
	return d - d/10 + rand.N(d/5), true
}

// maxAnswer is how much of an answer is kept, in bytes.
const maxAnswer = 1 << 10

// clean makes an answer fit to be kept and shown: valid UTF-8 of at most 1 KiB
// without control characters other than line breaks and tabs.
func clean(s string) string {
	s = s[:min(len(s), maxAnswer)]
	if r, size := utf8.DecodeLastRuneInString(s); r == utf8.RuneError && size == 1 {
		for i := len(s) - 1; i >= max(0, len(s)-utf8.UTFMax); i-- {
			if utf8.RuneStart(s[i]) {
				s = s[:i] // a character cut in two
				break
			}
		}
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
