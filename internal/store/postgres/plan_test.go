package postgres

import (
	"context"
	"sync"
	"testing"

	"github.com/caddy-checkout/checkout/internal/store"
)

// TestPlansOfAnEmptyDatabase has a node start on a database without any order:
// the plans that it makes then must do when there are many.
func TestPlansOfAnEmptyDatabase(t *testing.T) {
	dsn := server(t).Schema(t)
	s := open(t, dsn)
	const clients, each = 32, 16
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for range each {
				o := newOrder("shop")
				if err := s.Create(context.Background(), o, t0, store.PendingLimits{}); err != nil {
					t.Error(err)
					return
				}
				if _, err := s.Update(context.Background(), o.Shop, o.ID, o.ID, pay(o.ID)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	c := session(t, dsn)
	var updated, scanned, looked int
	eventually(t, "the statistics", func() bool { // a server process leaves them when it ends
		err := c.QueryRow(t.Context(), `SELECT sum(n_tup_upd), sum(seq_tup_read), sum((SELECT sum(idx_tup_read) FROM pg_stat_user_indexes i WHERE i.relid = t.relid))
			FROM pg_stat_user_tables t WHERE schemaname = current_schema() AND relname IN ('orders', 'payids')`).Scan(&updated, &scanned, &looked)
		if err != nil {
			t.Fatal(err)
		}
		return updated >= clients*each
	})
	if scanned > 0 || looked > 4*updated {
		t.Errorf("for %d payments %d rows were read without an index and %d index entries", updated, scanned, looked)
	}
}
