package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

func TestFull(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "orders.db"))
	acknowledged := 0
	maxPages := func(n int) {
		t.Helper()
		var got int
		if err := s.write(t.Context(), func(t *tx) error {
			_, err := one(t, fmt.Sprintf("PRAGMA max_page_count = %d", n), nil, &got)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	maxPages(1) // as many as there are
	var err error
	for range 1000 {
		if _, err = create(t.Context(), s); err != nil {
			break
		}
		acknowledged++
	}
	if !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, store.ErrFull) {
		t.Fatalf("got %v, want ErrUnavailable and ErrFull", err)
	}
	maxPages(1 << 30)
	if _, err := create(t.Context(), s); err != nil {
		t.Fatalf("with space again: %v", err)
	}
	if orders := checkWhole(t, s); len(orders) != acknowledged+1 {
		t.Errorf("%d orders were acknowledged, %d are there", acknowledged+1, len(orders))
	}
}

// rival is a connection to the file such as another process has.
func rival(t *testing.T, file string) *sql.Conn {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(file))
	if err != nil {
		t.Fatal(err)
	}
	c, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = c.Close(), db.Close() })
	return c
}

func TestLocked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "orders.db")
	s, err := open(t.Context(), file, settings{busyTimeout: 20 * time.Millisecond, maxBatch: maxBatch})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := rival(t, file)
	if _, err := c.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	if _, err := create(t.Context(), s); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("creating while the file is locked: got %v, want ErrUnavailable", err)
	}
	if err := s.Ping(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("pinging while the file is locked: got %v, want ErrUnavailable", err)
	}
	if _, err := s.Stats(t.Context()); err != nil {
		t.Errorf("reading while the file is locked: %v", err)
	}
	if _, err := c.ExecContext(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	if _, err := create(t.Context(), s); err != nil {
		t.Errorf("creating after the lock: %v", err)
	}
}

// TestOpenLocked opens a file that another process keeps for itself.
func TestOpenLocked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "orders.db")
	c := rival(t, file)
	if _, err := c.ExecContext(t.Context(), "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE"); err != nil {
		t.Fatal(err)
	}
	s, err := open(t.Context(), file, settings{busyTimeout: 20 * time.Millisecond, maxBatch: maxBatch})
	if err == nil {
		s.Close()
	}
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	sqlite := func(name string, statements ...string) string {
		file := filepath.Join(dir, name)
		db, err := sql.Open("sqlite", dsn(file))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		for _, st := range statements {
			if _, err := db.ExecContext(t.Context(), st); err != nil {
				t.Fatal(err)
			}
		}
		return file
	}
	plain := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	newer := filepath.Join(dir, "newer.db")
	if err := mustOpen(t, newer).Close(); err != nil {
		t.Fatal(err)
	}
	sqlite("newer.db", fmt.Sprintf("PRAGMA user_version = %d", len(migrations)+1))
	for _, tt := range []struct {
		name, file, says string
		is               error
	}{
		{"another program's, marked", sqlite("marked.db", "PRAGMA application_id = 7"), "another program", store.ErrUnavailable},
		{"another program's, unmarked", sqlite("unmarked.db", "CREATE TABLE t (x)"), "another program", store.ErrUnavailable},
		{"a newer version's", newer, "newer version", store.ErrUnavailable},
		{"no database", plain("text.db", strings.Repeat("not a database ", 1000)), "not a database", store.ErrCorrupt},
		{"a directory", dir, "", store.ErrUnavailable},
		{"below a file", filepath.Join(plain("plain", "x"), "orders.db"), "", store.ErrUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before, _ := os.ReadFile(tt.file)
			s, err := Open(t.Context(), tt.file)
			if err == nil {
				s.Close()
				t.Fatal("it opened")
			}
			if !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v", err)
			}
			if after, _ := os.ReadFile(tt.file); string(after) != string(before) {
				t.Error("the file was changed")
			}
		})
	}
}

func TestFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "50% of #1?")
	s := mustOpen(t, filepath.Join(dir, "orders.db"))
	if _, err := create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{"": os.ModeDir | 0o700, "orders.db": 0o600, "orders.db-wal": 0o600, "orders.db-shm": 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%q has mode %s, want %s", name, info.Mode(), want)
		}
	}
}

// TestFlippedBits damages the file of an order that was not paid: whatever can
// still be read, it is never paid.
func TestFlippedBits(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "orders.db")
	s := mustOpen(t, file)
	var ids []string
	for range 40 {
		o, err := create(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, o.ID)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	refused, noticed := 0, 0
	for i := range 25 {
		torn := append([]byte(nil), whole...)
		for range 1 << rnd.IntN(12) {
			torn[rnd.IntN(len(torn))] ^= 1 << rnd.IntN(8)
		}
		damaged := filepath.Join(dir, fmt.Sprintf("damaged%d.db", i))
		if err := os.WriteFile(damaged, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(t.Context(), damaged)
		if err != nil {
			if !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("opening: got %v, want ErrUnavailable", err)
			}
			refused++
			continue
		}
		noticed += readDamaged(t, s, ids)
		_ = s.Close() // a checkpoint may fail
	}
	if refused+noticed == 0 {
		t.Error("no damage was noticed: the test does not reach what it damages")
	}
}

// readDamaged counts the calls that noticed damage.
func readDamaged(t *testing.T, s *Store, ids []string) (noticed int) {
	ctx := t.Context()
	check := func(what string, err error) {
		switch {
		case errors.Is(err, store.ErrCorrupt):
			noticed++
		case code(err) == sqlite3.SQLITE_CONSTRAINT: // a damaged index may hold what is to be written
		case err != nil && !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrNotFound):
			t.Errorf("%s: got %v, want ErrUnavailable or ErrNotFound", what, err)
		}
	}
	unpaid := func(o *order.Order) {
		if o.State == order.Paid {
			t.Errorf("order %s is paid", o.ID)
		}
	}
	for _, id := range ids {
		o, err := s.Order(ctx, "shop", id)
		check("reading", err)
		if err == nil {
			unpaid(o)
		}
		o, err = s.Update(ctx, "shop", id, "P1", func(sub store.Subject) (*store.Change, error) {
			unpaid(&sub.Order)
			return &store.Change{Order: sub.Order}, nil
		})
		check("updating", err)
		if err == nil {
			unpaid(o)
		}
	}
	check("listing", s.Each(ctx, store.Filter{}, func(o *order.Order) error { unpaid(o); return nil }))
	_, err := s.ClaimDue(ctx, "shop", time.Now(), time.Now(), time.Minute, 100, func(order.Order) time.Time { return time.Time{} })
	check("claiming", err)
	_, err = s.Stats(ctx)
	check("counting", err)
	_, err = create(context.WithoutCancel(ctx), s)
	check("creating", err)
	return noticed
}

func TestBackup(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, filepath.Join(dir, "orders.db"))
	for range 10 {
		if _, err := create(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			o, err := create(t.Context(), s)
			if err == nil {
				err = pay(t.Context(), s, o)
			}
			if err != nil {
				stopped <- err
				return
			}
		}
	}()
	file := filepath.Join(dir, "backup.db")
	if err := s.Backup(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode() != 0o600 {
		t.Fatalf("the backup has mode %v, %v", info.Mode(), err)
	}
	if orders := checkWhole(t, mustOpen(t, file)); len(orders) < 10 {
		t.Errorf("%d orders in the backup", len(orders))
	}
	before, _ := os.ReadFile(file)
	if err := s.Backup(t.Context(), file); !errors.Is(err, os.ErrExist) {
		t.Errorf("onto an existing file: got %v", err)
	}
	if after, _ := os.ReadFile(file); string(after) != string(before) {
		t.Error("the existing file was changed")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Backup(ctx, filepath.Join(dir, "cancelled.db")); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that is over: got %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(t.Context(), filepath.Join(dir, "closed.db")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("after Close: got %v", err)
	}
	left, _ := filepath.Glob(filepath.Join(dir, "*.part-*"))
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestOpenSecures opens what a killed process has left, whose log may not be on
// disk yet. Once it is open, the main file has everything.
func TestOpenSecures(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "orders.db")
	s := mustOpen(t, file)
	o, err := create(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	copyFile := func(from, to string) {
		t.Helper()
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	left, alone := filepath.Join(dir, "left.db"), filepath.Join(dir, "alone.db")
	copyFile(file, left)
	copyFile(file+"-wal", left+"-wal")
	opened := mustOpen(t, left)
	pings := func() (n int) {
		if err := opened.write(t.Context(), func(t *tx) error {
			_, err := one(t, "SELECT at FROM ping WHERE n = 0", nil, &n)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := pings(); n != 1 {
		t.Errorf("the second opener wrote ping %d: without a change of it, nothing is synced", n)
	}
	copyFile(left, alone)
	if _, err := mustOpen(t, alone).Order(t.Context(), o.Shop, o.ID); err != nil {
		t.Errorf("the main file alone: %v", err)
	}
}

// TestDamagedOrder damages one order: it alone cannot be read, and nothing
// waits for it.
func TestDamagedOrder(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "orders.db"))
	var orders []*order.Order
	for range 5 {
		o, err := create(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		orders = append(orders, o)
	}
	for i, damage := range []string{"state = 'paie'", "lines = '[{'", "buyer = '7'"} {
		if err := s.write(t.Context(), func(t *tx) error {
			_, err := t.exec("UPDATE orders SET "+damage+" WHERE id = ?", orders[i].ID)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	for i, o := range orders {
		_, err := s.Order(t.Context(), o.Shop, o.ID)
		if i < 3 && (!errors.Is(err, store.ErrCorrupt) || !errors.Is(err, store.ErrUnavailable)) || i >= 3 && err != nil {
			t.Errorf("order %d: %v", i, err)
		}
	}
	now := time.Now().Add(time.Hour)
	due, err := s.ClaimDue(t.Context(), "shop", now, now, time.Minute, 10, func(order.Order) time.Time { return now.Add(time.Hour) })
	if err != nil || len(due) != 2 {
		t.Errorf("claimed %d of the 2 whole orders, %v", len(due), err)
	}
}
