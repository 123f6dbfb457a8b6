package checkout

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/caddy-checkout/checkout/internal/gateway"
	"github.com/caddy-checkout/checkout/internal/payment"
	"github.com/caddy-checkout/checkout/internal/store"
	"github.com/caddy-checkout/checkout/internal/webhook"
)

// Rhythms of the work that goes on without a request.
const (
	reconcileBusy  = 250 * time.Millisecond // while orders are due
	reconcileIdle  = 2 * time.Second
	reconcileRetry = 15 * time.Second // while the store is in trouble
	balanceEvery   = gateway.BalanceInterval + 5*time.Second
	purgeEvery     = time.Hour
	purgeBatch     = 1000 // orders in one transaction
)

// open gives the store to the shops and starts the work that goes on without
// a request. It ends when ctx does.
func (a *App) open(ctx context.Context) {
	st := a.store.get()
	var targets []webhook.Target
	for _, s := range a.shops {
		service := s.open(st)
		targets = append(targets, s.targets...)
		a.workers.Go(func() { s.reconcile(ctx, service) })
		a.workers.Go(func() { s.watchBalance(ctx, service) })
	}
	dispatcher := webhook.New(webhook.Config{
		Store:   st,
		Targets: targets,
		Observe: func(kind, outcome string, took time.Duration) {
			a.metrics.deliveries.WithLabelValues(kind, outcome).Observe(took.Seconds())
		},
		Log: a.log,
	})
	a.dispatcher.Store(dispatcher)
	a.workers.Go(func() {
		if err := dispatcher.Run(ctx); err != nil {
			a.log.Warn("stopping deliveries", "error", err)
		}
	})
	if a.KeepUnpaid > 0 {
		a.workers.Go(func() { a.purge(ctx, st) })
	}
}

// wakeDispatcher makes it look at the outbox at once.
func (a *App) wakeDispatcher() {
	if d := a.dispatcher.Load(); d != nil {
		d.Wake()
	}
}

// reconcile asks the gateway about the orders that are due.
func (s *shop) reconcile(ctx context.Context, service *payment.Service) {
	failing := false
	for wait := reconcileIdle; pause(ctx, wait); {
		asked, err := service.Reconcile(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !failing {
			s.log.Error("reconciling orders; it is tried again", "error", err)
		}
		failing = err != nil
		switch {
		case failing:
			wait = reconcileRetry
		case asked > 0:
			wait = reconcileBusy
		default:
			wait = reconcileIdle
		}
	}
}

// watchBalance keeps the balance known.
func (s *shop) watchBalance(ctx context.Context, service *payment.Service) {
	for wait := time.Duration(0); pause(ctx, wait); wait = balanceEvery {
		b, err := service.Balance(ctx)
		if !b.At.IsZero() { // also one that is old because the gateway does not answer
			s.metrics.setBalance(s.config.UID, s.config.Gateway, b)
		}
		if err != nil && ctx.Err() == nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, gateway.ErrNoAnswer) {
			s.log.Error("reading balance", "error", err)
		}
	}
}

// purge deletes orders that were never paid, a long time after they expired.
func (a *App) purge(ctx context.Context, st store.Store) {
	for pause(ctx, purgeEvery) {
		before := time.Now().Add(-time.Duration(a.KeepUnpaid))
		purged := 0
		for {
			n, err := st.Purge(ctx, before, purgeBatch)
			purged += n
			if err != nil && ctx.Err() == nil {
				a.log.Error("purging unpaid orders", "error", err)
			}
			if err != nil || n < purgeBatch {
				break
			}
		}
		if purged > 0 {
			a.log.Info("purged unpaid orders", "orders", purged)
		}
	}
}

// pause waits for d, up to a tenth longer, so that many machines do not act as
// one. It returns false when ctx is done.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d + rand.N(d/10+1))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
