package merchant

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// faulty is a store whose lists fail.
type faulty struct {
	store.Store
	err error
}

func (f faulty) List(context.Context, store.Filter, string, int) ([]order.Order, string, error) {
	return nil, "", f.err
}

func TestListErrors(t *testing.T) {
	plain := errors.New("cursor is none of this list")
	down := fmt.Errorf("reading: %w", store.ErrUnavailable)
	for name, tc := range map[string]struct {
		err     error
		cursor  string
		isQuery bool
	}{
		"cursor":          {plain, "x", true},
		"no cursor given": {plain, "", false},
		"store down":      {down, "x", false},
		"client gone":     {context.Canceled, "x", false},
	} {
		_, _, err := (&Desk{Store: faulty{err: tc.err}}).Orders(t.Context(), store.Filter{}, tc.cursor, 1)
		if errors.Is(err, ErrQuery) != tc.isQuery || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	page, _, err := (&Desk{Store: faulty{}}).Orders(t.Context(), store.Filter{}, "", 1)
	if page == nil || err != nil {
		t.Errorf("an empty page is %v, %v; want one that is [] in JSON", page, err)
	}
}

// single is a store with one order of a shop that nobody serves.
type single struct{ store.Store }

func (single) Detail(_ context.Context, id string) (*order.Order, []store.Delivery, error) {
	return &order.Order{ID: id, Shop: "gone"}, nil, nil
}

func TestDecideRefuses(t *testing.T) {
	const id = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
	d := &Desk{Store: single{}}
	for who, want := range map[string]error{
		"admin": ErrNoShop, "张三": ErrNoShop,
		"": ErrWho, " ": ErrWho, "notify": ErrWho, "clock": ErrWho, "query": ErrWho, "buyer": ErrWho,
		"a\x1b[2J": ErrWho, "a\nb": ErrWho, "\xff": ErrWho, strings.Repeat("x", 101): ErrWho,
	} {
		if _, err := d.Decide(t.Context(), Ship, id, who, "because"); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", who, err, want)
		}
	}
	if _, err := d.Decide(t.Context(), Ship, "nonsense", "admin", "because"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("malformed id: %v", err)
	}
}

// telling is a store with a feed.
type telling struct {
	store.Store
	hub store.Hub
}

func (s *telling) Feed() (<-chan store.Notice, func()) { return s.hub.Feed() }

func (s *telling) Order(_ context.Context, shop, id string) (*order.Order, error) {
	if id == "purged" {
		return nil, store.ErrNotFound
	}
	return &order.Order{ID: id, Shop: shop}, nil
}

func TestFeed(t *testing.T) {
	s := &telling{}
	d := &Desk{Store: s}
	ctx, cancel := context.WithCancel(t.Context())
	begun := func() error {
		s.hub.Publish(store.Notice{Shop: "a", ID: "purged"}, store.Notice{Shop: "b", ID: "1"}, store.Notice{Shop: "a", ID: "2", New: true})
		return nil
	}
	var got []Notice
	err := d.Feed(ctx, "a", begun, func(n Notice) error {
		got = append(got, n)
		cancel()
		return nil
	})
	if err != nil || len(got) != 1 || got[0].Order.ID != "2" || !got[0].New {
		t.Errorf("got %+v, %v", got, err)
	}

	refused := errors.New("client gone")
	if err := d.Feed(t.Context(), "", begun, func(Notice) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("got %v, want what fn returned", err)
	}
}

// redelivering is a store with one delivery.
type redelivering struct{ store.Store }

func (redelivering) Redeliver(_ context.Context, id string, _ time.Time) error {
	if id != "1" {
		return store.ErrNotFound
	}
	return nil
}

func TestRedeliverWakes(t *testing.T) {
	woken := 0
	d := &Desk{Store: redelivering{}, Wake: func() { woken++ }}
	if err := d.Redeliver(t.Context(), "2", time.Now()); !errors.Is(err, store.ErrNotFound) || woken != 0 {
		t.Errorf("%v, woken %d times", err, woken)
	}
	if err := d.Redeliver(t.Context(), "1", time.Now()); err != nil || woken != 1 {
		t.Errorf("%v, woken %d times", err, woken)
	}
}
