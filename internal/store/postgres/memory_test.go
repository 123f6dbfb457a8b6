package postgres

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// eventually polls what no event tells of.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for limit := time.Now().Add(failsafe); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("%s never came", what)
		}
	}
}

func read(t testing.TB, s *Store, o *order.Order) *order.Order {
	t.Helper()
	got, err := s.Order(context.Background(), o.Shop, o.ID)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// remember has s keep o in memory: a change by hand, which gives no notice,
// does not show.
func remember(t testing.TB, s *Store, c *pgx.Conn, o *order.Order) {
	t.Helper()
	eventually(t, "an answer from memory", func() bool {
		was := read(t, s, o).Title
		exec(t, c, "UPDATE orders SET title = title || '.' WHERE id = $1", o.ID)
		return read(t, s, o).Title == was
	})
}

func describe(o *order.Order, err error) string {
	if err != nil {
		return err.Error()
	}
	return o.State.String() + ", " + o.Title + ", " + o.Note
}

func TestChangesAreNotAnsweredFromMemory(t *testing.T) {
	dsn := server(t).Schema(t)
	a, b := open(t, dsn), open(t, dsn)
	c := session(t, dsn)
	for name, change := range map[string]func(o *order.Order){
		"a payment": func(o *order.Order) { update(t, a, o, o.ID, pay(o.ID)) },
		"a note":    func(o *order.Order) { update(t, a, o, "", noted("x")) },
		"a purge": func(o *order.Order) {
			update(t, a, o, "", func(sub store.Subject) (*store.Change, error) {
				sub.Order.State = order.Expired
				return &store.Change{Order: sub.Order}, nil
			})
			remember(t, a, c, o)
			remember(t, b, c, o)
			if n, err := a.Purge(t.Context(), t0.Add(time.Hour), 10); n != 1 || err != nil {
				t.Errorf("purged %d, %v", n, err)
			}
			if got, err := a.Order(t.Context(), o.Shop, o.ID); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("a purged order: %v, %v", got, err)
			}
		},
	} {
		o := create(t, a, newOrder("shop"))
		remember(t, a, c, o)
		remember(t, b, c, o)
		feed, stop := b.Feed()
		change(o)
		last := create(t, a, newOrder("shop")) // notices come in the order of their commits
		for await(t, "the last notice", feed).ID != last.ID {
		}
		stop()
		kept, _, err := b.Detail(t.Context(), o.ID)
		want := describe(kept, err)
		for node, s := range map[string]*Store{"its own": a, "the other": b} {
			if got := describe(s.Order(t.Context(), o.Shop, o.ID)); got != want {
				t.Errorf("%s at %s node: got %s, want %s", name, node, got, want)
			}
		}
	}
}

func TestClaimsAreNotAnsweredFromMemory(t *testing.T) {
	dsn := server(t).Schema(t)
	a, b := open(t, dsn), open(t, dsn)
	c := session(t, dsn)
	o := create(t, a, newOrder("shop"))
	remember(t, a, c, o)
	remember(t, b, c, o)
	for i, s := range []*Store{a, b} { // granted at one, refused at the other
		granted, err := s.ClaimQuestion(t.Context(), o.Shop, o.ID, t0, time.Minute)
		if err != nil || granted != (s == a) {
			t.Fatalf("node %d: granted: %v, %v", i, granted, err)
		}
		if got := read(t, s, o); !got.AskedAt.Equal(t0) {
			t.Errorf("node %d: asked at %v, want %v", i, got.AskedAt, t0)
		}
	}
	remember(t, a, c, o)
	later := t0.Add(time.Hour)
	due, err := a.ClaimDue(t.Context(), o.Shop, later, later, time.Minute, 1, func(order.Order) time.Time { return later })
	if err != nil || len(due) != 1 {
		t.Fatalf("%d orders are due, %v", len(due), err)
	}
	if got := read(t, a, o); !got.AskedAt.Equal(later) {
		t.Errorf("asked at %v, want %v", got.AskedAt, later)
	}
}

// TestNothingFromMemoryWhileDeaf has a node that cannot listen for a while.
func TestNothingFromMemoryWhileDeaf(t *testing.T) {
	dsn := server(t).Schema(t)
	p, through := throughProxy(t, dsn)
	a, b := open(t, dsn), open(t, through)
	o := create(t, a, newOrder("shop"))
	remember(t, b, session(t, dsn), o)
	changed, stop := b.Watch(o.Shop, o.ID)
	defer stop()

	p.refuse(true)
	exec(t, session(t, dsn), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'LISTEN "+b.channel+"'")
	eventually(t, "the loss of the connection", func() bool { return b.heard.Load() == nil })
	update(t, a, o, "", noted("first"))
	if got := read(t, b, o); got.Note != "first" {
		t.Errorf("deaf, the node says %q", got.Note)
	}
	update(t, a, o, "", noted("second"))
	p.refuse(false)
	await(t, "the wake-up after the reconnect", changed)
	if got := read(t, b, o); got.Note != "second" {
		t.Errorf("listening again, the node says %q", got.Note)
	}
}

// TestSilentDeath has the connection that listens die without a sign.
func TestSilentDeath(t *testing.T) {
	dsn := server(t).Schema(t)
	p, through := throughProxy(t, dsn)
	a, b := open(t, dsn), open(t, through)
	o := create(t, a, newOrder("shop"))
	remember(t, b, session(t, dsn), o)
	p.each(func(l *link) { l.dead.Store(l.listens.Load()) })
	update(t, a, o, "P1", pay("P1"))
	eventually(t, "the payment", func() bool { return read(t, b, o).State == order.Paid })
}

// TestCommittedLater has the connection die while the server commits, which
// takes until the node has looked what became of it.
func TestCommittedLater(t *testing.T) {
	dsn := server(t).Schema(t)
	p, through := throughProxy(t, dsn)
	s := open(t, through)
	o := create(t, s, newOrder("shop"))
	c := session(t, dsn)
	exec(t, c, "SELECT pg_advisory_lock(4711)")
	// A connection that ends asks the server to cancel what it does.
	exec(t, c, `CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		WHILE NOT pg_try_advisory_xact_lock_shared(4711) LOOP
			BEGIN PERFORM pg_sleep(0.005); EXCEPTION WHEN query_canceled THEN NULL; END;
		END LOOP;
		RETURN NULL; END $$`)
	exec(t, c, `CREATE CONSTRAINT TRIGGER hang AFTER UPDATE ON orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hang()`)

	refused := make(chan error, 1)
	go func() {
		_, err := s.Update(context.Background(), o.Shop, o.ID, "P1", pay("P1"))
		refused <- err
	}()
	eventually(t, "the COMMIT", func() bool {
		var hangs bool
		if err := c.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')").Scan(&hangs); err != nil {
			t.Fatal(err)
		}
		return hangs
	})
	p.each(func(l *link) {
		if !l.listens.Load() {
			_ = l.client.Close()
		}
	})
	if err := await(t, "the end of the update", refused); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("got %v, want ErrUnavailable", err)
	}
	changed, stop := s.Watch(o.Shop, o.ID)
	defer stop()
	if got := read(t, s, o); got.State != order.Pending {
		t.Fatalf("the order is %s already", got.State)
	}
	exec(t, c, "SELECT pg_advisory_unlock(4711)")
	await(t, "the wake-up by the COMMIT", changed)
	if got := read(t, s, o); got.State != order.Paid {
		t.Errorf("after the COMMIT the order is %s", got.State)
	}
}
