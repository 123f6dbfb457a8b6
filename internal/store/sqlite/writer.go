package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/caddy-checkout/checkout/internal/store"
)

const (
	// foreignPoll is how often the writer looks for changes by other processes.
	foreignPoll = 500 * time.Millisecond

	cacheSize = "-16000" // KiB, of the writer
)

// op is one write on its way. run may be called more than once; what it wrote
// in vain before is rolled back then.
type op struct {
	run  func(*tx) error
	err  error
	done chan error  // buffered
	took atomic.Bool // by the writer, or by its own caller, who gave up
}

// write has run called in a transaction and returns when that is on disk, or
// with the error of run, or why it could not be written. A write whose ctx
// ends before it began is not executed.
func (s *Store) write(ctx context.Context, run func(*tx) error) error {
	if err := s.over(ctx); err != nil {
		return err
	}
	o := &op{run: run, done: make(chan error, 1)}
	select {
	case s.ops <- o:
	case <-s.closing:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-o.done:
		return err
	case <-ctx.Done():
		if o.took.CompareAndSwap(false, true) {
			return ctx.Err()
		}
		return <-o.done // it has begun
	case <-s.stopped:
		select {
		case err := <-o.done:
			return err
		default:
			return errClosed
		}
	}
}

// writer owns the one connection that writes. Only its own goroutine uses it.
type writer struct {
	s     *Store
	conn  *conn            // nil: to be made again
	shops map[string]int64 // those that are on disk
	seen  int64            // data_version of conn, 0: not known

	// The columns of the transaction's new orders and of their products, which
	// are written together. Their memory is used again and again.
	orders, skus []any
}

// tx is what an op sees of the transaction it is part of.
type tx struct {
	w       *writer
	counts  counts
	wrote   int      // statements that wrote
	fault   error    // of a statement that the database refused
	changed []string // orders
	notices []store.Notice
	after   []func() // called when it is on disk
}

func (w *writer) loop() {
	defer close(w.s.stopped)
	poll := time.NewTicker(foreignPoll)
	defer poll.Stop()
	batch := make([]*op, 0, w.s.maxBatch)
	for {
		select {
		case o := <-w.s.ops:
			runtime.Gosched() // who is about to write shares the transaction
			batch = w.gather(append(batch[:0], o))
			w.commit(batch)
			clear(batch[:cap(batch)]) // keep none alive
		case <-poll.C:
			w.lookAround()
			w.reclaim()
		case <-w.s.closing:
			if batch = w.gather(batch[:0]); len(batch) == 0 {
				return
			}
			w.commit(batch)
		}
	}
}

// gather adds to batch what waits, and takes it from callers who might give up.
func (w *writer) gather(batch []*op) []*op {
	for len(batch) < w.s.maxBatch {
		select {
		case o := <-w.s.ops:
			batch = append(batch, o)
			continue
		default:
		}
		break
	}
	kept := batch[:0]
	for _, o := range batch {
		if o.took.CompareAndSwap(false, true) {
			kept = append(kept, o)
		}
	}
	return kept
}

// commit writes ops in one transaction, or each in its own if one of them
// failed after it had written something.
func (w *writer) commit(ops []*op) {
	if len(ops) == 0 || w.together(ops) {
		return
	}
	for i := range ops {
		w.together(ops[i : i+1])
	}
}

// together runs ops in one transaction and answers them. It answers nobody and
// returns false if one of several spoilt it.
func (w *writer) together(ops []*op) bool {
	if err := w.begin(); err != nil {
		answer(ops, err)
		return true
	}
	clear(w.orders) // keep none alive
	clear(w.skus)
	w.orders, w.skus = w.orders[:0], w.skus[:0]
	t := &tx{w: w}
	for _, o := range ops {
		before, orders, skus := t.wrote, len(w.orders), len(w.skus)
		if o.err = t.call(o.run); o.err == nil {
			continue
		}
		if t.wrote == before && t.fault == nil {
			w.orders, w.skus = w.orders[:orders], w.skus[:skus]
			continue
		}
		w.rollback(t.fault)
		if len(ops) > 1 {
			return false
		}
		answer(ops, nil)
		return true
	}
	if err := t.call((*tx).writeOrders); err != nil {
		w.rollback(t.fault)
		if len(ops) > 1 {
			return false
		}
		answer(ops, err)
		return true
	}
	err := t.writeCounts()
	if err == nil {
		err = w.conn.query("COMMIT", nil, nil)
	}
	if err != nil {
		w.rollback(err)
		w.s.recent.ForgetAll() // what is on disk is not known
		answer(ops, fmt.Errorf("committing: %w", unavailable(nil, classify(err))))
		return true
	}
	w.s.recent.Forget(t.changed)
	for _, fn := range t.after {
		fn()
	}
	if len(t.notices) > 0 {
		w.s.hub.Publish(t.notices...)
	}
	answer(ops, nil)
	return true
}

// answer ends ops with err, or each with its own if err is nil.
func answer(ops []*op, err error) {
	for _, o := range ops {
		if err != nil {
			o.err = err
		}
		o.done <- o.err
	}
}

// call keeps a panic of run from ending the writer.
func (t *tx) call(run func(*tx) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("writing: panic: %v", r)
			t.fault = err
		}
	}()
	return run(t)
}

// begin starts a transaction, on a new connection if the old one is in doubt.
func (w *writer) begin() error {
	if err := w.s.inPlace(); err != nil {
		return err
	}
	if w.conn == nil {
		if err := w.connect(context.Background()); err != nil {
			return unavailable(nil, classify(err))
		}
	}
	if err := w.conn.begin(context.Background(), w.s.busyTimeout); err != nil {
		w.doubt(err)
		return unavailable(nil, classify(err))
	}
	return nil
}

// rollback ends a transaction that failed for err. SQLite may have ended it
// itself, which shows as an error here.
func (w *writer) rollback(err error) {
	if w.conn.query("ROLLBACK", nil, nil) != nil {
		w.drop()
		return
	}
	w.doubt(err)
}

// doubt drops the connection if err may have left it in a bad state.
func (w *writer) doubt(err error) {
	switch code(err) {
	case 0, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CONSTRAINT:
		return
	}
	w.drop()
}

func (w *writer) drop() {
	if w.conn != nil {
		_ = w.conn.Close()
		w.conn = nil
	}
}

// lookAround wakes all watchers, and forgets what was read, if another process
// has written, or if that cannot be told.
func (w *writer) lookAround() {
	var seen int64
	if w.conn != nil {
		if _, err := one(w.conn, "PRAGMA data_version", nil, &seen); err != nil {
			seen = 0 // the next write tells why
		}
	}
	if seen == 0 || seen != w.seen {
		w.s.recent.ForgetAll()
		w.s.hub.WakeAll()
	}
	w.seen = seen
}

// reclaim frees the pages that no connection has used for longest. As this
// SQLite is built, one limit holds for the caches of all connections together:
// at it, one that has read much and is idle keeps its pages, and each page the
// writer lets go is freed at once. Lowering our share frees the oldest.
func (w *writer) reclaim() {
	if w.conn == nil {
		return
	}
	for _, size := range []string{"-1000", cacheSize} {
		_ = w.conn.query("PRAGMA cache_size = "+size, nil, nil) // at worst it is slow
	}
}

// damaged reports whether err tells of one row that makes no sense, while the
// rest of the transaction goes on.
func (t *tx) damaged(err error) bool {
	return t.fault == nil && errors.Is(err, store.ErrCorrupt)
}

// exec runs a statement and returns how many rows it changed.
func (t *tx) exec(query string, args ...any) (rows int, err error) {
	rows, err = t.w.conn.exec(query, args...)
	if err != nil {
		t.fault = err
		return 0, classify(err)
	}
	if rows > 0 {
		t.wrote++
	}
	return rows, nil
}

func (t *tx) query(query string, args []any, scan func(scanner) error) error {
	err := t.w.conn.query(query, args, scan)
	if code(err) != 0 {
		t.fault = err
	}
	return classify(err)
}

// connect makes the connection, and the schema if it is not there yet.
func (w *writer) connect(ctx context.Context) error {
	c, err := connect(w.s.file, w.s.busyTimeout, slices.Concat(pragmas, []string{"cache_size = " + cacheSize, "temp_store = MEMORY",
		"wal_autocheckpoint = 4000", "journal_size_limit = 67108864"})...)
	if err != nil {
		return err
	}
	if err := c.setUp(ctx, w.s.busyTimeout); err != nil {
		return errors.Join(err, c.Close())
	}
	// The new connection's data_version does not compare with the old one's.
	w.conn, w.seen = c, 0
	w.lookAround()
	return nil
}

// close writes the log into the main file and closes the connection.
func (w *writer) close() error {
	if w.conn == nil {
		return nil
	}
	return classify(errors.Join(w.conn.query("PRAGMA wal_checkpoint(TRUNCATE)", nil, nil), w.conn.Close()))
}
