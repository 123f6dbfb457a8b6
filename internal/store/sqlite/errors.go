package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
	"zombiezen.com/go/sqlite"

	"github.com/caddy-checkout/checkout/internal/store"
)

var errClosed = fmt.Errorf("%w: it is closed", store.ErrUnavailable)

// codedError is an error of a connection with SQLite's extended result code.
type codedError struct {
	error
	code int
}

func (e *codedError) Error() string { return fmt.Sprintf("%v (SQLite's code %d)", e.error, e.code) }

func (e *codedError) Unwrap() error { return e.error }

func coded(err error) error { return &codedError{err, int(sqlite.ErrCode(err))} }

// extendedCode is SQLite's own code of err, 0 if it is no error of SQLite's.
func extendedCode(err error) int {
	if err == nil {
		return 0
	}
	var c *codedError
	var d *driver.Error
	switch {
	case errors.As(err, &c):
		return c.code
	case errors.As(err, &d):
		return d.Code()
	}
	return 0
}

// code is SQLite's primary result code of err, 0 if it is no error of SQLite's.
func code(err error) int { return extendedCode(err) & 0xff }

// classify wraps what the contract wants to know around an error of SQLite's
// or of the file system's. Other errors are returned as they are.
func classify(err error) error {
	if err == nil {
		return nil
	}
	if extendedCode(err) == sqlite3.SQLITE_CONSTRAINT_DATATYPE {
		return unavailable(store.ErrCorrupt, err) // a row that is there holds what no write of ours could put
	}
	switch code(err) {
	case sqlite3.SQLITE_READONLY:
		return unavailable(store.ErrReadOnlyFile, err)
	case sqlite3.SQLITE_FULL:
		return unavailable(store.ErrFull, err)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB,
		sqlite3.SQLITE_ERROR: // our statements make sense, so it is the schema or a value that does not
		return unavailable(store.ErrCorrupt, err)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN,
		sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PERM, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOLFS:
		return unavailable(nil, err)
	}
	switch {
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return unavailable(store.ErrReadOnlyFile, err)
	case errors.Is(err, syscall.ENOSPC):
		return unavailable(store.ErrFull, err)
	case errors.As(err, new(*fs.PathError)):
		return unavailable(nil, err)
	}
	return err
}

// corrupt is the error of a row that reads well but makes no sense.
func corrupt(err error) error { return unavailable(store.ErrCorrupt, err) }

func unavailable(cause, err error) error {
	switch {
	case errors.Is(err, store.ErrUnavailable):
		return err
	case cause == nil:
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return fmt.Errorf("%w: %w: %w", store.ErrUnavailable, cause, err)
}
