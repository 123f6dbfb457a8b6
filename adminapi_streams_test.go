package checkout

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/internal/merchant"
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// feedLines opens the feed and returns its lines; the channel is closed at its end.
func (r *running) feedLines(ctx context.Context, t *testing.T) <-chan string {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, "GET", "http://127.0.0.1/checkout/feed", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := r.admin.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("feed: %s", resp.Status)
	}
	lines := make(chan string, 100)
	go func() {
		defer resp.Body.Close()
		defer close(lines)
		for s := bufio.NewScanner(resp.Body); s.Scan(); {
			lines <- s.Text()
		}
	}()
	return lines
}

func nextLine(t *testing.T, lines <-chan string) (line string, ok bool) {
	t.Helper()
	select {
	case line, ok = <-lines:
		return line, ok
	case <-time.After(failsafe):
		t.Fatal("nothing comes from the feed")
		return "", false
	}
}

func TestAdminFeed(t *testing.T) {
	r := run(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lines := r.feedLines(ctx, t)
	id := r.keep(t, time.Now(), order.Buyer{Name: "Bob"}, paid)
	for _, want := range []merchant.Notice{
		{Notice: store.Notice{State: order.Pending, New: true}},
		{Notice: store.Notice{State: order.Paid, Was: order.Pending}},
	} {
		line, _ := nextLine(t, lines)
		var got merchant.Notice
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		if got.ID != id || got.State != want.State || got.New != want.New || got.Order == nil || got.Order.Buyer.Name != "Bob" {
			t.Errorf("got %s", line)
		}
	}

	// A reload ends it, and the next one is served by the new configuration.
	if err := r.load(t, "product pot 128 Pot"); err != nil {
		t.Fatal(err)
	}
	if line, ok := nextLine(t, lines); ok {
		t.Errorf("after the reload came %s", line)
	}
	lines = r.feedLines(ctx, t)

	// A failed reload leaves it alone.
	if err := r.load(t, "catalog "+r.dir+"/absent.json"); err == nil {
		t.Error("loaded with a catalog that is not there")
	}
	r.keep(t, time.Now(), order.Buyer{}, nil)
	if _, ok := nextLine(t, lines); !ok {
		t.Error("a failed reload ended the feed")
	}
	cancel()
	r.waitIdle(t)
}

// waitIdle waits until requests that were ended are over on the server's side too.
func (r *running) waitIdle(t *testing.T) {
	t.Helper()
	app, err := liveApp()
	if err != nil {
		t.Fatal(err)
	}
	idle := func() bool {
		app.requests.mu.Lock()
		defer app.requests.mu.Unlock()
		n, _ := stores.References(app.storeKey)
		return app.requests.n == 0 && n == 1
	}
	for deadline := time.Now().Add(failsafe); !idle(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("requests do not end")
		}
	}
}

// breaking is a store that fails in the middle of an export.
type breaking struct {
	store.Store
	orders int
}

func (b breaking) Each(_ context.Context, _ store.Filter, fn func(*order.Order) error) error {
	for range b.orders {
		o := &order.Order{ID: strings.Repeat("x", 26), Lines: []order.Line{{SKU: "mug"}}}
		if err := fn(o); err != nil {
			return err
		}
	}
	return store.ErrUnavailable
}

// An export that breaks off is never taken for a whole one.
func TestAdminCSVBreaks(t *testing.T) {
	for orders, whole := range map[int]bool{0: true, 10_000: false} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			d := &adminDesk{Desk: &merchant.Desk{Store: breaking{orders: orders}}, query: r.URL.Query()}
			if err := d.csv(w, r); err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
			}
		}))
		resp, err := http.Get(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, resp.Body)
		if whole && (err != nil || resp.StatusCode != 503) {
			t.Errorf("%d orders: %s, %v", orders, resp.Status, err)
		}
		if !whole && err == nil {
			t.Errorf("%d orders: the end looks like a whole export", orders)
		}
		resp.Body.Close()
		srv.Close()
	}
}
