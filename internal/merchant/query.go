package merchant

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// ErrQuery is wrapped by every error about what a list was asked for.
var ErrQuery = errors.New("malformed query")

const (
	// DefaultPage is how many rows a page has when nobody says.
	DefaultPage = 50

	maxText = 200 // bytes of a parameter
)

// FilterParams are the parameters that pick orders.
var FilterParams = []string{"shop", "state", "from", "to", "sku", "text", "todo"}

// PageParams are the parameters that pick a page of a list.
var PageParams = []string{"cursor", "limit"}

// CheckParams refuses parameters that are not known, and those that are there
// more than once, state excepted. Errors wrap ErrQuery.
func CheckParams(q url.Values, known ...string) error {
	for name, values := range q {
		if !slices.Contains(known, name) {
			if len(known) == 0 {
				return fmt.Errorf("%w: unknown parameter %q; there are none here", ErrQuery, name)
			}
			return fmt.Errorf("%w: unknown parameter %q; known are %s", ErrQuery, name, strings.Join(known, ", "))
		}
		if len(values) > 1 && name != "state" {
			return fmt.Errorf("%w: %s is there %d times", ErrQuery, name, len(values))
		}
		for _, v := range values {
			if len(v) > maxText {
				return fmt.Errorf("%w: %s has %d bytes; at most %d are allowed", ErrQuery, name, len(v), maxText)
			}
		}
	}
	return nil
}

// ParseFilter reads FilterParams; state may be repeated. from and to are times
// as RFC 3339 has them, or days like 2026-03-01 in loc: from the beginning of
// that one, to the end of this one. Errors wrap ErrQuery.
func ParseFilter(q url.Values, loc *time.Location) (store.Filter, error) {
	f := store.Filter{Shop: q.Get("shop"), SKU: q.Get("sku"), Text: strings.TrimSpace(q.Get("text")), Todo: q.Get("todo")}
	if f.Todo != "" && f.Todo != store.TodoShip {
		return f, fmt.Errorf("%w: todo %q; the only one is %s", ErrQuery, f.Todo, store.TodoShip)
	}
	for _, name := range q["state"] {
		if name == "" {
			continue
		}
		s, err := order.ParseState(name)
		if err != nil {
			return f, fmt.Errorf("%w: %w", ErrQuery, err)
		}
		if !slices.Contains(f.States, s) {
			f.States = append(f.States, s)
		}
	}
	var err error
	if f.From, err = parseTime("from", q.Get("from"), 0, loc); err != nil {
		return f, err
	}
	if f.To, err = parseTime("to", q.Get("to"), 1, loc); err != nil {
		return f, err
	}
	if !f.From.IsZero() && !f.To.IsZero() && !f.From.Before(f.To) {
		return f, fmt.Errorf("%w: from is not before to", ErrQuery)
	}
	return f, nil
}

// parseTime reads a time, or a day and returns the midnight that begins it, or
// a later one by days.
func parseTime(name, value string, days int, loc *time.Location) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, value, loc); err == nil {
		return t.AddDate(0, 0, days), nil
	}
	t, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return t, fmt.Errorf("%w: %s %q; write a day like 2026-03-01 or a time like 2026-03-01T09:30:00+08:00", ErrQuery, name, value)
	}
	return t, nil
}

// ParseLimit reads how many rows a page shall have: 1 to MaxPage, DefaultPage
// for an empty value. Errors wrap ErrQuery.
func ParseLimit(value string) (int, error) {
	if value == "" {
		return DefaultPage, nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > MaxPage {
		return 0, fmt.Errorf("%w: limit %q; write a number from 1 to %d", ErrQuery, value, MaxPage)
	}
	return n, nil
}
