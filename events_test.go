package checkout

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"

	"context"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/payment"
)

// gate is an event handler that waits to be let through.
type gate struct {
	pass    chan struct{}
	handled chan string
}

func (g *gate) Handle(_ context.Context, e caddy.Event) error {
	<-g.pass
	g.handled <- e.Data["order_id"].(string)
	return nil
}

func newTestEmitter(t *testing.T, h caddyevents.Handler, log *slog.Logger) (*emitter, context.CancelFunc) {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	app := new(caddyevents.App)
	if err := app.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	if err := app.On(eventPaid, h); err != nil {
		t.Fatal(err)
	}
	m, err := registerMetrics(newTestRegistry(), noStore)
	if err != nil {
		t.Fatal(err)
	}
	return newEmitter(ctx, app, m, log), cancel
}

func TestEmitNeverBlocks(t *testing.T) {
	g := &gate{pass: make(chan struct{}), handled: make(chan string, maxEvents+2)}
	var log bytes.Buffer
	e, cancel := newTestEmitter(t, g, slog.New(slog.NewJSONHandler(&log, nil)))
	e.start()
	const more = 100
	for range maxEvents + more {
		e.emit(eventPaid, &order.Order{ID: "A"})
	}
	dropped := strings.Count(log.String(), "event dropped")
	if dropped < more-1 || dropped > more { // one may be with the handler already
		t.Errorf("%d dropped, want about %d", dropped, more)
	}
	// What is queued is emitted, although the config is at its end.
	cancel()
	close(g.pass)
	e.close()
	if n := len(g.handled); n != maxEvents+more-dropped {
		t.Errorf("%d handled and %d dropped of %d", n, dropped, maxEvents+more)
	}
	log.Reset()
	e.emit(eventPaid, &order.Order{ID: "A"})
	if !strings.Contains(log.String(), "event dropped") {
		t.Error("an event after the end went unseen")
	}
}

func TestEmitterFlush(t *testing.T) {
	g := &gate{pass: make(chan struct{}), handled: make(chan string, 3)}
	close(g.pass)
	e, _ := newTestEmitter(t, g, slog.New(slog.DiscardHandler))
	e.start()
	for _, id := range []string{"A", "B", "C"} {
		e.emit(eventPaid, &order.Order{ID: id})
	}
	e.flush()
	if n := len(g.handled); n != 3 {
		t.Errorf("%d events were handled before flush returned, want 3", n)
	}
	e.close()
}

func TestEmitterNeverStarted(t *testing.T) {
	e, _ := newTestEmitter(t, &gate{}, slog.New(slog.DiscardHandler))
	e.close()
}

// Logs name the order, its state and the verdict, cut what may be forged, and
// warn where a person must look.
func TestObserverLogs(t *testing.T) {
	var log bytes.Buffer
	m, err := registerMetrics(newTestRegistry(), noStore)
	if err != nil {
		t.Fatal(err)
	}
	e, _ := newTestEmitter(t, &gate{}, slog.New(slog.DiscardHandler))
	defer e.close()
	s := &shop{id: "s", config: &Handler{UID: "1"}, metrics: m, app: &App{emitter: e}, log: slog.New(slog.NewJSONHandler(&log, nil))}
	o := &observer{s}
	for _, tc := range []struct {
		do   func()
		want map[string]any
	}{
		{func() { o.OrderCreated(&order.Order{ID: "A", Total: 3900}) },
			map[string]any{"level": "INFO", "msg": "order created", "order_id": "A", "total": "39.00"}},
		{func() {
			o.StateChanged(&order.Order{ID: "A", Total: 3900, State: order.Paid, Late: true}, order.Expired)
		},
			map[string]any{"level": "INFO", "msg": "order paid", "order_id": "A", "was": "expired", "late": true}},
		{func() { o.NotifyAnswered(payment.NotifyPaid, "A") },
			map[string]any{"level": "INFO", "verdict": "paid", "order_id": "A"}},
		{func() { o.NotifyAnswered(payment.NotifyBadKey, strings.Repeat("x", 9000)) },
			map[string]any{"level": "WARN", "verdict": "bad_key", "order_id": strings.Repeat("x", maxLoggedID)}},
		{func() { o.NotifyAnswered(payment.NotifyFailed, "A") },
			map[string]any{"level": "ERROR", "verdict": "failed"}},
		{func() { o.Alarm(payment.AlarmOrphan, "A", "no such order") },
			map[string]any{"level": "WARN", "kind": "orphan", "order_id": "A", "note": "no such order"}},
		{func() { o.BalanceKnown("5.94", time.UnixMilli(0)) },
			map[string]any{"level": "INFO", "uid": "1", "amount": "5.94"}},
		{func() { s.observeGateway("status", "timeout", time.Second) },
			map[string]any{"level": "WARN", "call": "status", "outcome": "timeout"}},
	} {
		log.Reset()
		tc.do()
		var got map[string]any
		if err := json.Unmarshal(log.Bytes(), &got); err != nil {
			t.Errorf("%v: %v", err, log.String())
		}
		for k, want := range tc.want {
			if got[k] != want {
				t.Errorf("%s is %v, want %v in %s", k, got[k], want, log.String())
			}
		}
	}
}
