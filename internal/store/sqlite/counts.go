package sqlite

import (
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// counts are what the ops of a transaction add to the numbers of orders that
// shops and clients have. They are written once, before the transaction ends:
// a trigger would write them for every order.
type counts struct {
	shops   map[int64]ofShop
	clients map[ofClient]int // pending ones
}

type ofShop struct{ pending, review int }

type ofClient struct {
	shop   int64
	client string
}

// count adds n to the orders of a client in a state.
func (t *tx) count(shop int64, client string, state order.State, n int) {
	if state != order.Pending && state != order.Review {
		return
	}
	if t.counts.shops == nil {
		t.counts = counts{shops: make(map[int64]ofShop), clients: make(map[ofClient]int)}
	}
	c := t.counts.shops[shop]
	if state == order.Pending {
		c.pending += n
		t.counts.clients[ofClient{shop, client}] += n
	} else {
		c.review += n
	}
	t.counts.shops[shop] = c
}

// writeCounts writes what was counted. A client without pending orders is
// not kept.
func (t *tx) writeCounts() error {
	for shop, c := range t.counts.shops {
		if _, err := t.exec("UPDATE shops SET pending = pending + ?, review = review + ? WHERE n = ?", c.pending, c.review, shop); err != nil {
			return err
		}
	}
	for of, n := range t.counts.clients {
		var err error
		switch {
		case n > 0:
			_, err = t.exec(`INSERT INTO clients (shop, client, pending) VALUES (?, ?, ?)
				ON CONFLICT DO UPDATE SET pending = pending + excluded.pending`, of.shop, of.client, n)
		case n < 0:
			var gone int
			gone, err = t.exec("DELETE FROM clients WHERE shop = ? AND client = ? AND pending <= ?", of.shop, of.client, -n)
			if err == nil && gone == 0 {
				_, err = t.exec("UPDATE clients SET pending = pending + ? WHERE shop = ? AND client = ?", n, of.shop, of.client)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// limit refuses one pending order too many.
func (t *tx) limit(shop int64, client string, limits store.PendingLimits) error {
	if limits.PerClient <= 0 && limits.Total <= 0 {
		return nil
	}
	var ofThis, total int
	if _, err := one(t, `SELECT s.pending, coalesce(c.pending, 0) FROM shops s LEFT JOIN clients c ON c.shop = s.n AND c.client = ? WHERE s.n = ?`,
		[]any{client, shop}, &total, &ofThis); err != nil {
		return err
	}
	total += t.counts.shops[shop].pending
	ofThis += t.counts.clients[ofClient{shop, client}]
	if limits.PerClient > 0 && ofThis >= limits.PerClient {
		return &store.LimitError{PerClient: true, Limit: limits.PerClient}
	}
	if limits.Total > 0 && total >= limits.Total {
		return &store.LimitError{Limit: limits.Total}
	}
	return nil
}
