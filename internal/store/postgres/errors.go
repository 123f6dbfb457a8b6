package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/caddy-checkout/checkout/internal/store"
)

// SQLSTATE codes that change what is done next. Those of two letters are
// classes.
const (
	codeReadOnly     = "25006"
	codeLocked       = "55P03"
	codeDiskFull     = "53100"
	classShutdown    = "57P"
	codeCorruptData  = "XX001"
	codeCorruptIndex = "XX002"
)

func code(err error) string {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return pe.Code
	}
	return ""
}

// hopeless reports whether err would meet any other transaction too, now.
func hopeless(err error) bool {
	if errors.Is(err, errGone) {
		return true
	}
	c := code(err)
	return len(c) == 5 && slices.Contains(classesHopeless, c[:2])
}

// classesHopeless are those of SQLSTATE that say: a transaction that may not
// write, no such database, refused login, a wrong schema, resources, shutdown
// and the server's own errors.
var classesHopeless = []string{"25", "3D", "28", "42", "53", "57", "58"}

// untouched reports whether err means that the connection was lost before the
// statement had any effect.
func untouched(err error) bool {
	return pgconn.SafeToRetry(err) || strings.HasPrefix(code(err), classShutdown)
}

// classify makes err one of the errors that package store promises. An error
// of the package's own, or of ctx, stays as it is.
func classify(ctx context.Context, err error) error {
	switch {
	case err == nil, errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrUnavailable):
		return err
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return err
	}
	return unavailable(err)
}

// unavailable wraps err in store.ErrUnavailable, beside the cause where it is
// known.
func unavailable(err error) error {
	switch code(err) {
	case codeReadOnly:
		err = fmt.Errorf("%w: %w", store.ErrReadOnlyFile, err)
	case codeDiskFull:
		err = fmt.Errorf("%w: %w", store.ErrFull, err)
	case codeCorruptData, codeCorruptIndex:
		err = fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}
