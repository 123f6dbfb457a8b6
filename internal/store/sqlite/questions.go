package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// claim decides whether what was last claimed at asked may be claimed now, and
// returns the time to keep, which is asked if nothing changes.
func (t *tx) claim(key string, asked int64, now time.Time, interval time.Duration) (granted bool, keep int64) {
	switch known := &t.w.s.known; {
	case asked > ms(now):
		return false, ms(now)
	case asked != 0 && ms(now)-asked < interval.Milliseconds(), known.within(key, now, interval):
		return false, asked
	default:
		t.after = append(t.after, func() { known.remember(key, now) })
		return true, ms(now)
	}
}

// ClaimQuestion is [store.Questions].ClaimQuestion.
func (s *Store) ClaimQuestion(ctx context.Context, shop, id string, now time.Time, interval time.Duration) (granted bool, err error) {
	err = s.write(ctx, func(t *tx) error {
		granted = false
		var asked, keep int64
		found, err := one(t, "SELECT asked FROM orders WHERE id = ? AND shop = (SELECT n FROM shops WHERE name = ?)", []any{id, shop}, &asked)
		if err != nil {
			return err
		}
		if !found {
			return store.ErrNotFound
		}
		granted, keep = t.claim("order "+id, asked, now, interval)
		if keep == asked {
			return nil
		}
		t.changed = append(t.changed, id)
		_, err = t.exec("UPDATE orders SET asked = ? WHERE id = ?", keep, id)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("claiming a question: %w", err)
	}
	return granted, nil
}

// ClaimDue is [store.Questions].ClaimDue.
func (s *Store) ClaimDue(ctx context.Context, shop string, now, youngest time.Time, interval time.Duration, n int, next func(order.Order) time.Time) ([]order.Order, error) {
	var claimed []order.Order
	last := key{created: ms(youngest) + 1}
	for len(claimed) < n {
		// What is due is looked up beside the writer, which looks again.
		var page []key
		err := s.reader(ctx).query(`SELECT created, id FROM orders INDEXED BY orders_due
			WHERE shop = (SELECT n FROM shops WHERE name = ?) AND next > 0 AND next <= ? AND state IN ('pending', 'expired') AND (created, id) < (?, ?)
			ORDER BY created DESC, id DESC LIMIT ?`,
			[]any{shop, ms(now), last.created, last.id, n}, appendKeys(&page))
		if err != nil {
			return claimed, fmt.Errorf("finding due orders: %w", err)
		}
		if len(page) == 0 {
			break
		}
		last = page[len(page)-1]
		some, err := s.claimOrders(ctx, page, now, interval, n-len(claimed), next)
		if err != nil {
			return claimed, fmt.Errorf("claiming due orders: %w", err)
		}
		claimed = append(claimed, some...)
	}
	return claimed, nil
}

// claimOrders claims up to n of the orders on the page.
func (s *Store) claimOrders(ctx context.Context, page []key, now time.Time, interval time.Duration, n int, next func(order.Order) time.Time) (claimed []order.Order, err error) {
	err = s.write(ctx, func(t *tx) error {
		claimed = nil
		for _, k := range page {
			if len(claimed) == n {
				return nil
			}
			o, err := find(t, k.id)
			if t.damaged(err) {
				continue // the others must not wait for it
			}
			if err != nil {
				return err
			}
			if o == nil || o.next == 0 || o.next > ms(now) || (o.State != order.Pending && o.State != order.Expired) {
				continue // another has been faster
			}
			asked := ms(o.AskedAt)
			granted, keep := t.claim("order "+o.ID, asked, now, interval)
			o.AskedAt = at(keep)
			if granted {
				o.next = ms(next(o.Order))
				claimed = append(claimed, o.Order)
			}
			if keep == asked && !granted {
				continue
			}
			t.changed = append(t.changed, o.ID)
			if _, err := t.exec("UPDATE orders SET asked = ?, next = ? WHERE id = ?", keep, o.next, o.ID); err != nil {
				return err
			}
		}
		return nil
	})
	return claimed, err
}

// ClaimBalance is [store.Questions].ClaimBalance.
func (s *Store) ClaimBalance(ctx context.Context, merchant string, now time.Time, interval time.Duration) (granted bool, err error) {
	err = s.write(ctx, func(t *tx) error {
		var asked, keep int64
		if _, err := one(t, "SELECT asked FROM balances WHERE merchant = ?", []any{merchant}, &asked); err != nil {
			return err
		}
		granted, keep = t.claim("balance "+merchant, asked, now, interval)
		if keep == asked {
			return nil
		}
		_, err := t.exec("INSERT INTO balances (merchant, asked) VALUES (?, ?) ON CONFLICT DO UPDATE SET asked = excluded.asked", merchant, keep)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("claiming a balance: %w", err)
	}
	return granted, nil
}

// SaveBalance is [store.Questions].SaveBalance.
func (s *Store) SaveBalance(ctx context.Context, b store.Balance) error {
	err := s.write(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO balances (merchant, amount, at) VALUES (?, ?, ?)
			ON CONFLICT DO UPDATE SET amount = excluded.amount, at = excluded.at`, b.Merchant, b.Amount, ms(b.At))
		return err
	})
	if err != nil {
		return fmt.Errorf("saving balance: %w", err)
	}
	return nil
}

// Balance is [store.Questions].Balance.
func (s *Store) Balance(ctx context.Context, merchant string) (store.Balance, error) {
	b := store.Balance{Merchant: merchant}
	found := false
	err := s.reader(ctx).query("SELECT amount, at FROM balances WHERE merchant = ? AND at <> 0", []any{merchant}, func(rows scanner) error {
		var kept int64
		found = true
		err := rows.Scan(&b.Amount, &kept)
		b.At = at(kept)
		return err
	})
	if err != nil {
		return store.Balance{}, fmt.Errorf("reading balance: %w", err)
	}
	if !found {
		return store.Balance{}, store.ErrNotFound
	}
	return b, nil
}
