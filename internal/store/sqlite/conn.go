package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/caddy-checkout/checkout/internal/store"
)

// conn is a connection with the statements prepared on it so far. Statements
// run without a context: each is short, and one given up halfway would leave
// the transaction in doubt.
type conn struct {
	*sql.Conn
	stmts map[string]*sql.Stmt
}

func (c *conn) prepare(query string) (*sql.Stmt, error) {
	if stmt := c.stmts[query]; stmt != nil {
		return stmt, nil
	}
	stmt, err := c.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	c.stmts[query] = stmt
	return stmt, nil
}

// exec runs a statement and returns how many rows it changed.
func (c *conn) exec(query string, args ...any) (rows int64, err error) {
	stmt, err := c.prepare(query)
	if err != nil {
		return 0, err
	}
	res, err := stmt.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (c *conn) query(query string, args []any, scan func(*sql.Rows) error) error {
	stmt, err := c.prepare(query)
	if err != nil {
		return err
	}
	rows, err := stmt.QueryContext(context.Background(), args...)
	if err != nil {
		return err
	}
	return scanAll(rows, scan)
}

// begin takes the write lock, trying every millisecond until timeout.
func (c *conn) begin(ctx context.Context, timeout time.Duration) error {
	for deadline := time.Now().Add(timeout); ; {
		_, err := c.exec("BEGIN IMMEDIATE")
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

func (c *conn) close() error {
	for _, stmt := range c.stmts {
		_ = stmt.Close()
	}
	return c.Close()
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
	if _, err := c.exec("PRAGMA busy_timeout = 0"); err != nil {
		return err
	}
	if err := c.migrate(ctx, timeout); err != nil {
		return err
	}
	if err := c.begin(ctx, timeout); err != nil {
		return err
	}
	// BEGIN IMMEDIATE is content with a file that can only be read.
	if _, err := c.exec("UPDATE ping SET at = at WHERE n = 0"); err != nil {
		return err
	}
	_, err := c.exec("COMMIT")
	return err
}
