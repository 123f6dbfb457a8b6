package simulation

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// memory is the part of a store that histories need, as plain as it can be: a
// model that the real stores are compared with. What the embedded interface
// has besides is not there.
type memory struct {
	store.Store
	hub store.Hub

	mu      sync.Mutex
	orders  map[string]*record
	orphans map[store.Orphan]bool
}

type record struct {
	order  order.Order
	due    time.Time // zero: never
	events []store.Event
}

func newMemory() *memory {
	return &memory{orders: make(map[string]*record), orphans: make(map[store.Orphan]bool)}
}

func (m *memory) find(shop, id string) (*record, error) {
	r := m.orders[id]
	if r == nil || r.order.Shop != shop {
		return nil, store.ErrNotFound
	}
	return r, nil
}

// without is a copy that shares nothing with the record, without its history.
func (r *record) without() order.Order {
	o := r.order
	o.Payments, o.History = slices.Clone(o.Payments), nil
	return o
}

func (m *memory) Create(_ context.Context, o *order.Order, first time.Time, _ store.PendingLimits) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.orders[o.ID] != nil {
		return store.ErrExists
	}
	c := *o
	c.History = slices.Clone(c.History)
	m.orders[o.ID] = &record{order: c, due: first}
	return nil
}

func (m *memory) Order(_ context.Context, shop, id string) (*order.Order, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, err := m.find(shop, id)
	if err != nil {
		return nil, err
	}
	o := r.without()
	return &o, nil
}

func (m *memory) Update(_ context.Context, shop, id, payid string, decide func(store.Subject) (*store.Change, error)) (*order.Order, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, err := m.find(shop, id)
	if err != nil {
		return nil, err
	}
	sub := store.Subject{Order: r.without()}
	for other, or := range m.orders {
		if payid != "" && other != id && or.order.Shop == shop &&
			slices.ContainsFunc(or.order.Payments, func(p order.Payment) bool { return p.PayID == payid }) {
			sub.PayidOf = other
		}
	}
	c, err := decide(sub)
	if err != nil {
		return nil, err
	}
	if c != nil {
		if c.Payment != nil && sub.PayidOf != "" {
			return nil, fmt.Errorf("payid %s belongs to order %s", payid, sub.PayidOf)
		}
		r.apply(c)
		m.hub.Publish(store.Notice{Shop: shop, ID: id, State: r.order.State, Was: sub.Order.State})
	}
	o := r.without()
	return &o, nil
}

func (r *record) apply(c *store.Change) {
	payments, history := r.order.Payments, r.order.History
	r.order = c.Order
	history = append(history, c.Entries...)
	r.order.Payments, r.order.History = payments, history
	switch p := c.Payment; {
	case p == nil:
	case c.AdoptID:
		for i := range r.order.Payments {
			if r.order.Payments[i].PayID == "" {
				r.order.Payments[i].PayID = p.PayID
				break
			}
		}
	default:
		r.order.Payments = append(r.order.Payments, *p)
	}
	r.events = append(r.events, c.Events...)
	if c.SetNextQuery {
		r.due = c.NextQuery
	}
}

func (m *memory) KeepOrphan(_ context.Context, o store.Orphan) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o.At = time.Time{}
	fresh := !m.orphans[o]
	m.orphans[o] = true
	return fresh, nil
}

func (m *memory) Orphans(_ context.Context, _, _ string, _ int) (page []store.Orphan, next string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for o := range m.orphans {
		page = append(page, o)
	}
	return page, "", nil
}

func (m *memory) Watch(shop, id string) (<-chan struct{}, func()) { return m.hub.Watch(shop, id) }

// claim grants a question to a record once per interval.
func (r *record) claim(now time.Time, interval time.Duration) bool {
	since := now.Sub(r.order.AskedAt)
	if !r.order.AskedAt.IsZero() && since < interval {
		if since < 0 {
			r.order.AskedAt = now
		}
		return false
	}
	r.order.AskedAt = now
	return true
}

func (m *memory) ClaimQuestion(_ context.Context, shop, id string, now time.Time, interval time.Duration) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, err := m.find(shop, id)
	if err != nil {
		return false, err
	}
	return r.claim(now, interval), nil
}

func (m *memory) ClaimDue(_ context.Context, shop string, now, youngest time.Time, interval time.Duration, n int, next func(order.Order) time.Time) ([]order.Order, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var due []*record
	for _, r := range m.orders {
		open := r.order.State == order.Pending || r.order.State == order.Expired
		if r.order.Shop == shop && open && !r.due.IsZero() && !r.due.After(now) && !r.order.CreatedAt.After(youngest) {
			due = append(due, r)
		}
	}
	slices.SortFunc(due, func(a, b *record) int { return b.order.CreatedAt.Compare(a.order.CreatedAt) })
	var claimed []order.Order
	for _, r := range due {
		if len(claimed) == n {
			break
		}
		if !r.claim(now, interval) {
			continue
		}
		r.due = next(r.without())
		claimed = append(claimed, r.without())
	}
	return claimed, nil
}

func (m *memory) Detail(_ context.Context, id string) (*order.Order, []store.Delivery, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.orders[id]
	if r == nil {
		return nil, nil, store.ErrNotFound
	}
	o := r.order
	var d []store.Delivery
	for _, e := range r.events {
		for _, target := range e.Targets {
			d = append(d, store.Delivery{ID: e.ID + target, OrderID: id, EventID: e.ID, Type: e.Type, Target: target, State: store.DeliveryPending})
		}
	}
	return &o, d, nil
}
