package store

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
)

var (
	// ErrNotEmpty: the store that was to take a copy holds something that no
	// unfinished copy has brought.
	ErrNotEmpty = errors.New("store is not empty")

	// ErrMarkMoved: another copy into the same store is under way.
	ErrMarkMoved = errors.New("another copy into the store is under way")
)

// Record is an order with everything that belongs to it, as it goes from one
// store into another.
type Record struct {
	Order      order.Order // with payments and history
	NextQuery  time.Time   // when the reconciler asks next; zero: never
	Events     []Event     // by id; without Targets, which the deliveries tell
	Deliveries []Delivery  // oldest first, with Log
}

// Question is what is known of a merchant's balance, and when it was last
// asked for (zero: never).
type Question struct {
	Balance // its At is zero if it was never told
	AskedAt time.Time
}

// Batch is a part of a store's content.
type Batch struct {
	Records   []Record
	Orphans   []Orphan
	Questions []Question
}

// Exporter is a store whose content can be copied. Its methods read in pages,
// so that a copy needs flat memory.
type Exporter interface {
	// Export returns up to n orders whose ids come after the given one, in
	// the order of the bytes of their ids.
	Export(ctx context.Context, after string, n int) ([]Record, error)

	// Orphans is that of [Records].
	Orphans(ctx context.Context, shop, cursor string, n int) (page []Orphan, next string, err error)

	// ExportQuestions returns those of all merchants, by merchant.
	ExportQuestions(ctx context.Context) ([]Question, error)
}

// Importer is a store that can take a copy of another. From BeginImport to
// EndImport it must not be used for anything else.
type Importer interface {
	Exporter

	// BeginImport prepares the store and returns the mark that the last
	// Import of an unfinished copy has set, "" for a new copy. ErrNotEmpty.
	BeginImport(ctx context.Context) (mark string, err error)

	// Import writes a batch, ids included, and moves the mark from one value
	// to the next, all in one transaction. ErrMarkMoved, then nothing is
	// written.
	Import(ctx context.Context, b Batch, from, to string) error

	// EndImport makes the store one like any other.
	EndImport(ctx context.Context) error
}
