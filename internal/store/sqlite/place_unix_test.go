//go:build unix

package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// TestFileTakenAway takes the file of an open store away. Nothing may be
// acknowledged that the next start would not find.
func TestFileTakenAway(t *testing.T) {
	for name, take := range map[string]func(file string) error{
		"removed": os.Remove,
		"moved":   func(file string) error { return os.Rename(file, file+".old") },
		"replaced": func(file string) error {
			if err := os.WriteFile(file+".copy", nil, 0o600); err != nil {
				return err
			}
			return os.Rename(file+".copy", file)
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "orders.db")
			s := mustOpen(t, file)
			o, err := create(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			if err := take(file); err != nil {
				t.Fatal(err)
			}
			if err := pay(t.Context(), s, o); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("a payment: got %v, want ErrUnavailable", err)
			}
			if err := s.Ping(t.Context()); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("pinging: got %v, want ErrUnavailable", err)
			}
			if _, err := s.Order(t.Context(), o.Shop, o.ID); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("reading: got %v, want ErrUnavailable", err)
			}
		})
	}
}

// TestFileComesBack puts a file back in its place, as one does who has taken
// it by mistake.
func TestFileComesBack(t *testing.T) {
	file := filepath.Join(t.TempDir(), "orders.db")
	s := mustOpen(t, file)
	o, err := create(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file, file+".old"); err != nil {
		t.Fatal(err)
	}
	if err := pay(t.Context(), s, o); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("without the file: got %v, want ErrUnavailable", err)
	}
	if err := os.Rename(file+".old", file); err != nil {
		t.Fatal(err)
	}
	if err := pay(t.Context(), s, o); err != nil {
		t.Fatalf("with the file: %v", err)
	}
	if got, err := s.Order(t.Context(), o.Shop, o.ID); err != nil || got.State != order.Paid {
		t.Errorf("afterwards: %v, %v", got, err)
	}
}
