package storetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

var createTests = []test{
	{"keeps every field, times to the millisecond in UTC", func(f *fixture) {
		at := time.Date(2026, 3, 1, 20, 0, 0, 123_456_789, time.FixedZone("", 8*3600))
		o := newOrder(shopA, at)
		o.State, o.Late, o.Test = order.Review, true, true
		o.Lines = []order.Line{
			{SKU: "mug", Name: "咖啡杯 & <b>", Price: 3900, Qty: 2},
			{SKU: "tee", Name: `quote " back \`, Price: order.MaxMoney - 7800, Qty: 1},
		}
		o.Total = order.MaxMoney
		o.Buyer = order.Buyer{Name: "Ada O'Neil", Email: "ada@example.com", Tel: "+86 1", Address: "a\nb", Note: "😀"}
		o.OrderUID, o.Language, o.Note, o.Answer = "u1", "zh", "looked at", "-1"
		o.PaidAt, o.ShippedAt, o.RefundedAt = at.Add(1*time.Minute), at.Add(2*time.Minute), at.Add(3*time.Minute)
		o.AskedAt, o.AnsweredAt = at.Add(4*time.Minute), at.Add(5*time.Minute)
		o.History = append(o.History, order.Entry{At: at, Who: "Ada", What: "review", Reason: "two\nlines"})
		f.create(o)

		want := *o
		want.History = nil
		for _, ts := range []*time.Time{
			&want.CreatedAt, &want.ExpiresAt, &want.PaidAt, &want.ShippedAt,
			&want.RefundedAt, &want.AskedAt, &want.AnsweredAt,
		} {
			*ts = ts.UTC().Truncate(time.Millisecond)
		}
		f.want("order", f.order(o), want)

		for _, e := range o.History {
			e.At = e.At.UTC().Truncate(time.Millisecond)
			want.History = append(want.History, e)
		}
		got, deliveries := f.detail(o)
		f.want("order with history", got, want)
		f.want("deliveries", len(deliveries), 0)
	}},
	{"zero times stay zero", func(f *fixture) {
		got := f.order(f.created(0))
		for _, ts := range []time.Time{got.PaidAt, got.ShippedAt, got.RefundedAt, got.AskedAt, got.AnsweredAt} {
			if !ts.IsZero() {
				f.Fatalf("a time that was never set is %v", ts)
			}
		}
	}},
	{"an id that is there already is refused, also in another shop", func(f *fixture) {
		o := f.created(0)
		again := newOrder(shopB, t0)
		again.ID, again.Title = o.ID, "other"
		for _, shop := range []string{shopA, shopB} {
			again.Shop = shop
			if err := f.s.Create(f.Context(), again, t0, store.PendingLimits{}); !errors.Is(err, store.ErrExists) {
				f.Fatalf("got %v, want ErrExists", err)
			}
		}
		got, _ := f.detail(o)
		f.want("order", got, o)
	}},
	{"the same id at once is created once", func(f *fixture) {
		id, n := order.NewID(t0), 0
		for _, err := range together(32, func(i int) error {
			o := newOrder(shopA, t0)
			o.ID = id
			return f.s.Create(f.Context(), o, t0, store.PendingLimits{})
		}) {
			if err == nil {
				n++
			} else if !errors.Is(err, store.ErrExists) {
				f.Fatalf("got %v, want ErrExists", err)
			}
		}
		f.want("orders created", n, 1)
		got, _ := f.detail(&order.Order{ID: id})
		f.want("entries of its history", len(got.History), 1)
	}},
	{"limits", testLimits},
	{"limits hold when all come at once", func(f *fixture) {
		limits := store.PendingLimits{PerClient: 5, Total: 12}
		n := 0
		for _, err := range together(64, func(i int) error {
			o := newOrder(shopA, t0)
			o.Client = fmt.Sprint("192.0.2.", i%8)
			return f.s.Create(f.Context(), o, t0, limits)
		}) {
			if err == nil {
				n++
			} else if !errors.As(err, new(*store.LimitError)) {
				f.Fatalf("got %v, want a LimitError", err)
			}
		}
		f.want("orders created", n, limits.Total)
	}},
	{"many at once", func(f *fixture) {
		orders := make([]*order.Order, 128)
		for i := range orders {
			orders[i] = newOrder(shopA, t0)
			orders[i].Title = fmt.Sprint("order ", i)
		}
		f.allOK(together(len(orders), func(i int) error {
			return f.s.Create(f.Context(), orders[i], t0, store.PendingLimits{})
		}))
		for _, o := range orders {
			got, _ := f.detail(o)
			f.want("order", got, o)
		}
	}},
}

func testLimits(f *fixture) {
	limits := store.PendingLimits{PerClient: 2, Total: 3}
	orders := make(map[string]*order.Order)
	for _, step := range []struct {
		name, shop, client string
		want               *store.LimitError
		leave              order.State // afterwards the order leaves pending to it, unless it is Pending
	}{
		{name: "first", shop: shopA, client: "a"},
		{name: "second", shop: shopA, client: "a"},
		{name: "one too many of the client", shop: shopA, client: "a", want: &store.LimitError{PerClient: true, Limit: 2}},
		{name: "another client", shop: shopA, client: "b"},
		{name: "one too many in total", shop: shopA, client: "c", want: &store.LimitError{Limit: 3}},
		{name: "another shop", shop: shopB, client: "a"},
		{name: "paid releases", leave: order.Paid, shop: "first"},
		{name: "the client again", shop: shopA, client: "a"},
		{name: "full again", shop: shopA, client: "c", want: &store.LimitError{Limit: 3}},
		{name: "expired releases", leave: order.Expired, shop: "second"},
		{name: "review releases", leave: order.Review, shop: "another client"},
		{name: "c", shop: shopA, client: "c"},
		{name: "d", shop: shopA, client: "d"},
		{name: "full at last", shop: shopA, client: "e", want: &store.LimitError{Limit: 3}},
	} {
		if step.leave != order.Pending {
			f.setState(orders[step.shop], step.leave)
			continue
		}
		o := newOrder(step.shop, t0)
		o.Client = step.client
		orders[step.name] = o
		err := f.s.Create(f.Context(), o, t0, limits)
		if step.want == nil {
			if err != nil {
				f.Fatalf("%s: %v", step.name, err)
			}
			continue
		}
		var le *store.LimitError
		if !errors.As(err, &le) || *le != *step.want {
			f.Fatalf("%s: got %v, want %v", step.name, err, step.want)
		}
		if _, err := f.s.Order(f.Context(), step.shop, o.ID); !errors.Is(err, store.ErrNotFound) {
			f.Fatalf("%s: the refused order is there (%v)", step.name, err)
		}
	}
	o := newOrder(shopA, t0)
	o.Client = "a"
	f.ok(f.s.Create(f.Context(), o, t0, store.PendingLimits{}))
}

var orderTests = []test{
	{"unknown, foreign and malformed ids are not found", func(f *fixture) {
		o := f.created(0)
		for _, at := range [][2]string{
			{shopB, o.ID}, {"", o.ID}, {shopA, order.NewID(t0)}, {shopA, ""}, {shopA, "%"},
			{shopA, o.ID + " "}, {shopA, "\x00"}, {shopA, "\xff"}, {"\x00", o.ID},
		} {
			if _, err := f.s.Order(f.Context(), at[0], at[1]); !errors.Is(err, store.ErrNotFound) {
				f.Errorf("Order(%q): got %v, want ErrNotFound", at, err)
			}
			if _, err := f.s.Update(f.Context(), at[0], at[1], "P1", func(store.Subject) (*store.Change, error) {
				return nil, errors.New("decide was called")
			}); !errors.Is(err, store.ErrNotFound) {
				f.Errorf("Update(%q): got %v, want ErrNotFound", at, err)
			}
			if granted, err := f.s.ClaimQuestion(f.Context(), at[0], at[1], t0, time.Minute); granted || !errors.Is(err, store.ErrNotFound) {
				f.Errorf("ClaimQuestion(%q): got %v, %v, want ErrNotFound", at, granted, err)
			}
		}
		for _, id := range []string{order.NewID(t0), "", "\x00", "\xff"} {
			if _, _, err := f.s.Detail(f.Context(), id); !errors.Is(err, store.ErrNotFound) {
				f.Errorf("Detail(%q): got %v, want ErrNotFound", id, err)
			}
		}
	}},
}

var orphanTests = []test{
	{"the same notify is kept once and counted", func(f *fixture) {
		o := store.Orphan{
			Shop: shopA, OrderID: "no-such", PayID: "P1", OrderUID: "u1",
			PayMoney: "39.00", RealPay: "39.00", At: t0,
		}
		others := []store.Orphan{o, o, o, o, o}
		others[0].Shop = shopB
		others[1].PayID = "P2"
		others[2].OrderID = "other"
		others[3].PayMoney = "39.01"
		others[4].RealPay = "39.01"
		for i, other := range append([]store.Orphan{o}, others...) {
			if i > 0 {
				other.At = t0.Add(time.Duration(i) * time.Second)
			}
			fresh, err := f.s.KeepOrphan(f.Context(), other)
			f.ok(err)
			f.want("fresh", fresh, true)
		}
		again := o
		again.At = t0.Add(time.Hour)
		fresh, err := f.s.KeepOrphan(f.Context(), again)
		f.ok(err)
		f.want("fresh the second time", fresh, false)

		page, next, err := f.s.Orphans(f.Context(), shopA, "", 10)
		f.ok(err)
		f.want("next", next, "")
		f.want("orphans of the shop", len(page), 5)
		oldest := page[4]
		if oldest.ID == "" {
			f.Fatal("the store gave the orphan no id")
		}
		o.ID, o.Seen = oldest.ID, 2
		f.want("oldest, with the time of the first", oldest, o)
	}},
	{"the same notify at once is fresh once", func(f *fixture) {
		o := store.Orphan{Shop: shopA, OrderID: "x", PayID: "P1", PayMoney: "1.00", RealPay: "1.00", At: t0}
		fresh := make([]bool, 32)
		f.allOK(together(len(fresh), func(i int) (err error) {
			fresh[i], err = f.s.KeepOrphan(f.Context(), o)
			return err
		}))
		n := 0
		for _, yes := range fresh {
			if yes {
				n++
			}
		}
		f.want("fresh", n, 1)
		page, _, err := f.s.Orphans(f.Context(), "", "", 10)
		f.ok(err)
		f.want("orphans", len(page), 1)
		f.want("seen", page[0].Seen, len(fresh))
	}},
	{"pages of all shops, newest first", func(f *fixture) {
		const n = 7
		for i := range n {
			_, err := f.s.KeepOrphan(f.Context(), store.Orphan{
				Shop: []string{shopA, shopB}[i%2], PayID: fmt.Sprint("P", i), At: t0.Add(time.Duration(i) * time.Second),
			})
			f.ok(err)
		}
		var got []string
		for cursor, more := "", true; more; more = cursor != "" {
			page, next, err := f.s.Orphans(f.Context(), "", cursor, 3)
			f.ok(err)
			for _, o := range page {
				got = append(got, o.PayID)
			}
			cursor = next
		}
		f.want("payids", got, []string{"P6", "P5", "P4", "P3", "P2", "P1", "P0"})
	}},
}

var watchTests = []test{
	{"a changed state wakes after it is written", func(f *fixture) {
		o := f.created(0)
		changed, stop := f.s.Watch(shopA, o.ID)
		defer stop()
		f.change(o, func(c *store.Change) { c.Order.Note = "no change of state" })
		select {
		case <-changed:
			f.Fatal("woken without a change of state")
		default:
		}
		failed := make(chan error, 1)
		go func() {
			_, err := f.s.Update(context.WithoutCancel(f.Context()), shopA, o.ID, "P1", pay("P1", t0))
			failed <- err
		}()
		await(f, "the wake-up", changed)
		f.want("state", f.order(o).State, order.Paid)
		f.ok(await(f, "the update", failed))
	}},
	{"every watcher of the order wakes, others sleep on", func(f *fixture) {
		o, other := f.created(0), f.created(time.Second)
		one, stopOne := f.s.Watch(shopA, o.ID)
		defer stopOne()
		two, stopTwo := f.s.Watch(shopA, o.ID)
		defer stopTwo()
		_, stopGone := f.s.Watch(shopA, o.ID)
		stopGone()
		stopGone()
		asleep, stopAsleep := f.s.Watch(shopA, other.ID)
		defer stopAsleep()
		foreign, stopForeign := f.s.Watch(shopB, o.ID)
		defer stopForeign()
		f.setState(o, order.Expired)
		await(f, "the first wake-up", one)
		await(f, "the second wake-up", two)
		select {
		case <-asleep:
			f.Fatal("the watcher of another order was woken")
		case <-foreign:
			f.Fatal("the watcher of another shop was woken")
		default:
		}
	}},
	{"the feed tells of new orders and changes, once each", func(f *fixture) {
		notices, stop := f.s.Feed()
		defer stop()
		o := f.created(0)
		f.want("new", await(f, "the notice", notices), store.Notice{Shop: shopA, ID: o.ID, New: true})
		f.change(o, func(c *store.Change) { c.Order.Note = "n" })
		f.want("noted", await(f, "the notice", notices), store.Notice{Shop: shopA, ID: o.ID})
		f.setState(o, order.Paid)
		f.want("paid", await(f, "the notice", notices), store.Notice{Shop: shopA, ID: o.ID, State: order.Paid, Was: order.Pending})

		_, err := f.s.Update(f.Context(), shopA, o.ID, "", func(store.Subject) (*store.Change, error) { return nil, nil })
		f.ok(err)
		if err := f.s.Create(f.Context(), o, t0, store.PendingLimits{}); !errors.Is(err, store.ErrExists) {
			f.Fatal(err)
		}
		last := f.created(time.Second)
		f.want("after what wrote nothing", await(f, "the notice", notices), store.Notice{Shop: shopA, ID: last.ID, New: true})
	}},
}
