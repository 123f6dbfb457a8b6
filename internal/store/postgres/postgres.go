// Package postgres keeps orders in a PostgreSQL database that any number of
// machines share.
//
// Creates and Updates that wait at the same time are committed together: one
// committer sends them in one transaction, in a handful of round trips however
// many they are. What cannot go with the others (its row is locked, or the
// database refused the group) is done apart and does not hold them up.
//
// When the connection breaks while a transaction is being committed, nobody
// knows whether it was. The error then wraps store.ErrUnavailable although the
// change may be there. All callers bear that: an Update that is tried again
// sees what was written, and an order that its buyer was never told of
// expires.
//
// The database must be encoded in UTF8 and its connections must keep their
// session (a pooler in transaction mode does not: notices would be lost).
package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/caddy-checkout/checkout/internal/store"
)

// Bounds of everything that waits for the database.
const (
	openTimeout    = 30 * time.Second
	migrationWait  = 10 * time.Second
	connectTimeout = 5 * time.Second
	pingTimeout    = 2 * time.Second
	writeTimeout   = 10 * time.Second
	readTimeout    = time.Minute
)

// sessionDefaults are set on every connection unless the DSN sets them.
var sessionDefaults = map[string]string{
	"application_name":                    "caddy-checkout",
	"statement_timeout":                   "60s",
	"lock_timeout":                        "2s",
	"idle_in_transaction_session_timeout": "30s",
}

// Options of [Open]. The zero value is ready.
type Options struct {
	Logger        *slog.Logger  // nil: discards
	MigrationWait time.Duration // how long to wait for another node that migrates the schema; zero: 10s
	Unfinished    bool          // open it though a copy into it (see [Store.BeginImport]) has not ended
}

// Store is a [store.Store] on PostgreSQL.
type Store struct {
	store.Hub // Watch and Feed

	pool      *pgxpool.Pool
	log       *slog.Logger
	node      atomic.Pointer[string] // tells our own notices from those of others
	channel   string                 // of notices
	recent    store.Recent
	heard     atomic.Pointer[time.Time] // when the connection that listens last gave a sign of life; nil: there is none
	intervals store.Intervals
	totals    totals

	mu     sync.Mutex
	closed bool
	calls  sync.WaitGroup // methods under way

	ops   chan *op
	lanes chan struct{} // a token for each Update that may wait for a row
	stop  context.CancelFunc
	done  sync.WaitGroup // committer, lanes, listener
}

// Open connects to the database that dsn names (a URL or keywords, with pgx's
// parameters, such as search_path and pool_max_conns) and brings its schema to
// this program's version. It ends within half a minute, by an error that wraps
// [store.ErrUnavailable] if the database cannot be used now.
func Open(ctx context.Context, dsn string, opts Options) (*Store, error) {
	cfg, err := parse(dsn)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("opening the PostgreSQL store: %w", unavailable(err))
	}
	s := &Store{
		pool:  pool,
		log:   opts.Logger,
		ops:   make(chan *op, maxGroup),
		lanes: make(chan struct{}, max(1, min(4, cfg.MaxConns/4))),
	}
	s.rename()
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	schema, err := s.migrate(ctx, cmp.Or(opts.MigrationWait, migrationWait))
	if err == nil && !opts.Unfinished {
		err = s.refuseUnfinished(ctx)
	}
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("opening the PostgreSQL store: %w", err)
	}
	s.channel = "checkout_" + hash(schema)

	background, stop := context.WithCancel(context.Background())
	s.stop = stop
	listening := make(chan struct{})
	s.done.Go(func() { s.commitLoop(background) })
	s.done.Go(func() { s.listenLoop(background, cfg.ConnConfig, listening) })
	select {
	case <-listening:
	case <-ctx.Done():
		_ = s.Close()
		return nil, fmt.Errorf("opening the PostgreSQL store: %w: no connection to listen on: %w", store.ErrUnavailable, ctx.Err())
	}
	return s, nil
}

// parse reads dsn and fills in the bounds it leaves open. Its errors do not
// quote the dsn, which may hold a password.
func parse(dsn string) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("parsing the PostgreSQL address: want postgres://user:password@host:5432/database?sslmode=verify-full, or keywords like host=… dbname=…")
	}
	if cfg.ConnConfig.ConnectTimeout == 0 || cfg.ConnConfig.ConnectTimeout > connectTimeout {
		cfg.ConnConfig.ConnectTimeout = connectTimeout
	}
	for name, value := range sessionDefaults {
		if cfg.ConnConfig.RuntimeParams[name] == "" {
			cfg.ConnConfig.RuntimeParams[name] = value
		}
	}
	cfg.PingTimeout = pingTimeout
	if !strings.Contains(dsn, "pool_max_conns") {
		cfg.MaxConns = int32(max(8, 2*runtime.NumCPU()))
	}
	return cfg, nil
}

// enter begins a method that uses the database; call leave at its end.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("%w: closed", store.ErrUnavailable)
	}
	s.calls.Add(1)
	return nil
}

func (s *Store) leave() { s.calls.Done() }

// read runs fn, which only reads, on a connection of its own.
func (s *Store) read(ctx context.Context, fn func(ctx context.Context, c *pgxpool.Conn) error) error {
	return s.use(ctx, readTimeout, func(ctx context.Context) context.Context { return ctx }, fn)
}

// write is read for what changes the database: once it has begun, it goes on
// although ctx ends.
func (s *Store) write(ctx context.Context, fn func(ctx context.Context, c *pgxpool.Conn) error) error {
	return s.use(ctx, writeTimeout, context.WithoutCancel, fn)
}

func (s *Store) use(ctx context.Context, limit time.Duration, run func(context.Context) context.Context, fn func(ctx context.Context, c *pgxpool.Conn) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	for retry := false; ; retry = true {
		err := s.once(ctx, limit, run, fn)
		if err == nil || retry || !untouched(err) {
			return classify(ctx, err)
		}
	}
}

func (s *Store) once(ctx context.Context, limit time.Duration, run func(context.Context) context.Context, fn func(ctx context.Context, c *pgxpool.Conn) error) error {
	acquire, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c, err := s.pool.Acquire(acquire)
	if err != nil {
		return err
	}
	defer c.Release()
	ctx, cancel = context.WithTimeout(run(ctx), limit)
	defer cancel()
	return fn(ctx, c)
}

// inTx runs fn in a transaction on c. A connection whose transaction cannot be
// rolled back is not used again: the pool sees to that.
func inTx(ctx context.Context, c *pgxpool.Conn, fn func(tx pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, c, fn)
}

// Ping implements [store.Store].
func (s *Store) Ping(ctx context.Context) error {
	return s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		var readOnly bool
		if err := c.QueryRow(ctx, "SELECT current_setting('transaction_read_only')::bool").Scan(&readOnly); err != nil {
			return err
		}
		if readOnly {
			return fmt.Errorf("%w: %w", store.ErrUnavailable, store.ErrReadOnlyFile)
		}
		return nil
	})
}

// Close implements [store.Store].
func (s *Store) Close() error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	s.mu.Unlock()
	s.calls.Wait()
	if first {
		s.stop()
		s.done.Wait()
		s.pool.Close()
	}
	return nil
}

// Backup returns [errors.ErrUnsupported]: pg_dump and the server's own
// archiving do it better.
func (s *Store) Backup(context.Context, string) error {
	return fmt.Errorf("backing up PostgreSQL: %w: use pg_dump", errors.ErrUnsupported)
}

var _ store.Store = (*Store)(nil)
