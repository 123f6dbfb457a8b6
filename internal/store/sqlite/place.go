package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/caddy-checkout/checkout/internal/store"
)

var errMoved = fmt.Errorf("%w: the file was replaced or removed while it was open; restart Caddy to go on with what is there now", store.ErrUnavailable)

// inPlace refuses a file that the next start would not find under its name:
// what is written into it would be lost. What cannot be told is let pass.
func (s *Store) inPlace() error {
	is, err := os.Stat(s.file)
	switch {
	case s.opened == nil, err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil, !os.SameFile(is, s.opened):
		return errMoved
	}
	return nil
}
