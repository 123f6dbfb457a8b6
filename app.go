package checkout

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"

	"github.com/caddy-checkout/checkout/internal/webhook"
)

func init() {
	caddy.RegisterModule(new(App))
}

const (
	defaultKeepUnpaid = 30 * 24 * time.Hour
	minKeepUnpaid     = 7 * 24 * time.Hour
)

// App holds what the shops of a configuration share: the store of orders, and
// the work that goes on without a request, such as asking the gateway about
// payments that nobody told of. Without configuration it serves one machine.
type App struct {
	// Where orders are kept. Default: a sqlite file in Caddy's data directory.
	Store *Store `json:"store,omitempty"`

	// How long expired orders without any payment are kept; paid orders and
	// those in review always are. At least 7d; negative: for ever.
	// Default: 30d.
	KeepUnpaid caddy.Duration `json:"keep_unpaid,omitempty"`

	ctx      caddy.Context
	log      *slog.Logger
	metrics  *metrics
	emitter  *emitter
	store    *sharedStore
	storeKey any
	tried    chan struct{} // closed when Start has tried to open the store

	mu       sync.Mutex
	shops    map[string]*shop // by origin and path
	requests requests

	dispatcher atomic.Pointer[webhook.Dispatcher] // nil until the store is ready
	stop       context.CancelFunc
	workers    sync.WaitGroup
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "checkout",
		New: func() caddy.Module { return new(App) },
	}
}

// Provision checks the configuration. It opens no database.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx = ctx
	a.log = ctx.Slogger()
	a.shops = make(map[string]*shop)
	a.tried = make(chan struct{})
	if a.KeepUnpaid == 0 {
		a.KeepUnpaid = caddy.Duration(defaultKeepUnpaid)
	}
	if err := checkKeepUnpaid(time.Duration(a.KeepUnpaid)); err != nil {
		return fmt.Errorf("keep_unpaid: %w", err)
	}
	c, err := a.Store.resolve(caddy.NewReplacer())
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	mod, err := ctx.App("events")
	if err != nil {
		return err
	}
	events := mod.(*caddyevents.App)
	if err := events.On("stopping", waitEnder{a}); err != nil {
		return err
	}
	a.store, a.storeKey = acquireStore(c)
	if a.metrics, err = registerMetrics(ctx.GetMetricsRegistry(), a.store.get); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	a.emitter = newEmitter(ctx, events, a.metrics, a.log)
	return nil
}

func checkKeepUnpaid(d time.Duration) error {
	if d >= 0 && d < minKeepUnpaid {
		return fmt.Errorf("%s is too short for payments that come late; write at least 7d", d)
	}
	return nil
}

// firstAttempt bounds how long Start, and requests that are there before it,
// wait for the store, so that the first of them find it open.
const firstAttempt = 2 * time.Second

// Start opens the store in the background and starts the work that goes on
// without a request. A store that cannot be opened fails nothing: it is tried
// again, and meanwhile checkout answers 503.
func (a *App) Start() error {
	defer close(a.tried)
	a.emitter.start()
	a.store.start(a.log)
	ctx, stop := context.WithCancel(context.WithoutCancel(a.ctx.Context))
	a.stop = stop
	timer := time.NewTimer(firstAttempt)
	defer timer.Stop()
	select {
	case <-a.store.tried:
	case <-timer.C:
	}
	if a.store.get() != nil {
		a.open(ctx)
		return nil
	}
	a.workers.Go(func() {
		select {
		case <-ctx.Done():
		case <-a.store.ready:
			a.log.Info("store opened")
			a.open(ctx)
		}
	})
	return nil
}

// waitEnder answers buyers that wait for a change of state when Caddy is about
// to stop: its servers wait for them, and may be stopped before the app.
type waitEnder struct{ app *App }

// Handle handles the event "stopping".
func (e waitEnder) Handle(context.Context, caddy.Event) error {
	for _, s := range e.app.shops {
		if service := s.service.Load(); service != nil {
			service.EndWaits()
		}
	}
	return nil
}

// Stop ends the work that goes on without a request.
func (a *App) Stop() error {
	a.stop()
	a.workers.Wait()
	a.emitter.flush()
	return nil
}

// Cleanup lets go what Provision acquired, after the last request: after a
// reload, Caddy serves those that had begun before it to their end. Caddy calls
// it after Stop, and after a Provision that failed.
func (a *App) Cleanup() error {
	if a.stop != nil {
		a.stop()
		a.workers.Wait()
	}
	a.requests.afterLast(a.release)
	return nil
}

func (a *App) release() {
	for _, s := range a.shops {
		if service := s.service.Load(); service != nil {
			service.Close()
		}
	}
	if a.emitter != nil {
		a.emitter.close()
	}
	if a.storeKey == nil {
		return
	}
	if _, err := stores.Delete(a.storeKey); err != nil {
		a.log.Error("closing store", "error", err)
	}
}

// requests counts those that are being served.
type requests struct {
	mu   sync.Mutex
	n    int
	last func() // called when n comes to zero; nil: not wanted yet
}

func (r *requests) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
}

func (r *requests) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n--; r.n == 0 && r.last != nil {
		go r.last() // the answer must not wait for it
		r.last = nil
	}
}

// afterLast calls f once, when no request is being served: at once, or when
// the last one ends.
func (r *requests) afterLast(f func()) {
	r.mu.Lock()
	busy := r.n > 0
	if busy {
		r.last = f
	}
	r.mu.Unlock()
	if !busy {
		f()
	}
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)

	_ caddyevents.Handler = waitEnder{}
)
