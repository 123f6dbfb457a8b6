package checkout

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/payment"
)

// Caddy events, emitted after the change is on disk. Their data is shop,
// order_id, total (yuan), state, late and test.
const (
	eventCreated = "checkout.created"
	eventPaid    = "checkout.paid"
	eventExpired = "checkout.expired"
	eventReview  = "checkout.review"
)

var stateEvents = map[order.State]string{
	order.Paid:    eventPaid,
	order.Expired: eventExpired,
	order.Review:  eventReview,
}

// maxEvents bounds the events that wait for slow handlers.
const maxEvents = 1024

// emitTimeout bounds how long a stop waits for handlers of events.
const emitTimeout = 5 * time.Second

// emitter emits Caddy events from a goroutine of its own: their handlers run
// within Emit, and a notify must not wait for them.
type emitter struct {
	ctx     caddy.Context
	events  *caddyevents.App
	log     *slog.Logger
	metrics *metrics

	queue   chan emission
	begin   sync.Once
	closing chan struct{}
	ended   chan struct{}
}

// emission is an event, or a mark that closes done when it is reached.
type emission struct {
	name string
	data map[string]any
	done chan struct{}
}

func newEmitter(ctx caddy.Context, events *caddyevents.App, m *metrics, log *slog.Logger) *emitter {
	// Events of a config that is being stopped are emitted all the same.
	ctx.Context = context.WithoutCancel(ctx.Context)
	return &emitter{
		ctx: ctx, events: events, log: log, metrics: m,
		queue:   make(chan emission, maxEvents),
		closing: make(chan struct{}),
		ended:   make(chan struct{}),
	}
}

// emit queues an event. It never blocks: what does not fit, or comes after the
// end, is dropped, counted and logged.
func (e *emitter) emit(name string, o *order.Order) {
	if !e.events.ShouldEmit(name) {
		return
	}
	ev := emission{name: name, data: map[string]any{
		"shop":     o.Shop,
		"order_id": o.ID,
		"total":    o.Total.String(),
		"state":    o.State.String(),
		"late":     o.Late,
		"test":     o.Test,
	}}
	select {
	case <-e.ended:
	default:
		select {
		case e.queue <- ev:
			return
		default:
		}
	}
	e.metrics.dropped.Inc()
	e.log.Warn("event dropped: its handlers are too slow", "event", name, "order_id", o.ID)
}

func (e *emitter) start() {
	e.begin.Do(func() { go e.run() })
}

func (e *emitter) run() {
	defer close(e.ended)
	for {
		select {
		case ev := <-e.queue:
			e.deliver(ev)
		case <-e.closing:
			for {
				select {
				case ev := <-e.queue:
					e.deliver(ev)
				default:
					return
				}
			}
		}
	}
}

func (e *emitter) deliver(ev emission) {
	if ev.done != nil {
		close(ev.done)
		return
	}
	e.events.Emit(e.ctx, ev.name, ev.data)
}

// flush waits, for a bounded time, until the events queued so far are emitted.
func (e *emitter) flush() {
	timeout := time.After(emitTimeout)
	mark := emission{done: make(chan struct{})}
	select {
	case e.queue <- mark:
	case <-timeout:
		return
	}
	select {
	case <-mark.done:
	case <-timeout:
	}
}

// close ends the goroutine after the events that are queued. It waits for a
// bounded time.
func (e *emitter) close() {
	close(e.closing)
	e.begin.Do(func() { close(e.ended) })
	select {
	case <-e.ended:
	case <-time.After(emitTimeout):
		e.log.Warn("handlers of events are still busy")
	}
}

// observer tells metrics, logs and events what the use cases did.
type observer struct{ shop *shop }

func (o *observer) OrderCreated(ord *order.Order) {
	o.shop.metrics.created.WithLabelValues(o.shop.id).Inc()
	o.shop.log.Info("order created", "order_id", ord.ID, "total", ord.Total.String(), "test", ord.Test)
	o.shop.app.emitter.emit(eventCreated, ord)
}

func (o *observer) StateChanged(ord *order.Order, was order.State) {
	o.shop.metrics.states.WithLabelValues(o.shop.id, ord.State.String()).Inc()
	o.shop.log.Info("order "+ord.State.String(), "order_id", ord.ID, "total", ord.Total.String(),
		"was", was.String(), "late", ord.Late, "test", ord.Test)
	if name := stateEvents[ord.State]; name != "" {
		o.shop.app.emitter.emit(name, ord)
	}
	o.shop.app.wakeDispatcher()
}

// maxLoggedID bounds what a forged notify can write into the log.
const maxLoggedID = 40

func (o *observer) NotifyAnswered(v payment.Verdict, orderid string) {
	o.shop.metrics.notifies.WithLabelValues(o.shop.id, string(v)).Inc()
	level := slog.LevelInfo
	switch v {
	case payment.NotifyBadKey, payment.NotifyMalformed:
		level = slog.LevelWarn
	case payment.NotifyFailed:
		level = slog.LevelError
	}
	o.shop.log.Log(context.Background(), level, "notify answered", "verdict", string(v), "order_id", orderid[:min(len(orderid), maxLoggedID)])
}

func (o *observer) Alarm(kind, orderid, note string) {
	o.shop.metrics.alarms.WithLabelValues(o.shop.id, kind).Inc()
	o.shop.log.Warn("a payment needs a decision", "kind", kind, "order_id", orderid[:min(len(orderid), maxLoggedID)], "note", note)
}

func (o *observer) BalanceKnown(amount string, at time.Time) {
	o.shop.log.Info("balance known", "uid", o.shop.config.UID, "amount", amount, "at", at)
}

func (s *shop) observeGateway(call, outcome string, took time.Duration) {
	s.metrics.gateway.WithLabelValues(s.id, call, outcome).Observe(took.Seconds())
	if outcome != "ok" {
		s.log.Warn("gateway gave no usable answer", "call", call, "outcome", outcome, "took", took)
	}
}

func (s *shop) catalogRead(products int, err error) {
	if err != nil {
		s.metrics.catalog.WithLabelValues(s.id, "failed").Inc()
		s.log.Error("reading changed catalog; the old prices stay", "error", err)
		return
	}
	s.metrics.catalog.WithLabelValues(s.id, "ok").Inc()
	s.log.Info("catalog read", "products", products)
}

// Interface guard
var _ payment.Observer = (*observer)(nil)
