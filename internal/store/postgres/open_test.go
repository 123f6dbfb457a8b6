package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/internal/store"
)

func TestMigrationByManyAtOnce(t *testing.T) {
	dsn := server(t).Schema(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s, err := Open(context.Background(), dsn, Options{MigrationWait: failsafe})
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Create(context.Background(), newOrder("shop"), t0, store.PendingLimits{}); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var versions []int32
	if err := session(t, dsn).QueryRow(t.Context(), "SELECT array_agg(version) FROM schema_version").Scan(&versions); err != nil {
		t.Fatal(err)
	}
	if len(versions) != 1 || int(versions[0]) != len(migrations) {
		t.Errorf("versions %v, want one of %d", versions, len(migrations))
	}
}

func TestMigrationWhileAnotherHangs(t *testing.T) {
	dsn := server(t).Schema(t)
	c := session(t, dsn)
	var pid int
	if err := c.QueryRow(t.Context(), "SELECT pg_backend_pid() FROM pg_advisory_lock(hashtextextended('caddy-checkout ' || current_schema(), 0))").Scan(&pid); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), dsn, Options{MigrationWait: 50 * time.Millisecond})
	if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "another node has been migrating") {
		t.Errorf("got %v", err)
	}
	opened := make(chan error, 1)
	go func() {
		s, err := Open(context.Background(), dsn, Options{MigrationWait: failsafe})
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}()
	exec(t, session(t, dsn), "SELECT pg_terminate_backend($1)", pid)
	if err := await(t, "the store", opened); err != nil {
		t.Errorf("after the other died: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	pg := server(t)
	newer := pg.Schema(t)
	if err := open(t, newer).Close(); err != nil {
		t.Fatal(err)
	}
	exec(t, session(t, newer), "UPDATE schema_version SET version = $1", len(migrations)+1)
	pg.Exec(t, "CREATE DATABASE ascii TEMPLATE template0 ENCODING 'SQL_ASCII'")
	t.Cleanup(func() { pg.Exec(t, "DROP DATABASE ascii WITH (FORCE)") })

	over, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		name, dsn, want string
		ctx             context.Context
	}{
		{"a newer schema", newer, fmt.Sprintf("the schema is version %d, of a newer program", len(migrations)+1), t.Context()},
		{"no schema", pg.DSN() + "&search_path=no_such", "no schema of the search_path exists", t.Context()},
		{"another encoding", strings.Replace(pg.DSN(), "/postgres?", "/ascii?", 1), "encoded in SQL_ASCII", t.Context()},
		{"no such database", strings.Replace(pg.DSN(), "/postgres?", "/no_such?", 1), "no_such", t.Context()},
		{"no server", "postgres://u:canary@/x?host=" + t.TempDir(), "no such file", t.Context()},
		{"a context that is over", pg.DSN(), "context canceled", over},
		{"no address", "postgres://u:canary@h:port/x", "parsing the PostgreSQL address", t.Context()},
		{"no keywords", "password=canary host", "parsing the PostgreSQL address", t.Context()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Open(tt.ctx, tt.dsn, Options{})
			if err == nil {
				_ = s.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("got %v, want %q and no password", err, tt.want)
			}
			if parsing := strings.HasPrefix(err.Error(), "parsing"); !parsing && tt.ctx.Err() == nil && !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("got %v, want ErrUnavailable", err)
			}
		})
	}
}

// TestOpenGivesUp has a server that takes connections and says nothing.
func TestOpenGivesUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	opened := make(chan error, 1)
	go func() {
		_, err := Open(ctx, "postgres://u@"+l.Addr().String()+"/x?sslmode=disable", Options{})
		opened <- err
	}()
	if err := await(t, "the end of Open", opened); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want context.DeadlineExceeded", err)
	}
}
