package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
	"github.com/caddy-checkout/checkout/internal/store/postgres/pgtest"
	"github.com/caddy-checkout/checkout/internal/store/storetest"
)

const failsafe = 2 * time.Minute

// shared is the server of most tests: each works in a schema of its own.
var shared = sync.OnceValues(func() (*pgtest.Server, error) { return pgtest.Launch() })

var launched bool

func TestMain(m *testing.M) {
	code := m.Run()
	if launched {
		if s, err := shared(); err == nil {
			if err := s.Close(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
		}
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func server(t testing.TB) *pgtest.Server {
	t.Helper()
	launched = true
	s, err := shared()
	if err != nil {
		pgtest.Missing(t, err)
	}
	return s
}

func open(t testing.TB, dsn string) *Store {
	t.Helper()
	s, err := Open(context.Background(), dsn, Options{Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStore(t *testing.T) {
	pg := server(t)
	dsns := make(map[store.Store]string)
	start := func(t *testing.T, dsn string) store.Store {
		s := open(t, dsn)
		dsns[s] = dsn
		return s
	}
	storetest.Harness{
		Open: func(t *testing.T) store.Store { return start(t, pg.Schema(t)) },
		Reopen: func(t *testing.T, s store.Store) store.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return start(t, dsns[s])
		},
	}.Run(t)
}

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newOrder(shop string) *order.Order {
	return &order.Order{
		ID: order.NewID(t0), Shop: shop, Total: 3900, Title: "Mug", Client: "192.0.2.1",
		Lines:     []order.Line{{SKU: "mug", Name: "Mug", Price: 3900, Qty: 1}},
		CreatedAt: t0, ExpiresAt: t0.Add(time.Hour),
		History: []order.Entry{{At: t0, Who: order.SourceBuyer, What: "created"}},
	}
}
