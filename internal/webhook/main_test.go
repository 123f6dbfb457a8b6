package webhook

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// failsafe bounds waits for events that always come.
const failsafe = 2 * time.Minute

// epoch is where injected clocks begin.
var epoch = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// memory is an outbox that keeps the promises of store.Outbox in memory.
type memory struct {
	mu         sync.Mutex
	deliveries []*store.Delivery // oldest first
	claimErr   error
	recordErr  error
	changed    chan struct{} // closed and replaced at each record
}

func newMemory() *memory { return &memory{changed: make(chan struct{})} }

// add queues an event of an order for the targets and returns its id.
func (m *memory) add(shop, orderID, eventType string, payload []byte, targets ...string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	event := order.NewID(epoch)
	for _, target := range targets {
		m.deliveries = append(m.deliveries, &store.Delivery{
			ID: fmt.Sprintf("d%d", len(m.deliveries)), Shop: shop, OrderID: orderID, EventID: event,
			Type: eventType, Target: target, State: store.DeliveryPending, Payload: payload,
		})
	}
	return event
}

func (m *memory) ClaimDeliveries(_ context.Context, target string, now time.Time, lease time.Duration, n int) ([]store.Delivery, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.claimErr != nil {
		return nil, m.claimErr
	}
	var claimed []store.Delivery
	seen := make(map[string]bool)
	for _, d := range m.deliveries {
		key := d.Shop + "/" + d.OrderID
		if d.Target != target || d.State != store.DeliveryPending || seen[key] {
			continue
		}
		seen[key] = true
		if d.NextAt.After(now) || len(claimed) == n {
			continue
		}
		d.NextAt = now.Add(lease)
		claimed = append(claimed, *d)
	}
	return claimed, nil
}

func (m *memory) RecordAttempt(ctx context.Context, id string, a store.Attempt, state string, next time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer func() {
		close(m.changed)
		m.changed = make(chan struct{})
	}()
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.recordErr != nil {
		return m.recordErr
	}
	for _, d := range m.deliveries {
		if d.ID == id {
			d.Attempts++
			d.Log = append(d.Log, a)
			d.State, d.NextAt = state, next
			return nil
		}
	}
	return store.ErrNotFound
}

func (m *memory) Redeliver(_ context.Context, id string, now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range m.deliveries {
		if d.ID == id {
			d.State, d.NextAt = store.DeliveryPending, now
			return nil
		}
	}
	return store.ErrNotFound
}

func (m *memory) PendingTargets(context.Context) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var targets []string
	for _, d := range m.deliveries {
		if d.State == store.DeliveryPending && !slices.Contains(targets, d.Target) {
			targets = append(targets, d.Target)
		}
	}
	return targets, nil
}

func (m *memory) fail(claim, record error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.claimErr, m.recordErr = claim, record
}

// get returns the delivery of an event to a target.
func (m *memory) get(event, target string) store.Delivery {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range m.deliveries {
		if d.EventID == event && d.Target == target {
			return *d
		}
	}
	return store.Delivery{}
}

// await waits until the delivery has had so many attempts.
func (m *memory) await(t *testing.T, event, target string, attempts int) store.Delivery {
	t.Helper()
	timeout := time.After(failsafe)
	for {
		m.mu.Lock()
		changed := m.changed
		m.mu.Unlock()
		if d := m.get(event, target); d.Attempts >= attempts {
			return d
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("delivery of %s to %s: no attempt %d", event, target, attempts)
		}
	}
}

// senderFunc is a Sender made of a function.
type senderFunc func(ctx context.Context, d store.Delivery) (int, string, Outcome)

func (f senderFunc) Send(ctx context.Context, d store.Delivery) (int, string, Outcome) {
	return f(ctx, d)
}

// scripted answers with the outcomes given, the last one forever, and keeps
// what it was sent and when.
type scripted struct {
	mu       sync.Mutex
	outcomes []Outcome
	events   []string
	times    []time.Time
}

func (s *scripted) Send(_ context.Context, d store.Delivery) (int, string, Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, d.EventID)
	s.times = append(s.times, time.Now())
	o := s.outcomes[0]
	if len(s.outcomes) > 1 {
		s.outcomes = s.outcomes[1:]
	}
	return 500, "scripted", o
}

func (s *scripted) sent() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// clock is an injected clock.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// start runs a Dispatcher; stop ends it and returns what Run returned.
func start(t *testing.T, c Config) (d *Dispatcher, stop func() error) {
	t.Helper()
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	d = New(c)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { stop() })
	return d, stop
}

var _ store.Outbox = (*memory)(nil)
