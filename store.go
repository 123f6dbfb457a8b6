package checkout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-checkout/checkout/internal/store"
	"github.com/caddy-checkout/checkout/internal/store/postgres"
	"github.com/caddy-checkout/checkout/internal/store/sqlite"
)

// Kinds of stores.
const (
	kindSQLite   = "sqlite"
	kindPostgres = "postgres"
)

// Store says where orders are kept.
type Store struct {
	// `sqlite`, a file on this machine, or `postgres`, a PostgreSQL database
	// that several machines share. Default: `sqlite`.
	Kind string `json:"kind,omitempty"`

	// The file of a sqlite store. Placeholders {env.*} are resolved. Default:
	// `checkout/orders.db` in Caddy's data directory.
	File string `json:"file,omitempty"`

	// The connection string or URL of a postgres store. It holds a password,
	// so write a placeholder like `{env.CHECKOUT_DSN}`. Required for postgres.
	DSN string `json:"dsn,omitempty"`
}

// resolve returns a copy with placeholders resolved, defaults filled in and
// the file made absolute. The copy may hold a password.
func (s *Store) resolve(repl *caddy.Replacer) (Store, error) {
	c := Store{}
	if s != nil {
		c = *s
	}
	var err error
	if c.File, err = resolve(repl, c.File); err != nil {
		return c, named("file", err)
	}
	if c.DSN, err = resolve(repl, c.DSN); err != nil {
		return c, named("dsn", err)
	}
	if c.Kind == "" {
		c.Kind = kindSQLite
	}
	switch c.Kind {
	case kindSQLite:
		if c.DSN != "" {
			return c, errors.New("a sqlite store has a file, no dsn")
		}
		if c.File == "" {
			c.File = filepath.Join(caddy.AppDataDir(), "checkout", "orders.db")
		}
		c.File, err = filepath.Abs(c.File)
		return c, err
	case kindPostgres:
		if c.File != "" {
			return c, errors.New("a postgres store has a dsn, no file")
		}
		if c.DSN == "" {
			return c, errors.New("a postgres store needs a dsn, like {env.CHECKOUT_DSN}")
		}
		if err := postgres.CheckDSN(c.DSN); err != nil {
			return c, fmt.Errorf("dsn: %w", err)
		}
		return c, nil
	}
	return c, fmt.Errorf("%q is not a kind of store; use sqlite or postgres", c.Kind)
}

// open opens the store. Errors do not hold the password.
func (s Store) open(ctx context.Context, log *slog.Logger) (store.Store, error) {
	if s.Kind == kindPostgres {
		return postgres.Open(ctx, s.DSN, postgres.Options{Logger: log})
	}
	return sqlite.Open(ctx, s.File)
}

// stores holds the stores of all configurations that are loaded, so that a
// reload keeps the one that is open.
var stores = caddy.NewUsagePool()

// sharedStore is a store that configurations share. It is not open until the
// first of them starts.
type sharedStore struct {
	config Store

	begin  sync.Once
	ctx    context.Context
	cancel context.CancelFunc
	tried  chan struct{} // closed after the first attempt
	ready  chan struct{} // closed when the store is open
	ended  chan struct{} // closed when no attempt follows
	opened atomic.Pointer[store.Store]
}

// acquireStore returns the store and the key to release it with.
func acquireStore(c Store) (s *sharedStore, key any) {
	ctx, cancel := context.WithCancel(context.Background())
	fresh := &sharedStore{
		config: c, ctx: ctx, cancel: cancel,
		tried: make(chan struct{}), ready: make(chan struct{}), ended: make(chan struct{}),
	}
	got, loaded := stores.LoadOrStore(c, fresh)
	if loaded {
		cancel()
	}
	return got.(*sharedStore), c
}

// get returns the open store, or nil.
func (s *sharedStore) get() store.Store {
	if p := s.opened.Load(); p != nil {
		return *p
	}
	return nil
}

// start begins to open the store and goes on until it is open, waiting longer
// from failure to failure. It returns at once, and does nothing the second time.
func (s *sharedStore) start(log *slog.Logger) {
	s.begin.Do(func() { go s.keepOpening(log) })
}

// Waits between attempts to open the store.
const (
	minOpenWait = time.Second
	maxOpenWait = 30 * time.Second
)

func (s *sharedStore) keepOpening(log *slog.Logger) {
	defer close(s.ended)
	for wait := minOpenWait; ; wait = min(2*wait, maxOpenWait) {
		st, err := s.config.open(s.ctx, log)
		if err == nil {
			s.opened.Store(&st)
			close(s.ready)
		}
		select {
		case <-s.tried:
		default:
			close(s.tried)
		}
		if err == nil || s.ctx.Err() != nil {
			return
		}
		log.Error("opening store; checkout answers 503 until it works", "kind", s.config.Kind, "error", err, "next_attempt_in", wait)
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// Destruct closes the store when the last configuration lets it go.
func (s *sharedStore) Destruct() error {
	s.cancel()
	s.begin.Do(func() { close(s.ended) })
	<-s.ended
	if st := s.get(); st != nil {
		return st.Close()
	}
	return nil
}

// Interface guard
var _ caddy.Destructor = (*sharedStore)(nil)
