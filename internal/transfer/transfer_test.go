package transfer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
	"github.com/caddy-checkout/checkout/internal/store/postgres"
	"github.com/caddy-checkout/checkout/internal/store/postgres/pgtest"
	"github.com/caddy-checkout/checkout/internal/store/sqlite"
)

var server = sync.OnceValues(func() (*pgtest.Server, error) { return pgtest.Launch() })

var launched bool

func TestMain(m *testing.M) {
	code := m.Run()
	if launched {
		if pg, err := server(); err == nil {
			if err := pg.Close(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
		}
	}
	os.Exit(code)
}

// target is a schema of its own.
func target(t testing.TB) (pg *pgtest.Server, dsn string) {
	t.Helper()
	launched = true
	pg, err := server()
	if err != nil {
		pgtest.Missing(t, err)
	}
	return pg, pg.Schema(t)
}

func openTarget(t testing.TB, dsn string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), dsn, postgres.Options{Unfinished: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func openSource(t testing.TB) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "orders.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 123e6, time.UTC)

const merchant = "10000001400000@https://sun.jings.wang"

// fill makes n orders of all kinds, with all that may belong to them.
func fill(t testing.TB, s store.Store, n int) {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	ctx := t.Context()
	for i := range n {
		fillOrder(t, s, rng, i)
		if i%7 == 0 {
			o := store.Orphan{Shop: "shop", PayID: fmt.Sprint("orphan", i), OrderID: "x", PayMoney: "1.00", RealPay: "1.00", At: t0}
			for range 1 + rng.IntN(2) {
				_, err := s.KeepOrphan(ctx, o)
				ok(t, err)
			}
		}
	}
	_, err := s.ClaimBalance(ctx, merchant, t0, time.Minute)
	ok(t, err)
	ok(t, s.SaveBalance(ctx, store.Balance{Merchant: merchant, Amount: "5.94", At: t0.Add(time.Second)}))
	_, err = s.ClaimBalance(ctx, "never answered", t0, time.Minute)
	ok(t, err)
	for i := range 2 * n {
		target := []string{"webhook:https://a.example", "mail:buyer"}[i%2]
		claimed, err := s.ClaimDeliveries(ctx, target, t0.Add(time.Hour), time.Minute, 1)
		ok(t, err)
		for _, d := range claimed {
			for range rng.IntN(3) {
				a := store.Attempt{At: t0.Add(time.Duration(i) * time.Millisecond), Took: 1234567, Status: 502, Answer: "<bad> gateway\n"}
				ok(t, s.RecordAttempt(ctx, d.ID, a, store.DeliveryPending, t0.Add(3*time.Hour)))
			}
			if state := []string{store.DeliveryPending, store.DeliveryDone, store.DeliveryFailed, store.DeliveryDisabled}[rng.IntN(4)]; state != store.DeliveryPending {
				ok(t, s.RecordAttempt(ctx, d.ID, store.Attempt{At: t0, Status: 204}, state, time.Time{}))
			}
		}
	}
}

func fillOrder(t testing.TB, s store.Store, rng *rand.Rand, i int) {
	t.Helper()
	ctx := t.Context()
	at := t0.Add(time.Duration(rng.IntN(1000)) * time.Second)
	o := &order.Order{
		ID: order.NewID(at), Shop: []string{"shop", "店"}[i%2], Title: "Mug ＆ 壶", OrderUID: "顾客01", Language: "zh",
		Lines: []order.Line{{SKU: "mug", Name: "Mug <3>", Price: 3900, Qty: 2}, {SKU: "pot", Name: "手冲咖啡壶", Price: 1, Qty: 1}},
		Total: 7801, Client: fmt.Sprint("192.0.2.", i%200), Test: i%3 == 0,
		Buyer:     order.Buyer{Name: "张三", Email: "a@example.com", Tel: "1", Address: "Line 1\nLine 2", Note: `"quoted" \ 🙂`},
		CreatedAt: at, ExpiresAt: at.Add(time.Hour),
		History: []order.Entry{{At: at, Who: order.SourceBuyer, What: "created"}},
	}
	ok(t, s.Create(ctx, o, at.Add(2*time.Minute), store.PendingLimits{}))
	if i%4 == 0 {
		_, err := s.ClaimQuestion(ctx, o.Shop, o.ID, t0.Add(time.Hour), time.Minute)
		ok(t, err)
	}
	for change := range rng.IntN(4) {
		when := at.Add(time.Duration(change+1) * time.Minute)
		_, err := s.Update(ctx, o.Shop, o.ID, "", func(sub store.Subject) (*store.Change, error) {
			c := &store.Change{Order: sub.Order}
			c.Order.State = order.States[rng.IntN(len(order.States))]
			c.Order.Late, c.Order.Note, c.Order.Answer = change == 1, "note", "-1"
			c.Order.PaidAt, c.Order.ShippedAt, c.Order.RefundedAt, c.Order.AnsweredAt = when, when, when, when
			c.Entries = []order.Entry{{At: when, Who: "Anna", What: "confirmed", Reason: "by \u0000 phone"}}
			c.NextQuery, c.SetNextQuery = when, change == 0
			c.Payment = &order.Payment{PayID: order.NewID(when), PayMoney: "78.01", RealPay: "78.01", Source: order.SourceNotify, Verdict: "paid", At: when}
			if change == 2 {
				c.Payment.PayID = ""
			}
			c.Events = []store.Event{{
				ID: order.NewID(when), Type: "checkout.paid", At: when, Payload: []byte(`{"id":"\u0000壶"}`),
				Targets: []string{"webhook:https://a.example", "mail:buyer"}[:rng.IntN(3)],
			}}
			return c, nil
		})
		ok(t, err)
	}
}

// Both stores say the same of everything, through their ordinary methods.
func TestCopy(t *testing.T) {
	source := openSource(t)
	fill(t, source, 60)
	_, dsn := target(t)
	to := openTarget(t, dsn)
	var told []int
	sums, err := Copy(t.Context(), source, to, Options{Page: 7, Progress: func(step string, n int) { told = append(told, n) }})
	ok(t, err)
	if sums[kindOrders].Count != 60 || len(told) == 0 {
		t.Fatalf("%d orders were copied, progress %v", sums[kindOrders].Count, told)
	}
	for _, k := range Kinds {
		if sums[k].Count == 0 {
			t.Errorf("the test copied no %s", k)
		}
	}
	ok(t, to.Close())
	copied, err := postgres.Open(t.Context(), dsn, postgres.Options{})
	ok(t, err)
	defer copied.Close()
	compare(t, source, copied)

	_, err = Copy(t.Context(), source, openTarget(t, dsn), Options{})
	if !errors.Is(err, store.ErrNotEmpty) {
		t.Errorf("copying once more: %v", err)
	}
}

func compare(t *testing.T, source, copied store.Store) {
	t.Helper()
	ctx := t.Context()
	same := func(what string, a, b any) {
		t.Helper()
		if was, is := fmt.Sprintf("%+v", a), fmt.Sprintf("%+v", b); was != is {
			t.Errorf("%s:\nwas %s\n is %s", what, was, is)
		}
	}
	ok(t, source.Each(ctx, store.Filter{}, func(o *order.Order) error {
		was, wasDeliveries, err := source.Detail(ctx, o.ID)
		ok(t, err)
		is, isDeliveries, err := copied.Detail(ctx, o.ID)
		ok(t, err)
		same("order", was, is)
		same("deliveries", wasDeliveries, isDeliveries)
		granted, err := copied.ClaimQuestion(ctx, o.Shop, o.ID, t0.Add(time.Hour+time.Second), time.Minute)
		ok(t, err)
		if granted != o.AskedAt.IsZero() {
			t.Errorf("order asked about at %s: another question is granted: %t", o.AskedAt, granted)
		}
		return nil
	}))
	wasOrphans, _, err := source.Orphans(ctx, "", "", 1000)
	ok(t, err)
	isOrphans, _, err := copied.Orphans(ctx, "", "", 1000)
	ok(t, err)
	same("orphans", wasOrphans, isOrphans)
	wasStats, err := source.Stats(ctx)
	ok(t, err)
	isStats, err := copied.Stats(ctx)
	ok(t, err)
	same("orphans by shop", wasStats.Orphans, isStats.Orphans)
	same("pending deliveries", wasStats.OutboxPending, isStats.OutboxPending)
	same("oldest deliveries", wasStats.OutboxOldest, isStats.OutboxOldest)
	b, err := copied.Balance(ctx, merchant)
	ok(t, err)
	same("balance", store.Balance{Merchant: merchant, Amount: "5.94", At: t0.Add(time.Second)}, b)
	if granted, err := copied.ClaimBalance(ctx, "never answered", t0.Add(time.Second), time.Minute); err != nil || granted {
		t.Errorf("a balance asked for a second ago is asked for again (%v)", err)
	}
	next := func(order.Order) time.Time { return time.Time{} }
	late := t0.Add(24 * time.Hour)
	for _, shop := range []string{"shop", "店"} {
		was, err := source.ClaimDue(ctx, shop, late, late, time.Minute, 1000, next)
		ok(t, err)
		is, err := copied.ClaimDue(ctx, shop, late, late, time.Minute, 1000, next)
		ok(t, err)
		same("due questions", was, is)
	}
	was, err := source.ClaimDeliveries(ctx, "mail:buyer", late, time.Minute, 1000)
	ok(t, err)
	is, err := copied.ClaimDeliveries(ctx, "mail:buyer", late, time.Minute, 1000)
	ok(t, err)
	same("due deliveries", was, is)

	// New rows get new ids.
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 20 {
		fillOrder(t, copied, rng, i)
	}
	fresh, err := copied.KeepOrphan(ctx, store.Orphan{Shop: "shop", PayID: "new", At: t0})
	if err != nil || !fresh {
		t.Errorf("a new orphan is kept: %t (%v)", fresh, err)
	}
}

var errKilled = errors.New("killed")

// dying is a target that fails at its nth Import, before or after it wrote.
type dying struct {
	store.Importer
	lives   int
	written bool
	wrote   int
}

func (d *dying) Import(ctx context.Context, b store.Batch, from, to string) error {
	d.lives--
	if d.lives < 0 && !d.written {
		return errKilled
	}
	if err := d.Importer.Import(ctx, b, from, to); err != nil {
		return err
	}
	d.wrote += len(b.Records)
	if d.lives < 0 {
		return errKilled
	}
	return nil
}

func TestResume(t *testing.T) {
	source := openSource(t)
	fill(t, source, 20)
	_, dsn := target(t)
	wrote := 0
	for attempt := 0; ; attempt++ {
		d := &dying{Importer: openTarget(t, dsn), lives: attempt % 3, written: attempt%2 == 0}
		sums, err := Copy(t.Context(), source, d, Options{Page: 3})
		wrote += d.wrote
		if err == nil {
			if sums[kindOrders].Count != 20 {
				t.Errorf("%d orders were copied", sums[kindOrders].Count)
			}
			break
		}
		if !errors.Is(err, errKilled) || attempt > 50 {
			t.Fatalf("attempt %d: %v", attempt, err)
		}
		if s, err := postgres.Open(t.Context(), dsn, postgres.Options{}); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "unfinished copy") {
			t.Fatalf("opening a half of a copy: %v, %v", s, err)
		}
	}
	if wrote != 20 {
		t.Errorf("%d orders were written, want each of 20 once", wrote)
	}
	s, err := postgres.Open(t.Context(), dsn, postgres.Options{})
	ok(t, err)
	defer s.Close()
	compare(t, source, s)
}

func TestRefusesTargets(t *testing.T) {
	source := openSource(t)
	fill(t, source, 3)
	for _, tt := range []struct {
		name string
		fill func(t *testing.T, s store.Store)
		want error
	}{
		{"holds an order", func(t *testing.T, s store.Store) { fillOrder(t, s, rand.New(rand.NewPCG(1, 1)), 1) }, store.ErrNotEmpty},
		{"holds an orphan", func(t *testing.T, s store.Store) {
			_, err := s.KeepOrphan(t.Context(), store.Orphan{Shop: "shop", PayID: "1", At: t0})
			ok(t, err)
		}, store.ErrNotEmpty},
		{"holds a balance", func(t *testing.T, s store.Store) {
			ok(t, s.SaveBalance(t.Context(), store.Balance{Merchant: merchant, Amount: "1", At: t0}))
		}, store.ErrNotEmpty},
		{"holds half of another store", func(t *testing.T, s store.Store) {
			other := openSource(t)
			fill(t, other, 3)
			d := &dying{Importer: s.(store.Importer), lives: 1}
			if _, err := Copy(t.Context(), other, d, Options{Page: 1}); !errors.Is(err, errKilled) {
				t.Fatal(err)
			}
		}, ErrOtherSource},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, dsn := target(t)
			to := openTarget(t, dsn)
			tt.fill(t, to)
			before, err := sumAll(t.Context(), to, 10, func(int) {})
			ok(t, err)
			if _, err := Copy(t.Context(), source, to, Options{}); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			after, err := sumAll(t.Context(), to, 10, func(int) {})
			ok(t, err)
			if diff := before.differences(after); diff != "" {
				t.Errorf("the target was changed: %s", diff)
			}
		})
	}
}

// meddled calls meddle once half of the orders were read the first time.
type meddled struct {
	store.Exporter
	pages  int
	meddle func()
}

func (m *meddled) Export(ctx context.Context, after string, n int) ([]store.Record, error) {
	page, err := m.Exporter.Export(ctx, after, n)
	if m.pages++; m.pages == 3 {
		m.meddle()
	}
	return page, err
}

func TestNoticesChanges(t *testing.T) {
	ctx := t.Context()
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, s store.Store, first *order.Order)
	}{
		{"nothing", nil},
		{"a new order", func(t *testing.T, s store.Store, _ *order.Order) { fillOrder(t, s, rand.New(rand.NewPCG(1, 1)), 1) }},
		{"a paid order", func(t *testing.T, s store.Store, o *order.Order) {
			_, err := s.Update(ctx, o.Shop, o.ID, "", func(sub store.Subject) (*store.Change, error) {
				c := &store.Change{Order: sub.Order}
				c.Order.Note = "changed"
				return c, nil
			})
			ok(t, err)
		}},
		{"an orphan told again", func(t *testing.T, s store.Store, _ *order.Order) {
			page, _, err := s.Orphans(ctx, "", "", 1)
			ok(t, err)
			_, err = s.KeepOrphan(ctx, page[0])
			ok(t, err)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			source := openSource(t)
			fill(t, source, 8)
			page, err := source.Export(ctx, "", 1)
			ok(t, err)
			_, dsn := target(t)
			to := openTarget(t, dsn)
			// What comes after the copy, and before the verification.
			end := &ending{Importer: to, at: func() {
				if tt.change != nil {
					tt.change(t, source, &page[0].Order)
				}
			}}
			_, err = Copy(ctx, source, end, Options{Page: 2})
			if want := map[bool]error{false: ErrSourceChanged}[tt.change == nil]; !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		})
	}
	t.Run("behind the copy", func(t *testing.T) {
		source := openSource(t)
		fill(t, source, 8)
		page, err := source.Export(ctx, "", 1)
		ok(t, err)
		m := &meddled{Exporter: source, meddle: func() {
			_, err := source.ClaimQuestion(ctx, page[0].Order.Shop, page[0].Order.ID, t0.Add(5*time.Hour), time.Minute)
			ok(t, err)
		}}
		_, dsn := target(t)
		if _, err := Copy(ctx, m, openTarget(t, dsn), Options{Page: 2}); !errors.Is(err, ErrSourceChanged) {
			t.Errorf("got %v", err)
		}
	})
}

// ending calls at once everything was written.
type ending struct {
	store.Importer
	at func()
}

func (e *ending) Import(ctx context.Context, b store.Batch, from, to string) error {
	err := e.Importer.Import(ctx, b, from, to)
	if len(b.Questions) > 0 {
		e.at()
	}
	return err
}

// Whatever the target changed in the copy is noticed.
func TestNoticesDamage(t *testing.T) {
	source := openSource(t)
	fill(t, source, 30)
	for _, damage := range []string{
		"UPDATE orders SET total = total + 1 WHERE id = (SELECT max(id) FROM orders)",
		"UPDATE orders SET next_query = next_query + 1 WHERE id = (SELECT max(id) FROM orders)",
		"UPDATE orders SET buyer_note = '' WHERE id = (SELECT max(id) FROM orders)",
		"UPDATE orders SET history = history || history WHERE id = (SELECT max(id) FROM orders)",
		"UPDATE orders SET asked_at = asked_at + 1 WHERE id = (SELECT max(id) FROM orders)",
		"UPDATE orders SET payments = '[]' WHERE id = (SELECT max(id) FROM orders WHERE payments <> '[]')",
		`UPDATE orders SET payments = regexp_replace(payments, '"realpay":"[^"]+"', '"realpay":""') WHERE id = (SELECT max(id) FROM orders WHERE payments <> '[]')`,
		"UPDATE events SET payload = '' WHERE id = (SELECT max(id) FROM events)",
		"UPDATE deliveries SET state = 'elsewhere' WHERE id = (SELECT max(id) FROM deliveries)",
		"UPDATE deliveries SET log = '' WHERE id = (SELECT max(id) FROM deliveries WHERE log <> '')",
		"UPDATE orphans SET seen = seen + 1 WHERE id = (SELECT max(id) FROM orphans)",
		"DELETE FROM balances WHERE amount = ''",
		"UPDATE balances SET asked_at = 0 WHERE amount <> ''",
	} {
		pg, dsn := target(t)
		schema := dsn[strings.LastIndex(dsn, "=")+1:]
		to := &ending{Importer: openTarget(t, dsn), at: func() { pg.Exec(t, "SET search_path = "+schema+"; "+damage) }}
		if _, err := Copy(t.Context(), source, to, Options{Page: 10}); !errors.Is(err, ErrTargetDiffers) {
			t.Errorf("%s: %v", damage, err)
		}
	}
}

// Of two copies at once, at most one ends well, and whatever became of them,
// another one can finish.
func TestTwoAtOnce(t *testing.T) {
	source := openSource(t)
	fill(t, source, 20)
	_, dsn := target(t)
	var both sync.WaitGroup
	var errs [2]error
	for i := range errs {
		to := openTarget(t, dsn)
		both.Go(func() { _, errs[i] = Copy(t.Context(), source, to, Options{Page: 1}) })
	}
	both.Wait()
	if errs[0] == nil && errs[1] == nil {
		t.Error("both copied")
	}
	if errs[0] != nil && errs[1] != nil {
		_, err := Copy(t.Context(), source, openTarget(t, dsn), Options{})
		ok(t, err)
	}
	s, err := postgres.Open(t.Context(), dsn, postgres.Options{})
	ok(t, err)
	defer s.Close()
	compare(t, source, s)
}

func TestNothingToCopy(t *testing.T) {
	_, dsn := target(t)
	sums, err := Copy(t.Context(), openSource(t), openTarget(t, dsn), Options{})
	if err != nil || len(sums) != 0 {
		t.Errorf("copied %v: %v", sums, err)
	}
	s, err := postgres.Open(t.Context(), dsn, postgres.Options{})
	ok(t, err)
	s.Close()
}
