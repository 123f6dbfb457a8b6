package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Backup is [store.Records].Backup. The copy is compact, readable by its owner
// only, on disk when Backup returns, and never seen half-written under its
// name. Orders go on meanwhile.
func (s *Store) Backup(ctx context.Context, file string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("backing up to %s: %w", file, err)
		}
	}()
	select {
	case <-s.closing:
		return errClosed
	default:
	}
	if _, err := os.Lstat(file); err == nil {
		return fs.ErrExist
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".part-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tmp.Close(), os.Remove(tmp.Name())) }()
	if err := s.copyInto(ctx, tmp.Name()); err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	// A link, other than a rename, fails where the name is taken.
	if err := os.Link(tmp.Name(), file); err != nil {
		return err
	}
	return syncDir(filepath.Dir(file))
}

func (s *Store) copyInto(ctx context.Context, file string) error {
	db, err := sql.Open("sqlite", s.dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", file)
	return s.readError(ctx, err)
}
