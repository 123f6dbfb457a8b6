package store

import (
	"slices"
	"sync"

	"github.com/caddy-checkout/checkout/internal/order"
)

const (
	maxRecent     = 2048 // orders in each of two generations
	maxRecentText = 2048 // bytes of text that an order may have to be kept
)

// Recent holds orders that were read lately: buyers who wait ask for the same
// ones again and again. A store drops an order when it changes. The zero Recent
// is ready; it is safe for concurrent use.
type Recent struct {
	mu           sync.Mutex
	changes      uint64 // how often orders have left
	newer, older map[string]*order.Order
}

// Get returns a copy of the order, or nil, and a ticket for Put.
func (c *Recent) Get(id string) (o *order.Order, ticket uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o = c.newer[id]
	if o == nil {
		if o = c.older[id]; o == nil {
			return nil, c.changes
		}
		c.add(o)
	}
	return clone(o), c.changes
}

// Put keeps a copy of an order that was read after the ticket was drawn, unless
// an order has changed since: it might be this one.
func (c *Recent) Put(o *order.Order, ticket uint64) {
	text := len(o.Title) + len(o.Buyer.Address) + len(o.Buyer.Note) + len(o.Buyer.Name) + len(o.Buyer.Email) + len(o.Note)
	for _, l := range o.Lines {
		text += len(l.SKU) + len(l.Name)
	}
	if text > maxRecentText || len(o.Payments) > 10 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changes == ticket {
		c.add(clone(o))
	}
}

func (c *Recent) add(o *order.Order) {
	if c.newer == nil || len(c.newer) >= maxRecent {
		c.newer, c.older = make(map[string]*order.Order), c.newer
	}
	c.newer[o.ID] = o
}

// Forget drops the orders, which have changed.
func (c *Recent) Forget(ids []string) {
	if len(ids) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes++
	for _, id := range ids {
		delete(c.newer, id)
		delete(c.older, id)
	}
}

// ForgetAll drops all orders, where it is not known which have changed.
func (c *Recent) ForgetAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes++
	c.newer, c.older = nil, nil
}

func clone(o *order.Order) *order.Order {
	c := *o
	c.Lines, c.Payments = slices.Clone(o.Lines), slices.Clone(o.Payments)
	return &c
}
