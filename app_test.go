package checkout

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestRequestsAfterLast(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		var r requests
		called := 0
		r.afterLast(func() { called++ })
		if called != 1 {
			t.Errorf("called %d times, want 1", called)
		}
		r.begin()
		r.end()
		if called != 1 {
			t.Errorf("called again by a later request: %d", called)
		}
	})
	t.Run("busy", func(t *testing.T) {
		var r requests
		done := make(chan struct{}, 2)
		r.begin()
		r.begin()
		r.afterLast(func() { done <- struct{}{} })
		r.end()
		if len(done) != 0 {
			t.Error("called while a request is being served")
		}
		r.end()
		select {
		case <-done:
		case <-time.After(failsafe):
			t.Error("not called after the last request")
		}
	})
}

// A store that was never started is closed without having been opened, and
// configurations of one file share it.
func TestSharedStore(t *testing.T) {
	c := Store{Kind: kindSQLite, File: filepath.Join(t.TempDir(), "orders", "orders.db")}
	first, key := acquireStore(c)
	second, _ := acquireStore(c)
	if first != second {
		t.Error("the same file is two stores")
	}
	other, otherKey := acquireStore(Store{Kind: kindSQLite, File: c.File + "2"})
	if other == first {
		t.Error("two files are one store")
	}
	if deleted, err := stores.Delete(otherKey); !deleted || err != nil {
		t.Errorf("releasing: %v, %v", deleted, err)
	}
	if _, err := os.Stat(filepath.Dir(c.File)); !os.IsNotExist(err) {
		t.Errorf("acquiring touched the file: %v", err)
	}

	first.start(slog.New(slog.DiscardHandler))
	second.start(slog.New(slog.DiscardHandler))
	select {
	case <-first.ready:
	case <-time.After(failsafe):
		t.Fatal("not opened")
	}
	st := first.get()
	if err := st.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if deleted, err := stores.Delete(key); deleted || err != nil {
		t.Errorf("released while in use: %v, %v", deleted, err)
	}
	if err := st.Ping(t.Context()); err != nil {
		t.Errorf("closed while in use: %v", err)
	}
	if deleted, err := stores.Delete(key); !deleted || err != nil {
		t.Errorf("releasing: %v, %v", deleted, err)
	}
	if err := st.Ping(t.Context()); err == nil {
		t.Error("still open after the last release")
	}
}
