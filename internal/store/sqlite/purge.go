package sqlite

import (
	"context"
	"fmt"
	"time"
)

// purgePage is how many orders are deleted in one transaction, so that others
// need not wait long.
const purgePage = 100

// purgeable is what an order o must be to be purged.
const purgeable = "o.list = 'expired' AND o.paid = 0 AND o.created < ? AND o.payments = '[]'"

// Purge is [store.Records].Purge.
func (s *Store) Purge(ctx context.Context, before time.Time, n int) (int, error) {
	purged := 0
	for purged < n {
		var ids []string
		page := min(n-purged, purgePage)
		err := s.reader(ctx).query("SELECT o.id FROM shops s CROSS JOIN orders o INDEXED BY orders_by_list ON o.shop = s.n WHERE "+purgeable+" LIMIT ?",
			[]any{bound(before), page}, func(rows scanner) error {
				var id string
				err := rows.Scan(&id)
				ids = append(ids, id)
				return err
			})
		if err != nil {
			return purged, fmt.Errorf("finding orders to purge: %w", err)
		}
		some, err := s.purge(ctx, ids, before)
		if err != nil {
			return purged, fmt.Errorf("purging orders: %w", err)
		}
		purged += some
		if len(ids) < page {
			break
		}
	}
	return purged, nil
}

// purge deletes those of the orders that may still be purged.
func (s *Store) purge(ctx context.Context, ids []string, before time.Time) (purged int, err error) {
	if len(ids) == 0 {
		return 0, nil
	}
	err = s.write(ctx, func(t *tx) error {
		purged = 0
		for _, id := range ids {
			o, err := find(t, id)
			if t.damaged(err) {
				continue
			}
			if err != nil {
				return err
			}
			n, err := t.exec("DELETE FROM orders AS o WHERE id = ? AND "+purgeable, id, bound(before))
			if err != nil {
				return err
			}
			if n == 0 {
				continue // another has been faster
			}
			t.changed = append(t.changed, id)
			if err := t.purgeRest(o); err != nil {
				return err
			}
			purged++
		}
		return nil
	})
	return purged, err
}

// purgeRest deletes what belonged to the order.
func (t *tx) purgeRest(o *row) error {
	for _, l := range o.Lines {
		if _, err := t.exec("DELETE FROM order_skus WHERE shop = (SELECT n FROM shops WHERE name = ?) AND sku = ? AND created = ? AND id = ?",
			o.Shop, l.SKU, ms(o.CreatedAt), o.ID); err != nil {
			return err
		}
	}
	for _, query := range []string{
		"DELETE FROM attempts WHERE delivery IN (SELECT n FROM deliveries WHERE order_id = ?)",
		"DELETE FROM deliveries WHERE order_id = ?",
		"DELETE FROM events WHERE order_id = ?",
	} {
		if _, err := t.exec(query, o.ID); err != nil {
			return err
		}
	}
	return nil
}
