package postgres

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
	"github.com/caddy-checkout/checkout/internal/store/postgres/pgtest"
)

// session is a connection beside the store's.
func session(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func exec(t testing.TB, c *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := c.Exec(context.Background(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func TestRestartUnderLoad(t *testing.T) {
	pg := pgtest.Start(t)
	dsn := pg.Schema(t)
	nodes := []*Store{open(t, dsn), open(t, dsn)}

	type written struct {
		o    *order.Order
		paid bool
	}
	var mu sync.Mutex
	var acked []written
	var tries, refused atomic.Int64
	over := make(chan struct{})
	var workers sync.WaitGroup
	for i := range 16 {
		workers.Go(func() {
			s := nodes[i%2]
			for {
				select {
				case <-over:
					return
				default:
				}
				tries.Add(1)
				w := written{o: newOrder("shop")}
				err := s.Create(context.Background(), w.o, t0, store.PendingLimits{Total: 1 << 20})
				if err == nil {
					_, err = s.Update(context.Background(), "shop", w.o.ID, w.o.ID, pay(w.o.ID))
					w.paid = err == nil
					mu.Lock()
					acked = append(acked, w)
					mu.Unlock()
				}
				if err != nil {
					refused.Add(1)
					if !errors.Is(err, store.ErrUnavailable) {
						t.Errorf("got %v, want ErrUnavailable", err)
						return
					}
				}
			}
		})
	}
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(acked)
	}
	more := func(n int) {
		for from, limit := count(), time.After(failsafe); count() < from+n; {
			select {
			case <-limit:
				t.Fatalf("only %d orders more", count()-from)
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	more(50)
	for range 3 {
		if err := pg.Restart(); err != nil {
			t.Error(err)
			break
		}
		more(50)
	}
	close(over)
	workers.Wait()
	t.Logf("%d tries, %d refused", tries.Load(), refused.Load())

	for _, w := range acked {
		got, deliveries, err := nodes[0].Detail(context.Background(), w.o.ID)
		if err != nil {
			t.Fatalf("an acknowledged order: %v", err)
		}
		isPaid := got.State == order.Paid
		if w.paid && !isPaid {
			t.Errorf("order %s was acknowledged as paid and is %s", got.ID, got.State)
		}
		n := 0
		if isPaid {
			n = 1
		}
		if len(got.Payments) != n || len(deliveries) != n || len(got.History) != 1+n {
			t.Errorf("order %s is %s with %d payments, %d deliveries, %d entries", got.ID, got.State, len(got.Payments), len(deliveries), len(got.History))
		}
	}
}

func TestStoppedServer(t *testing.T) {
	pg := pgtest.Start(t)
	s := open(t, pg.Schema(t))
	o := create(t, s, newOrder("shop"))
	changed, stop := s.Watch(o.Shop, o.ID)
	defer stop()
	if err := pg.Stop(); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"Ping":   func() error { return s.Ping(t.Context()) },
		"Create": func() error { return s.Create(t.Context(), newOrder("shop"), t0, store.PendingLimits{}) },
		"Order":  func() error { _, err := s.Order(t.Context(), o.Shop, o.ID); return err },
		"Update": func() error { _, err := s.Update(t.Context(), o.Shop, o.ID, "P1", pay("P1")); return err },
		"ClaimQuestion": func() error {
			_, err := s.ClaimQuestion(t.Context(), o.Shop, o.ID, t0, time.Minute)
			return err
		},
	} {
		if err := call(); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: got %v, want ErrUnavailable", name, err)
		}
	}
	if err := pg.Resume(); err != nil {
		t.Fatal(err)
	}
	update(t, s, o, "P1", pay("P1"))
	await(t, "the wake-up", changed)
}

// TestLockedRow holds the lock of one order while everything else goes on.
func TestLockedRow(t *testing.T) {
	dsn := server(t).Schema(t)
	s := open(t, dsn)
	locked := create(t, s, newOrder("shop"))
	others := make([]*order.Order, 32)
	for i := range others {
		others[i] = create(t, s, newOrder("shop"))
	}
	c := session(t, dsn)
	exec(t, c, "BEGIN")
	exec(t, c, "SELECT FROM orders WHERE id = $1 FOR UPDATE", locked.ID)

	waiting := make(chan error, 1)
	go func() {
		_, err := s.Update(context.Background(), "shop", locked.ID, "P1", pay("P1"))
		waiting <- err
	}()
	var wg sync.WaitGroup
	for i, o := range others {
		wg.Go(func() {
			if _, err := s.Update(context.Background(), "shop", o.ID, "", noted("x")); err != nil {
				t.Errorf("update %d: %v", i, err)
			}
			if err := s.Create(context.Background(), newOrder("shop"), t0, store.PendingLimits{}); err != nil {
				t.Errorf("create %d: %v", i, err)
			}
		})
	}
	wg.Wait() // although the lock is held still

	exec(t, c, "ROLLBACK")
	if err := await(t, "the update of the locked order", waiting); err != nil {
		// The machine was so slow that the lock was held for too long.
		if !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("got %v, want nil or ErrUnavailable", err)
		}
		update(t, s, locked, "P1", pay("P1"))
	}
	got, err := s.Order(t.Context(), "shop", locked.ID)
	if err != nil || got.State != order.Paid || len(got.Payments) != 1 {
		t.Errorf("in the end: %+v, %v", got, err)
	}
}

func TestLockHeldForTooLong(t *testing.T) {
	dsn := server(t).Schema(t)
	s := open(t, dsn+"&lock_timeout=50ms")
	o := create(t, s, newOrder("shop"))
	c := session(t, dsn)
	exec(t, c, "BEGIN")
	exec(t, c, "SELECT FROM orders WHERE id = $1 FOR UPDATE", o.ID)
	if _, err := s.Update(t.Context(), "shop", o.ID, "P1", pay("P1")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Update: got %v, want ErrUnavailable", err)
	}
	if _, err := s.ClaimQuestion(t.Context(), "shop", o.ID, t0, time.Minute); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("ClaimQuestion: got %v, want ErrUnavailable", err)
	}
	due, err := s.ClaimDue(t.Context(), "shop", t0, t0, time.Minute, 10, func(order.Order) time.Time { return t0 })
	if err != nil || len(due) != 0 {
		t.Errorf("ClaimDue: got %d orders, %v; want none", len(due), err)
	}
	exec(t, c, "ROLLBACK")
	got, err := s.Order(t.Context(), "shop", o.ID)
	if err != nil || got.State != order.Pending || !got.AskedAt.IsZero() {
		t.Errorf("afterwards: %+v, %v", got, err)
	}
}

// TestLostRow has the database swallow an UPDATE: the payment that came with
// it must not be committed.
func TestLostRow(t *testing.T) {
	dsn := server(t).Schema(t)
	s := open(t, dsn)
	o := create(t, s, newOrder("shop"))
	c := session(t, dsn)
	exec(t, c, `CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`)
	exec(t, c, `CREATE TRIGGER swallow BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION swallow()`)
	if _, err := s.Update(t.Context(), "shop", o.ID, "P1", pay("P1")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	got, deliveries, err := s.Detail(t.Context(), o.ID)
	if err != nil || len(got.Payments) != 0 || len(deliveries) != 0 || got.State != order.Pending {
		t.Errorf("afterwards: %+v, %d deliveries, %v", got, len(deliveries), err)
	}
}

// TestPoison has some of a group refused by the database, or unreadable. The
// others must not suffer.
func TestPoison(t *testing.T) {
	dsn := server(t).Schema(t)
	s := open(t, dsn)
	first, torn := create(t, s, newOrder("shop")), create(t, s, newOrder("shop"))
	taken := store.Event{ID: order.NewID(t0), Type: "x", At: t0, Payload: []byte("{}"), Targets: []string{"webhook:x"}}
	emit := func(sub store.Subject) (*store.Change, error) {
		return &store.Change{Order: sub.Order, Events: []store.Event{taken}}, nil
	}
	update(t, s, first, "", emit)
	exec(t, session(t, dsn), "UPDATE orders SET lines = '{' WHERE id = $1", torn.ID)

	var wg sync.WaitGroup
	for i := range 64 {
		o := create(t, s, newOrder("shop"))
		wg.Go(func() {
			var err error
			switch i % 4 {
			case 0:
				_, err = s.Update(t.Context(), "shop", o.ID, "", emit)
			case 1:
				_, err = s.Update(t.Context(), "shop", torn.ID, "", noted("x"))
			case 2:
				_, err = s.Update(t.Context(), "shop", o.ID, o.ID, pay(o.ID))
			case 3:
				err = s.Create(t.Context(), newOrder("shop"), t0, store.PendingLimits{})
			}
			if poisoned := i%4 < 2; poisoned != errors.Is(err, store.ErrUnavailable) || (err == nil) == poisoned {
				t.Errorf("%d: got %v", i, err)
			}
		})
	}
	wg.Wait()
}

func TestPanicOfDecide(t *testing.T) {
	s := open(t, server(t).Schema(t))
	o := create(t, s, newOrder("shop"))
	func() {
		defer func() {
			if r := recover(); r != "mine" {
				t.Errorf("recovered %v, want decide's own panic", r)
			}
		}()
		_, _ = s.Update(t.Context(), "shop", o.ID, "", func(store.Subject) (*store.Change, error) { panic("mine") })
	}()
	update(t, s, o, "", noted("x"))
}

func TestReadOnlyDatabase(t *testing.T) {
	dsn := server(t).Schema(t)
	o := create(t, open(t, dsn), newOrder("shop"))
	s := open(t, dsn+"&default_transaction_read_only=on")
	for name, err := range map[string]error{
		"Ping":   s.Ping(t.Context()),
		"Create": s.Create(t.Context(), newOrder("shop"), t0, store.PendingLimits{}),
	} {
		if !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, store.ErrReadOnlyFile) {
			t.Errorf("%s: got %v, want ErrUnavailable and ErrReadOnlyFile", name, err)
		}
	}
	if _, err := s.Order(t.Context(), "shop", o.ID); err != nil {
		t.Errorf("reading: %v", err)
	}
}

// The server ends the connection between two parts of a summary.
func TestSummaryBegunTwice(t *testing.T) {
	s := open(t, server(t).Schema(t)+"&pool_max_conns=1")
	ctx := t.Context()
	for day := range 3 {
		o := newOrder("shop")
		o.CreatedAt = t0.AddDate(0, 0, day)
		o.State, o.PaidAt = order.Paid, o.CreatedAt
		if err := s.Create(ctx, o, time.Time{}, store.PendingLimits{}); err != nil {
			t.Fatal(err)
		}
	}
	want, err := s.Summarize(ctx, "shop", time.Time{}, time.Time{}, time.UTC)
	if err != nil || len(want.Days) != 3 || len(want.Products) != 1 {
		t.Fatalf("%+v, %v", want, err)
	}
	var doomed int
	if err := s.pool.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&doomed); err != nil {
		t.Fatal(err)
	}
	// Whoever reads lines on that connection loses it. STABLE keeps others from calling it.
	if _, err := s.pool.Exec(ctx, fmt.Sprintf(`
		ALTER TABLE orders RENAME TO kept;
		CREATE FUNCTION doom(text) RETURNS text STABLE LANGUAGE sql
			AS 'SELECT CASE WHEN pg_backend_pid() = %d AND pg_terminate_backend(%[1]d) THEN NULL ELSE $1 END';
		CREATE VIEW orders AS SELECT shop, state, total, created_at, paid_at, doom(lines) AS lines FROM kept`, doomed)); err != nil {
		t.Fatal(err)
	}
	got, err := s.Summarize(ctx, "shop", time.Time{}, time.Time{}, time.UTC)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	var pid int
	if err := s.pool.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&pid); err != nil || pid == doomed {
		t.Errorf("the connection was not lost: %v", err)
	}
}
