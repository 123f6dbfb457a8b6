// Package transfer copies one store of orders into another, as a shop does
// that outgrows its machine.
//
// The copy goes page by page, each in one transaction with a mark that says how
// far it came and what it held, so that one that was killed goes on where it
// was. In the end both stores are read again: what the target holds must be
// what was copied, and the source must not have changed meanwhile.
package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/caddy-checkout/checkout/internal/store"
)

var (
	// ErrOtherSource: the target holds an unfinished copy of another store.
	ErrOtherSource = errors.New("the target holds an unfinished copy of another store")

	// ErrSourceChanged: the source is not what it was when it was copied. The
	// copy is worth nothing.
	ErrSourceChanged = errors.New("the source changed while it was copied")

	// ErrTargetDiffers: the target does not hold what was copied.
	ErrTargetDiffers = errors.New("the target does not hold what was copied")
)

// defaultPage bounds the memory of a copy: an order with its events takes a
// few KiB.
const defaultPage = 2000

// Options of [Copy]. The zero value is ready.
type Options struct {
	Page     int                      // rows read at once; 0: 2000
	Progress func(step string, n int) // told of every page: "copying" or "verifying", and the orders so far; may be nil
}

// Copy copies all of from into to, or goes on with a copy that was begun, and
// returns what it verified. When it fails the copy stays unfinished: to is of
// no use until another Copy ends well, or, after an error of this package,
// until it is emptied. It returns [store.ErrNotEmpty] for a target that holds
// anything that is not of an unfinished copy.
func Copy(ctx context.Context, from store.Exporter, to store.Importer, opts Options) (Sums, error) {
	if opts.Page <= 0 {
		opts.Page = defaultPage
	}
	if opts.Progress == nil {
		opts.Progress = func(string, int) {}
	}
	copied, err := copyAll(ctx, from, to, opts)
	if err != nil {
		return nil, err
	}
	var source, target Sums
	g, ctxBoth := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		if source, err = sumAll(ctxBoth, from, opts.Page, func(int) {}); err != nil {
			return fmt.Errorf("reading the source again: %w", err)
		}
		return nil
	})
	g.Go(func() (err error) {
		if target, err = sumAll(ctxBoth, to, opts.Page, func(n int) { opts.Progress("verifying", n) }); err != nil {
			return fmt.Errorf("reading the target again: %w", err)
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if diff := copied.differences(source); diff != "" {
		return nil, fmt.Errorf("%w: %s", ErrSourceChanged, diff)
	}
	if diff := copied.differences(target); diff != "" {
		return nil, fmt.Errorf("%w: %s", ErrTargetDiffers, diff)
	}
	if err := to.EndImport(ctx); err != nil {
		return nil, fmt.Errorf("ending the copy: %w", err)
	}
	return copied, nil
}

// mark is what the target keeps of an unfinished copy.
type mark struct {
	First string `json:"first"` // id of the source's first order, by which it is known
	Place place  `json:"place"`
	Sums  Sums   `json:"sums"` // of all that was copied so far
}

func copyAll(ctx context.Context, from store.Exporter, to store.Importer, opts Options) (Sums, error) {
	kept, err := to.BeginImport(ctx)
	if err != nil {
		return nil, fmt.Errorf("beginning the copy: %w", err)
	}
	first, err := firstOrder(ctx, from)
	if err != nil {
		return nil, fmt.Errorf("reading the source: %w", err)
	}
	m := mark{First: first, Sums: make(Sums)}
	if kept != "" {
		if err := json.Unmarshal([]byte(kept), &m); err != nil {
			return nil, fmt.Errorf("reading the mark of the unfinished copy: %w", err)
		}
	}
	if m.First != first {
		return nil, ErrOtherSource
	}
	for m.Place.Kind != nothing {
		opts.Progress("copying", m.Sums[kindOrders].Count)
		batch, next, err := read(ctx, from, m.Place, opts.Page)
		if err != nil {
			return nil, fmt.Errorf("reading the source: %w", err)
		}
		m.Place = next
		if err := m.Sums.add(batch); err != nil {
			return nil, err
		}
		moved, err := json.Marshal(m)
		if err != nil {
			return nil, err
		}
		if err := to.Import(ctx, batch, kept, string(moved)); err != nil {
			return nil, fmt.Errorf("writing to the target: %w", err)
		}
		kept = string(moved)
	}
	return m.Sums, nil
}

func firstOrder(ctx context.Context, from store.Exporter) (id string, err error) {
	page, err := from.Export(ctx, "", 1)
	if err != nil || len(page) == 0 {
		return "", err
	}
	return page[0].Order.ID, nil
}

// sumAll reads the whole store.
func sumAll(ctx context.Context, from store.Exporter, page int, progress func(orders int)) (Sums, error) {
	sums := make(Sums)
	for at := (place{}); at.Kind != nothing; progress(sums[kindOrders].Count) {
		batch, next, err := read(ctx, from, at, page)
		if err != nil {
			return nil, err
		}
		if err := sums.add(batch); err != nil {
			return nil, err
		}
		at = next
	}
	return sums, nil
}

// place is how far a store was read. The zero place is its beginning.
type place struct {
	Kind  kind   `json:"kind"`
	After string `json:"after"` // id of the last order, or cursor of the orphans
}

// kind is what is read next.
type kind int

const (
	orders kind = iota
	orphans
	questions
	nothing
)

// read reads up to n rows from a place on.
func read(ctx context.Context, from store.Exporter, at place, n int) (b store.Batch, next place, err error) {
	next = at
	switch at.Kind {
	case orders:
		b.Records, err = from.Export(ctx, at.After, n)
		if len(b.Records) < n {
			return b, place{Kind: orphans}, err
		}
		next.After = b.Records[n-1].Order.ID
	case orphans:
		b.Orphans, next.After, err = from.Orphans(ctx, "", at.After, n)
		if next.After == "" {
			next.Kind = questions
		}
	case questions:
		b.Questions, err = from.ExportQuestions(ctx)
		next.Kind = nothing
	}
	return b, next, err
}
