package sqlite

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/caddy-checkout/checkout/internal/store"
	"github.com/caddy-checkout/checkout/internal/store/storetest"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(childRole); role != "" {
		os.Exit(child(role))
	}
	goleak.VerifyTestMain(m)
}

func TestStore(t *testing.T) {
	open := func(t *testing.T, file string) store.Store {
		t.Helper()
		s, err := Open(t.Context(), file)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	storetest.Harness{
		Open: func(t *testing.T) store.Store {
			return open(t, filepath.Join(t.TempDir(), "orders.db"))
		},
		Reopen: func(t *testing.T, s store.Store) store.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return open(t, s.(*Store).file)
		},
	}.Run(t)
}
