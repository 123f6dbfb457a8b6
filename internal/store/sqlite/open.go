// Package sqlite keeps orders in one SQLite file, for one machine.
//
// One goroutine writes. It takes whatever waits, writes all of it in one
// transaction and answers when that is on disk, so that many writers share
// one fsync. Reads have connections of their own and never wait for a write
// (WAL). Other processes may read and write the same file; they take turns.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/caddy-checkout/checkout/internal/store"
)

const (
	// busyTimeout bounds the wait for another process that is writing.
	busyTimeout = 5 * time.Second

	// maxBatch bounds the writes of one transaction, and with them how long
	// the first of them waits.
	maxBatch = 256
)

// settings are what tests and benchmarks vary.
type settings struct {
	busyTimeout time.Duration
	maxBatch    int
}

// Store is a store in one file. Make it with [Open].
type Store struct {
	settings
	dsn    string
	file   string
	opened fs.FileInfo // file, as it was opened
	hub    store.Hub
	known  claims
	recent store.Recent

	read  *sql.DB
	stmts sync.Map // of the read side: query to *sql.Stmt

	ops     chan *op
	closing chan struct{} // closed: take no more
	stopped chan struct{} // closed: the writer has ended
	close   func() error
}

// Open opens the store in file, and makes it and its directory if they are not
// there. Only their owner can read them. It refuses a database of another
// program or of a newer version of this one. All errors wrap
// [store.ErrUnavailable]; Open may be tried again.
func Open(ctx context.Context, file string) (*Store, error) {
	return open(ctx, file, settings{busyTimeout: busyTimeout, maxBatch: maxBatch})
}

func open(ctx context.Context, file string, set settings) (_ *Store, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("opening store %s: %w", file, unavailable(nil, classify(err)))
		}
	}()
	file, err = filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	if err := makeFile(file); err != nil {
		return nil, err
	}
	// fsync where fdatasync will do costs twice the time; SQLite as it is
	// commonly built makes the same choice.
	_, _ = sqlite.Fdatasync(true)

	s := &Store{
		settings: set,
		dsn:      dsn(file),
		file:     file,
		ops:      make(chan *op, set.maxBatch),
		closing:  make(chan struct{}),
		stopped:  make(chan struct{}),
	}
	w := &writer{s: s, shops: make(map[string]int64)}
	if err := w.connect(ctx); err != nil {
		return nil, readOnly(file, err)
	}
	if s.opened, err = os.Stat(file); err != nil {
		return nil, errors.Join(err, w.close())
	}
	if s.read, err = sql.Open("sqlite", s.dsn+"&_pragma=cache_size(-4000)&_pragma=query_only(1)"); err != nil {
		return nil, errors.Join(err, w.close())
	}
	readers := max(4, runtime.GOMAXPROCS(0))
	s.read.SetMaxOpenConns(readers)
	s.read.SetMaxIdleConns(readers)
	s.close = sync.OnceValue(func() error {
		close(s.closing)
		<-s.stopped
		return errors.Join(s.read.Close(), w.close())
	})
	go w.loop()
	return s, nil
}

// pragmas are what holds for every connection. The size of pages is that of a
// new file.
var pragmas = []string{"page_size = 8192", "synchronous = FULL", "cell_size_check = 1", "trusted_schema = 0"}

// dsn names the file in the driver's way.
func dsn(file string) string {
	path := filepath.ToSlash(file)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/…
	}
	u := url.URL{Scheme: "file", Path: path}
	q := url.Values{"_pragma": slices.Concat(pragmas, []string{"busy_timeout = 5000"})}
	return u.String() + "?" + q.Encode()
}

// makeFile makes the file if it is not there. It must not open one that is:
// closing it would drop the locks this process holds on it.
func makeFile(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		if _, statErr := os.Stat(file); statErr == nil {
			return nil
		}
		return err
	}
	return errors.Join(f.Close(), syncDir(filepath.Dir(file)))
}

// syncDir makes the names in dir durable, on systems that can.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readOnly says of a file that could not be opened whether the reason is that
// nothing can be written beside it, where SQLite wants its log.
func readOnly(file string, err error) error {
	if code(err) != sqlite3.SQLITE_CANTOPEN {
		return err
	}
	f, probeErr := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+"-probe-*")
	if probeErr != nil {
		var pe *fs.PathError
		if errors.As(probeErr, &pe) {
			return classify(fmt.Errorf("%w: %w", pe, err))
		}
		return err
	}
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}

// Ping writes a row, so it also finds a full disk.
func (s *Store) Ping(ctx context.Context) error {
	err := s.write(ctx, func(t *tx) error {
		_, err := t.exec("INSERT INTO ping (n, at) VALUES (1, ?) ON CONFLICT (n) DO UPDATE SET at = excluded.at", time.Now().UnixMilli())
		return err
	})
	if err != nil {
		return fmt.Errorf("pinging store: %w", err)
	}
	return nil
}

// Close finishes the writes that wait, brings all of them into the main file
// and lets it go. Closing again does nothing and returns the same.
func (s *Store) Close() error { return s.close() }

// Watch is [store.Orders].Watch. Changes by another process wake all watchers,
// within half a second.
func (s *Store) Watch(shop, id string) (changed <-chan struct{}, stop func()) {
	return s.hub.Watch(shop, id)
}

// Feed is [store.Orders].Feed. It does not tell of changes by other processes.
func (s *Store) Feed() (notices <-chan store.Notice, stop func()) { return s.hub.Feed() }

var _ store.Store = (*Store)(nil)
