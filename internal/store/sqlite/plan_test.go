package sqlite

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// TestPlans asks SQLite how it finds what the statements of every method want:
// none may read a table of many rows from end to end.
func TestPlans(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "orders.db"))
	ctx := t.Context()
	o := newOrder()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(s.Create(ctx, o, o.CreatedAt, store.PendingLimits{PerClient: 5, Total: 5}))
	check(pay(ctx, s, o))
	gone, err := create(ctx, s)
	check(err)
	_, err = s.Update(ctx, gone.Shop, gone.ID, "", func(sub store.Subject) (*store.Change, error) {
		sub.Order.State = order.Expired
		return &store.Change{Order: sub.Order}, nil
	})
	check(err)
	now := time.Now().Add(time.Minute)
	_, err = s.ClaimQuestion(ctx, o.Shop, o.ID, now, time.Minute)
	check(err)
	_, err = s.ClaimDue(ctx, o.Shop, now, now, time.Minute, 5, func(order.Order) time.Time { return now })
	check(err)
	claimed, err := s.ClaimDeliveries(ctx, "webhook:x", now, time.Minute, 5)
	check(err)
	check(s.RecordAttempt(ctx, claimed[0].ID, store.Attempt{At: now}, store.DeliveryPending, now))
	check(s.Redeliver(ctx, claimed[0].ID, now))
	_, err = s.PendingTargets(ctx)
	check(err)
	_, _, err = s.Detail(ctx, o.ID)
	check(err)
	for _, f := range []store.Filter{
		{}, {Shop: o.Shop, States: []order.State{order.Paid}}, {SKU: "mug"}, {SKU: "mug", States: []order.State{order.Review}},
		{Todo: store.TodoShip}, {Todo: store.TodoShip, SKU: "mug", Text: "a"},
	} {
		_, _, err = s.List(ctx, f, "", 5)
		check(err)
	}
	_, err = s.Summarize(ctx, "", time.Time{}, time.Time{}, nil)
	check(err)
	_, _, err = s.Deliveries(ctx, "", "", "", 5)
	check(err)
	_, err = s.Stats(ctx)
	check(err)
	_, err = s.Purge(ctx, now, 5)
	check(err)

	queries := make(map[string]bool)
	s.stmts.Range(func(query, _ any) bool {
		queries[query.(string)] = true
		return true
	})
	check(s.write(ctx, func(tx *tx) error {
		for query := range tx.w.conn.stmts {
			queries[query] = true
		}
		return nil
	}))
	// What has few rows: shops, targets, the JSON of one order. So have
	// deliveries that are pending.
	small := map[string]bool{"s": true, "shops": true, "t": true, "json_each": true, "l": true, "CONSTANT": true, "a": true, "v": true, "sqlite_master": true}
	db, err := sql.Open("sqlite", s.dsn)
	check(err)
	defer db.Close()
	for query := range queries {
		if strings.HasPrefix(query, "PRAGMA") || strings.HasPrefix(query, "BEGIN") || query == "COMMIT" || query == "ROLLBACK" {
			continue
		}
		// Arguments do not change the plan, their number must fit.
		args := make([]any, 40)
		rows, err := db.QueryContext(ctx, "EXPLAIN QUERY PLAN "+query, args...)
		check(err)
		for rows.Next() {
			var id, parent, unused int
			var detail string
			check(rows.Scan(&id, &parent, &unused, &detail))
			if name, scans := strings.CutPrefix(detail, "SCAN "); scans && !small[strings.Fields(name)[0]] && !strings.Contains(name, "deliveries_due") {
				t.Errorf("%s\n%s", detail, query)
			}
			if strings.Contains(query, "orders_due") && strings.Contains(detail, "TEMP B-TREE") {
				t.Errorf("all orders that are due are read for a few of them: %s\n%s", detail, query)
			}
		}
		check(rows.Err())
		check(rows.Close())
	}
	if len(queries) < 40 {
		t.Errorf("only %d statements were looked at", len(queries))
	}
}
