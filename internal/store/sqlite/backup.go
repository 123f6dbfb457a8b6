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
	if err := s.ready(ctx); err != nil {
		return err
	}
	if _, err := os.Lstat(file); err == nil {
		return fs.ErrExist
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".part-*")
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, tmp.Close())
		_ = os.Remove(tmp.Name()) // a rename may have moved it
	}()
	if err := s.copyInto(ctx, tmp.Name()); err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	if err := nameFile(tmp.Name(), file); err != nil {
		return err
	}
	return syncDir(filepath.Dir(file))
}

// nameFile gives the file tmp the name file too, unless that is taken. A
// rename would overwrite; where there are no links, as on many USB sticks, the
// name is reserved first.
func nameFile(tmp, file string) error {
	err := os.Link(tmp, file)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Rename(tmp, file))
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
