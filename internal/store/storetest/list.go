package storetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// pages reads all pages of n and calls between after each.
func (f *fixture) pages(filter store.Filter, n int, between func()) []string {
	f.Helper()
	list := []string{}
	for cursor, more := "", true; more; more = cursor != "" {
		page, next, err := f.s.List(f.Context(), filter, cursor, n)
		f.ok(err)
		if len(page) > n || (next != "" && len(page) < n) {
			f.Fatalf("a page of %d orders, next %q", len(page), next)
		}
		for _, o := range page {
			list = append(list, o.ID)
		}
		cursor = next
		between()
	}
	return list
}

func (f *fixture) each(filter store.Filter) []string {
	f.Helper()
	list := []string{}
	f.ok(f.s.Each(f.Context(), filter, func(o *order.Order) error {
		list = append(list, o.ID)
		return nil
	}))
	return list
}

// newestFirst returns the ids in the order of List.
func newestFirst(orders []*order.Order) []string {
	sorted := slices.Clone(orders)
	slices.SortFunc(sorted, func(a, b *order.Order) int {
		if c := b.CreatedAt.Compare(a.CreatedAt); c != 0 {
			return c
		}
		if a.ID > b.ID {
			return -1
		}
		return 1
	})
	return ids(sorted...)
}

var listTests = []test{
	{"nothing in an empty store", func(f *fixture) {
		f.want("orders", f.pages(store.Filter{}, 3, func() {}), ids())
		f.want("each", f.each(store.Filter{}), ids())
	}},
	{"pages without gaps or doubles, while orders come and go", func(f *fixture) {
		var orders []*order.Order
		for i := range 24 {
			orders = append(orders, f.created(time.Duration(i/5)*time.Second)) // five a millisecond
		}
		want := newestFirst(orders)
		for _, n := range []int{1, 5, 24, 100} {
			f.want(fmt.Sprint("pages of ", n), f.pages(store.Filter{Shop: shopA}, n, func() {}), want)
		}
		f.want("each", f.each(store.Filter{}), want)
		got := f.pages(store.Filter{}, 5, func() {
			for i := range 3 {
				f.created(time.Duration(i) * time.Hour)
			}
		})
		f.want("while newer ones arrive", withoutOthers(got, want), want)
	}},
	{"a page goes on where the order of its cursor was purged", func(f *fixture) {
		var orders []*order.Order
		for i := range 6 {
			orders = append(orders, f.expired(time.Duration(i)*time.Second))
		}
		page, next, err := f.s.List(f.Context(), store.Filter{}, "", 3)
		f.ok(err)
		f.want("first page", len(page), 3)
		_, err = f.s.Purge(f.Context(), orders[4].CreatedAt, 100) // all but the two newest
		f.ok(err)
		page, next, err = f.s.List(f.Context(), store.Filter{}, next, 3)
		f.ok(err)
		f.want("the page after", []any{len(page), next}, []any{0, ""})
	}},
	{"orders come with payments, without history", func(f *fixture) {
		o := f.created(0)
		f.change(o, func(c *store.Change) { c.Payment = payment("P1", t0) })
		f.created(time.Second)
		want := f.order(o)
		page, _, err := f.s.List(f.Context(), store.Filter{}, "", 10)
		f.ok(err)
		f.want("listed", page[1], want)
		f.ok(f.s.Each(f.Context(), store.Filter{To: t0.Add(time.Second)}, func(o *order.Order) error {
			f.want("each", o, want)
			return nil
		}))
	}},
	{"a cursor that is none is an error, and not ErrUnavailable", func(f *fixture) {
		for _, cursor := range []string{"x", "\x00", "-", "1e3"} {
			_, _, list := f.s.List(f.Context(), store.Filter{}, cursor, 10)
			_, _, deliveries := f.s.Deliveries(f.Context(), "", "", cursor, 10)
			_, _, orphans := f.s.Orphans(f.Context(), "", cursor, 10)
			for _, err := range []error{list, deliveries, orphans} {
				if err == nil || errors.Is(err, store.ErrUnavailable) {
					f.Errorf("cursor %q: got %v", cursor, err)
				}
			}
		}
	}},
	{"Each ends with the error of fn, as it is", func(f *fixture) {
		for i := range 3 {
			f.created(time.Duration(i) * time.Second)
		}
		mine, n := errors.New("mine"), 0
		err := f.s.Each(f.Context(), store.Filter{}, func(*order.Order) error {
			if n++; n == 2 {
				return mine
			}
			return nil
		})
		if err != mine || n != 2 { //nolint:errorlint // not even wrapped
			f.Fatalf("got %v after %d orders", err, n)
		}
	}},
	{"fn of Each may use the store", func(f *fixture) {
		for i := range 3 {
			f.created(time.Duration(i) * time.Second)
		}
		n := 0
		f.ok(f.s.Each(f.Context(), store.Filter{}, func(o *order.Order) error {
			n++
			f.change(o, func(c *store.Change) { c.Order.Note = "seen" })
			f.want("note", f.order(o).Note, "seen")
			return nil
		}))
		f.want("orders", n, 3)
	}},
	{"Each reads more than fits a page", func(f *fixture) {
		var orders []*order.Order
		for i := range 1200 {
			orders = append(orders, newOrder(shopA, t0.Add(time.Duration(i/3)*time.Millisecond)))
		}
		f.allOK(together(len(orders), func(i int) error {
			return f.s.Create(f.Context(), orders[i], t0, store.PendingLimits{})
		}))
		f.want("each", f.each(store.Filter{Shop: shopA}), newestFirst(orders))
	}},
}

// expired makes an order that has expired.
func (f *fixture) expired(after time.Duration) *order.Order {
	f.Helper()
	o := f.created(after)
	f.setState(o, order.Expired)
	return o
}

// withoutOthers returns those of list that are in want.
func withoutOthers(list, want []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(id string) bool { return !slices.Contains(want, id) })
}

var filterTests = []test{
	{"every field, alone and together", testFilter},
}

func testFilter(f *fixture) {
	all := make(map[string]*order.Order)
	at := t0
	add := func(name string, state order.State, edit func(o *order.Order)) {
		at = at.Add(time.Minute)
		o := newOrder(shopA, at)
		edit(o)
		all[name] = f.create(o)
		if state != order.Pending {
			f.setState(o, state)
		}
	}
	add("plain", order.Pending, func(o *order.Order) {})
	add("foreign", order.Pending, func(o *order.Order) { o.Shop = shopB })
	add("tee", order.Expired, func(o *order.Order) {
		o.Lines = append(o.Lines, order.Line{SKU: `te"e\`, Name: "Tee", Price: 1, Qty: 1})
	})
	add("ada", order.Review, func(o *order.Order) {
		o.Buyer = order.Buyer{Name: "Ada O'Neil", Email: "ADA@example.com", Tel: "+86 555", Address: "长安街 1", Note: "100% of_it\\"}
		o.OrderUID = "User-7"
	})
	add("paid", order.Paid, func(o *order.Order) {})
	add("shipped", order.Paid, func(o *order.Order) {})
	add("refunded", order.Paid, func(o *order.Order) {})
	add("shippedReview", order.Review, func(o *order.Order) {})
	f.change(all["paid"], func(c *store.Change) { c.Payment = payment("PAY-77x", t0) })
	f.change(all["shipped"], func(c *store.Change) { c.Order.ShippedAt = t0 })
	f.change(all["refunded"], func(c *store.Change) { c.Order.RefundedAt = t0 })

	for name, tt := range map[string]struct {
		filter store.Filter
		want   []string // oldest first
	}{
		"none":              {store.Filter{}, []string{"plain", "foreign", "tee", "ada", "paid", "shipped", "refunded", "shippedReview"}},
		"shop":              {store.Filter{Shop: shopB}, []string{"foreign"}},
		"unknown shop":      {store.Filter{Shop: "shop-"}, nil},
		"state":             {store.Filter{States: []order.State{order.Expired}}, []string{"tee"}},
		"pending":           {store.Filter{States: []order.State{order.Pending}}, []string{"plain", "foreign"}},
		"states":            {store.Filter{States: []order.State{order.Review, order.Expired}}, []string{"tee", "ada", "shippedReview"}},
		"from":              {store.Filter{From: at.Add(-time.Minute)}, []string{"refunded", "shippedReview"}},
		"just after":        {store.Filter{From: at.Add(-time.Minute + time.Millisecond)}, []string{"shippedReview"}},
		"a moment after":    {store.Filter{From: at.Add(time.Nanosecond)}, nil},
		"to a moment after": {store.Filter{To: t0.Add(time.Minute + time.Nanosecond)}, []string{"plain"}},
		"to":                {store.Filter{To: t0.Add(2 * time.Minute)}, []string{"plain"}},
		"from and to":       {store.Filter{From: t0.Add(2 * time.Minute), To: t0.Add(4 * time.Minute)}, []string{"foreign", "tee"}},
		"sku":               {store.Filter{SKU: `te"e\`}, []string{"tee"}},
		"sku of all":        {store.Filter{SKU: "mug", Shop: shopB}, []string{"foreign"}},
		"part of a sku":     {store.Filter{SKU: "mu"}, nil},
		"name is no sku":    {store.Filter{SKU: "Tee"}, nil},
		"id":                {store.Filter{Text: all["tee"].ID}, []string{"tee"}},
		"part of an id":     {store.Filter{Text: all["tee"].ID[6:]}, []string{"tee"}},
		"payid":             {store.Filter{Text: "pay-77X"}, []string{"paid"}},
		"part of a payid":   {store.Filter{Text: "-77"}, []string{"paid"}},
		"orderuid":          {store.Filter{Text: "user-7"}, []string{"ada"}},
		"buyer's name":      {store.Filter{Text: "da o'ne"}, []string{"ada"}},
		"buyer's email":     {store.Filter{Text: "ada@EXAMPLE"}, []string{"ada"}},
		"buyer's tel":       {store.Filter{Text: "+86 5"}, []string{"ada"}},
		"buyer's address":   {store.Filter{Text: "安街"}, []string{"ada"}},
		"buyer's note":      {store.Filter{Text: "100% OF_it\\"}, []string{"ada"}},
		"percent is text":   {store.Filter{Text: "1%of"}, nil},
		"underscore too":    {store.Filter{Text: "o_neil"}, nil},
		"no field's border": {store.Filter{Text: "NeilADA"}, nil},
		"title is not read": {store.Filter{Text: "coffee"}, nil},
		"no valid text":     {store.Filter{Text: "\xff"}, nil},
		"nul":               {store.Filter{Text: "\x00", SKU: "\x00", Shop: "\x00"}, nil},
		"to ship":           {store.Filter{Todo: store.TodoShip}, []string{"paid"}},
		"to ship, expired":  {store.Filter{Todo: store.TodoShip, States: []order.State{order.Expired}}, nil},
		"together": {store.Filter{
			Shop: shopA, States: []order.State{order.Paid}, From: t0, To: at, SKU: "mug", Text: "PAY", Todo: store.TodoShip,
		}, []string{"paid"}},
	} {
		var want []*order.Order
		for _, name := range tt.want {
			want = append(want, all[name])
		}
		f.want("each: "+name, f.each(tt.filter), newestFirst(want))
		f.want("list: "+name, f.pages(tt.filter, 1, func() {}), newestFirst(want))
	}
}
