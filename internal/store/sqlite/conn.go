package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	sqlite3 "modernc.org/sqlite/lib"
	"zombiezen.com/go/sqlite"

	"github.com/caddy-checkout/checkout/internal/store"
)

// conn is a connection that writes. It does without database/sql and its
// driver, whose locks and copies cost as much as the statements themselves.
type conn struct {
	*sqlite.Conn                         // for one goroutine at a time
	stmts        map[string]*sqlite.Stmt // Conn's own would have their arguments cleared each time
	raw          []byte                  // what sql.RawBytes of the last row point to
}

// scanner is a row of a result.
type scanner interface {
	// Scan copies the columns into what dest points to, but for
	// sql.RawBytes, which hold until the next row. It refuses a value of
	// another type.
	Scan(dest ...any) error
}

// connect opens the file, which must be there. It waits up to timeout for
// another process. What pragmas say holds until the connection is closed.
func connect(file string, timeout time.Duration, pragmas ...string) (*conn, error) {
	sc, err := sqlite.OpenConn(file, sqlite.OpenReadWrite)
	if err != nil {
		return nil, coded(err)
	}
	sc.SetBusyTimeout(timeout)
	c := &conn{Conn: sc, stmts: make(map[string]*sqlite.Stmt)}
	for _, p := range pragmas {
		if err := c.query("PRAGMA "+p, nil, nil); err != nil {
			_ = c.Close()
			return nil, err
		}
	}
	return c, nil
}

// prepare returns the statement of a query, at its start. All are kept until
// the connection is closed.
func (c *conn) prepare(query string) (*sqlite.Stmt, error) {
	if stmt := c.stmts[query]; stmt != nil {
		return stmt, stmt.Reset()
	}
	stmt, err := c.Prepare(query)
	if err != nil {
		return nil, err
	}
	c.stmts[query] = stmt
	return stmt, nil
}

// query runs a statement and calls row, if any, for every row of its result.
func (c *conn) query(query string, args []any, row func(scanner) error) error {
	stmt, err := c.prepare(query)
	if err != nil {
		return coded(err)
	}
	if n := stmt.BindParamCount(); n != len(args) {
		panic(fmt.Sprintf("%d arguments for the %d parameters of %s", len(args), n, query))
	}
	for i, arg := range args {
		bind(stmt, i+1, arg)
	}
	for {
		more, err := stmt.Step()
		if err != nil {
			return coded(err)
		}
		if !more {
			return nil
		}
		if row == nil {
			continue
		}
		if err := row(&current{stmt, c}); err != nil {
			_ = stmt.Reset()
			return corrupt(err)
		}
	}
}

// exec runs a statement and returns how many rows it changed.
func (c *conn) exec(query string, args ...any) (rows int, err error) {
	if err := c.query(query, args, nil); err != nil {
		return 0, err
	}
	return c.Changes(), nil
}

func bind(stmt *sqlite.Stmt, i int, arg any) {
	switch v := arg.(type) {
	case string:
		stmt.BindText(i, v)
	case []byte:
		stmt.BindBytes(i, v)
	case int64:
		stmt.BindInt64(i, v)
	case int:
		stmt.BindInt64(i, int64(v))
	case bool:
		stmt.BindBool(i, v)
	default:
		panic(fmt.Sprintf("binding a %T", arg))
	}
}

// current is the row that a statement stands at.
type current struct {
	*sqlite.Stmt
	c *conn
}

func (r *current) Scan(dest ...any) error {
	r.c.raw = r.c.raw[:0]
	for i, d := range dest {
		typ, fits := r.ColumnType(i), false
		switch d := d.(type) {
		case *string:
			if fits = typ == sqlite.TypeText; fits {
				*d = r.ColumnText(i)
			}
		case *sql.RawBytes:
			if fits = typ == sqlite.TypeText || typ == sqlite.TypeBlob; fits {
				*d = r.bytes(i)
			}
		case *[]byte:
			if fits = typ == sqlite.TypeText || typ == sqlite.TypeBlob; fits {
				*d = bytes.Clone(r.bytes(i))
			}
		case *int64:
			if fits = typ == sqlite.TypeInteger; fits {
				*d = r.ColumnInt64(i)
			}
		case *int:
			if fits = typ == sqlite.TypeInteger; fits {
				*d = r.ColumnInt(i)
			}
		case *bool:
			if fits = typ == sqlite.TypeInteger; fits {
				*d = r.ColumnBool(i)
			}
		}
		if !fits {
			return fmt.Errorf("column %d is %s, which does not fit a %T", i, typ, d)
		}
	}
	return nil
}

// bytes returns a column in memory that holds until the next Scan.
func (r *current) bytes(i int) []byte {
	from, n := len(r.c.raw), r.ColumnLen(i)
	r.c.raw = slices.Grow(r.c.raw, n)[:from+n]
	b := r.c.raw[from:]
	r.ColumnBytes(i, b)
	return b
}

// begin takes the write lock, trying every millisecond until timeout.
func (c *conn) begin(ctx context.Context, timeout time.Duration) error {
	for deadline := time.Now().Add(timeout); ; {
		err := c.query("BEGIN IMMEDIATE", nil, nil)
		if code(err) != sqlite3.SQLITE_BUSY || time.Now().After(deadline) {
			return err
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// setUp makes the connection one that can write, and the schema if need be. It
// changes nothing in a file that is not ours.
func (c *conn) setUp(ctx context.Context, timeout time.Duration) error {
	if _, _, err := c.version(); err != nil {
		return err
	}
	var mode string
	if _, err := one(c, "PRAGMA journal_mode = WAL", nil, &mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("%w: the file system cannot keep a write-ahead log (journal mode %s)", store.ErrUnavailable, mode)
	}
	// From here on begin waits, not SQLite, whose waits grow ever longer and
	// starve beside a busy process.
	c.SetBusyTimeout(0)
	if err := c.migrate(ctx, timeout); err != nil {
		return err
	}
	// A process that was killed may have left transactions in the log that never
	// reached the disk. From here on they are read, and what is read is told.
	if err := c.query("PRAGMA wal_checkpoint(TRUNCATE)", nil, nil); err != nil {
		return err
	}
	if err := c.begin(ctx, timeout); err != nil {
		return err
	}
	// This syncs the log, should another process have kept the checkpoint from
	// doing its work. It also finds a file that can only be read, with which
	// BEGIN IMMEDIATE is content.
	if _, err := c.exec("INSERT INTO ping (n, at) VALUES (0, 0) ON CONFLICT DO UPDATE SET at = at + 1"); err != nil {
		return err
	}
	return c.query("COMMIT", nil, nil)
}
