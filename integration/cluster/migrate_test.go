package cluster

import (
	"bytes"
	"context"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-checkout/checkout/integration/harness"
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
	"github.com/caddy-checkout/checkout/internal/store/postgres"
	"github.com/caddy-checkout/checkout/internal/store/postgres/pgtest"
	"github.com/caddy-checkout/checkout/internal/store/sqlite"
)

// A shop moves from its file into a database. The first attempt is killed
// halfway; Caddy then sells nothing from half a copy, and the second attempt
// goes on.
func testMigrationKilled(t *testing.T, pg *pgtest.Server) {
	c := newCluster(t, pg, harness.NewReceiver(t, nil))
	n := c.nodes[0]
	onFile := strings.Replace(c.caddyfile(0), "store postgres {env.CHECKOUT_DSN}", "store sqlite "+n.Dir+"/orders.db", 1)
	n.Start(onFile)
	paid, pending := n.Order(), n.Order()
	expectSuccess(t, n.Notify(paid.Payment("pay-1")))
	n.Stop()
	release := holdLastOrder(t, c.dsn, manyOrders(t, n.Dir+"/orders.db", 4000))

	migrate := func() (output *bytes.Buffer, cmd *exec.Cmd) {
		cmd = n.Command("checkout", "migrate-store", "--from", "sqlite:"+n.Dir+"/orders.db", "--to", "postgres:{env.CHECKOUT_DSN}")
		output = new(bytes.Buffer)
		cmd.Stdout, cmd.Stderr = output, output
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return output, cmd
	}
	out, cmd := migrate()
	awaitHalfACopy(t, c.dsn)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatalf("the copy was done before it was killed:\n%s", out)
	}
	release()

	n.StartWithoutStore(c.caddyfile(0))
	n.AwaitLog("unfinished copy")
	if _, a, err := n.TryOrder(nil); err != nil || a.Status != http.StatusServiceUnavailable {
		t.Errorf("ordering from half a copy: HTTP %d %v", a.Status, err)
	}
	n.Stop()
	out, cmd = migrate()
	if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), "\norders      4002 ") {
		t.Fatalf("the second attempt: %v\n%s", err, out)
	}

	c.start(0)
	if st := n.Status(paid.OrderID); st.State != "paid" {
		t.Errorf("the paid order is %s", st.State)
	}
	expectSuccess(t, n.Notify(pending.Payment("pay-2")))
	again := n.Order()
	expectSuccess(t, n.Notify(again.Payment("pay-1")))
	if st := n.Status(again.OrderID); st.State != "review" {
		t.Errorf("an order with the payid of another one is %s", st.State)
	}
}

// manyOrders fills a database beside the shop's own orders and returns the id
// of the order that is copied last.
func manyOrders(t *testing.T, file string, n int) (last string) {
	t.Helper()
	st, err := sqlite.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	const workers = 80
	now := time.Now()
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			for range n / workers {
				o := &order.Order{
					ID: order.NewID(now), Shop: "another shop", Total: 3900, Title: "Mug", CreatedAt: now, ExpiresAt: now.Add(time.Hour),
					Lines: []order.Line{{SKU: "mug", Name: "Mug", Price: 3900, Qty: 1}},
				}
				if err := st.Create(t.Context(), o, time.Time{}, store.PendingLimits{}); err != nil {
					t.Errorf("worker %d: %v", worker, err)
					return
				}
			}
		})
	}
	wg.Wait()
	newest, _, err := st.List(t.Context(), store.Filter{}, "", 1)
	if err != nil || len(newest) != 1 {
		t.Fatal(newest, err)
	}
	return newest[0].ID
}

// holdLastOrder lets the copy wait in the middle of its last page, until
// release is called.
func holdLastOrder(t *testing.T, dsn, id string) (release func()) {
	t.Helper()
	st, err := postgres.Open(t.Context(), dsn, postgres.Options{}) // makes the tables
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	run := func(statements ...string) {
		for _, sql := range statements {
			if _, err := conn.Exec(t.Context(), sql); err != nil {
				t.Fatalf("%s: %v", sql, err)
			}
		}
	}
	run(
		"SELECT pg_advisory_lock(7411)",
		"CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(7411); RETURN NEW; END'",
		"CREATE TRIGGER hold BEFORE INSERT ON orders FOR EACH ROW WHEN (NEW.id = '"+id+"') EXECUTE FUNCTION hold()",
	)
	return func() {
		run("SELECT pg_advisory_unlock(7411)", "DROP TRIGGER hold ON orders", "DROP FUNCTION hold()")
	}
}

// awaitHalfACopy waits until a part of the orders is there.
func awaitHalfACopy(t *testing.T, dsn string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Failsafe)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	harness.Await(t, "a part of the orders", func() bool {
		var some bool
		err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM unfinished_copy WHERE mark <> '')").Scan(&some)
		return err == nil && some
	})
}
