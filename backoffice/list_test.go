package backoffice

import (
	"bufio"
	"context"
	"encoding/csv"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/internal/merchant"
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/payment"
	"github.com/caddy-checkout/checkout/internal/store"
)

func (broken) List(context.Context, store.Filter, string, int) ([]order.Order, string, error) {
	return nil, "", errBroken
}

func (broken) Each(context.Context, store.Filter, func(*order.Order) error) error { return errBroken }

func (broken) Summarize(context.Context, string, time.Time, time.Time, *time.Location) (*store.Summary, error) {
	return nil, errBroken
}

func (broken) Deliveries(context.Context, string, string, string, int) ([]store.Delivery, string, error) {
	return nil, "", errBroken
}

func (broken) Orphans(context.Context, string, string, int) ([]store.Orphan, string, error) {
	return nil, "", errBroken
}

func (broken) Detail(context.Context, string) (*order.Order, []store.Delivery, error) {
	return nil, nil, errBroken
}

var (
	orderLink = regexp.MustCompile(`orders/(\w{26})"`)
	nextLink  = regexp.MustCompile(`href="([^"]+)" rel="next"`)
)

func TestPaging(t *testing.T) {
	r := newRig(t)
	const n = 2*merchant.DefaultPage + 3
	want := make(map[string]bool)
	for i := range n {
		r.set(noon.Add(time.Duration(i) * time.Second))
		o := r.buy(order.Buyer{Name: "王小明"})
		want[o.ID] = true
		if i%50 == 0 {
			r.buy(order.Buyer{Name: "Anna"})
		}
	}
	target, pages := "/admin/orders?text="+url.QueryEscape("王小明"), 0
	for target != "" {
		page := r.page(target)
		pages++
		for _, m := range orderLink.FindAllStringSubmatch(page, -1) {
			if !want[m[1]] {
				t.Fatalf("page %d shows %s, or shows it twice", pages, m[1])
			}
			delete(want, m[1])
		}
		target = ""
		if m := nextLink.FindStringSubmatch(page); m != nil {
			target = "/admin/" + html.UnescapeString(m[1])
		}
	}
	if len(want) != 0 || pages != 3 {
		t.Errorf("%d orders on none of %d pages", len(want), pages)
	}
}

func TestFilters(t *testing.T) {
	r := newRig(t)
	r.set(noon.Add(-24 * time.Hour))
	old := r.buy(order.Buyer{})
	r.set(noon)
	shipped := r.buy(order.Buyer{})
	r.pay("101", shipped, "")
	r.press(shipped.ID, "shipped", "reason=x")
	paid := r.buy(order.Buyer{Email: "anna@example.com"}, payment.Item{SKU: "pot", Qty: 1})
	r.pay("102", paid, "")
	review := r.buy(order.Buyer{})
	r.pay("103", review, "0.01")
	for query, want := range map[string][]*order.Order{
		"":                                       {old, shipped, paid, review},
		"state=pending":                          {old},
		"state=paid":                             {shipped, paid},
		"state=ship":                             {paid},
		"state=review":                           {review},
		"state=expired":                          {},
		"from=2026-03-10":                        {shipped, paid, review},
		"to=2026-03-09":                          {old},
		"from=2026-03-09&to=2026-03-9":           nil,
		"from=2026-03-09&to=2026-03-10&sku=pot":  {paid},
		"text=anna":                              {paid},
		"text=103":                               {review},
		"text=" + old.ID:                         {old},
		"shop=" + url.QueryEscape(r.shop.ID()):   {old, shipped, paid, review},
		"shop=another&state=&text=&from=&to=":    {},
		"shop=" + url.QueryEscape(nasty) + "&x=": {},
	} {
		w := r.do(http.MethodGet, "/admin/orders?"+query, "")
		export := r.do(http.MethodGet, "/admin/orders.csv?"+query, "")
		if want == nil {
			if w.Code != http.StatusBadRequest || export.Code != http.StatusBadRequest {
				t.Errorf("%s: status %d and %d", query, w.Code, export.Code)
			}
			continue
		}
		rows, err := csv.NewReader(strings.NewReader(export.Body.String())).ReadAll()
		if err != nil || len(rows) != len(want)+1 {
			t.Errorf("%s: %d rows, want %d, %v", query, len(rows), len(want)+1, err)
		}
		if got := len(orderLink.FindAllString(w.Body.String(), -1)); got != len(want) {
			t.Errorf("%s: %d orders, want %d", query, got, len(want))
		}
		for _, o := range want {
			if !strings.Contains(w.Body.String(), o.ID) || !strings.Contains(export.Body.String(), o.ID) {
				t.Errorf("%s: %s is missing", query, o.ID)
			}
		}
	}
}

func TestCSV(t *testing.T) {
	r := newRig(t)
	r.buy(order.Buyer{Name: "=1+1"})
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		w := r.do(method, "/admin/orders.csv", "")
		if w.Code != http.StatusOK || w.Header().Get("Content-Disposition") != `attachment; filename="orders-2026-03-10.csv"` {
			t.Errorf("%s: %d, %v", method, w.Code, w.Header())
		}
		body := w.Body.String()
		if method == http.MethodGet && (!strings.HasPrefix(body, "\ufeff") || !strings.Contains(body, "'=1+1")) {
			t.Errorf("%q", body)
		}
		if method == http.MethodHead && body != "" {
			t.Errorf("%q for HEAD", body)
		}
	}
}

func TestOverview(t *testing.T) {
	r := newRig(t)
	if page := r.page("/admin/"); !strings.Contains(page, messages["no_decisions"][english]) {
		t.Error("an empty shop needs a decision")
	}
	r.set(noon.Add(-13 * time.Hour)) // yesterday, 23:00
	r.pay("1", r.buy(order.Buyer{}), "")
	r.set(noon)
	r.pay("2", r.buy(order.Buyer{}), "")
	r.buy(order.Buyer{})
	refunded := r.buy(order.Buyer{})
	r.pay("3", refunded, "0.01")
	r.press(refunded.ID, "refunded", "reason=x", "sure=1")
	review := r.buy(order.Buyer{})
	r.pay("4", review, "0.01")
	r.pay("5", &order.Order{ID: "unknown-order", Total: 1}, "")
	page := r.page("/admin/")
	tile := regexp.MustCompile(`(?s)<div><dt>([^<]+)</dt><dd><a href="[^"]+">([^<]+)</a></dd></div>`)
	got := make(map[string]string)
	for _, m := range tile.FindAllStringSubmatch(page, -1) {
		got[m[1]] = m[2]
	}
	for label, want := range map[string]string{"Orders today": "4", "Paid of them": "¥39.00", "Waiting": "1", "To ship": "2", "Needs a decision": "2"} {
		if got[label] != want {
			t.Errorf("%s: %q, want %q", label, got[label], want)
		}
	}
	decisions, rest, _ := strings.Cut(page, `id="today"`)
	if !strings.Contains(decisions, review.ID) || strings.Contains(decisions, refunded.ID) || !strings.Contains(decisions, "unknown-order") {
		t.Error("the wrong things need a decision")
	}
	if !strings.Contains(rest, refunded.ID) {
		t.Error("an order is missing below")
	}
	r.set(noon.Add(orphansNew))
	if page := r.page("/admin/"); strings.Contains(page, "unknown-order") {
		t.Error("an old orphan still needs a decision")
	}
}

func TestCharts(t *testing.T) {
	r := newRig(t)
	body := r.page("/admin/charts")
	if bars := checkDrawings(t, "no data", body, "solid"); bars != 0 || !strings.Contains(body, messages["chart_none"][english]) {
		t.Errorf("no data: %d bars", bars)
	}
	for day := range 3 {
		for i := range 2 {
			r.set(noon.AddDate(0, 0, -day))
			o := r.buy(order.Buyer{})
			if i == 0 {
				r.set(r.now().Add(90 * time.Second))
				r.pay(fmt.Sprint("p", day), o, "")
			}
		}
	}
	r.set(noon)
	body = r.page("/admin/charts?from=2026-03-10&to=2026-03-10")
	if bars := checkDrawings(t, "one day", body, "solid"); bars != 3 { // money, paid, one time to payment
		t.Errorf("one day: %d bars", bars)
	}
	body = r.page("/admin/charts")
	if bars := checkDrawings(t, "many days", body, "solid"); bars != 7 {
		t.Errorf("many days: %d bars", bars)
	}
	for _, want := range []string{"¥117.00 was paid in all", "Of 3 paid orders, 100% were paid within 5 minutes", "<td class=\"num\">¥39.00</td>"} {
		if !strings.Contains(body, want) {
			t.Errorf("many days: no %q", want)
		}
	}
	if got := strings.Count(body, `class="day"`); got != chartDays {
		t.Errorf("%d rows, want %d", got, chartDays)
	}
	body = r.page("/admin/charts?from=2025-03-11&to=2026-03-10")
	checkDrawings(t, "a year", body, "solid")
	if !strings.Contains(body, messages["chart_money_week"][english]) || strings.Count(body, `class="day"`) != 53 {
		t.Error("a year is not drawn by weeks")
	}
}

// TestExpiredIsHatched tells the two kinds of bars apart without colour.
func TestExpiredIsHatched(t *testing.T) {
	r := newRig(t)
	o := r.buy(order.Buyer{})
	r.set(noon.Add(3 * time.Hour))
	r.press(o.ID, "refresh")
	if got := r.detail(o.ID).State; got != order.Expired {
		t.Fatalf("order is %v", got)
	}
	body := r.page("/admin/charts")
	if bars := checkDrawings(t, "expired", body, "hatched"); bars != 1 {
		t.Errorf("%d hatched bars", bars)
	}
	if !strings.Contains(body, `fill="url(#outcome-hatch)"><title>2026-03-10: Expired 1</title>`) {
		t.Error("the bar has no pattern or no title")
	}
}

func TestGridStep(t *testing.T) {
	for _, c := range [][3]int64{
		{0, 1, 1}, {1, 1, 1}, {4, 1, 1}, {5, 1, 2}, {9, 1, 5}, {100, 1, 25}, {0, 100, 100}, {390, 100, 100},
		{1_019_00, 100, 500_00}, {int64(order.MaxMoney), 100, 25_000_000_000_00},
	} {
		if got := gridStep(c[0], c[1]); got != c[2] {
			t.Errorf("up to %d, at least %d: %d, want %d", c[0], c[1], got, c[2])
		}
	}
}

func TestLive(t *testing.T) {
	r := newRig(t)
	base := r.serve()
	open := func(ctx context.Context) *bufio.Reader {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"live", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		if got := resp.Header.Get("Content-Type"); got != "text/event-stream" {
			t.Fatalf("content type %q", got)
		}
		return bufio.NewReader(resp.Body)
	}
	line := func(b *bufio.Reader) string {
		t.Helper()
		for {
			s, err := b.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if s = strings.TrimSpace(s); s != "" {
				return s
			}
		}
	}
	b := open(t.Context())
	if got := line(b); got != "retry: 3000" { // the feed is followed from here on
		t.Fatalf("%q", got)
	}
	o := r.buy(order.Buyer{})
	if got := line(b); !strings.HasPrefix(got, "data: {") || !strings.Contains(got, `"id":"`+o.ID+`"`) || !strings.Contains(got, `"new":true`) {
		t.Errorf("%q", got)
	}
	r.pay("1", o, "")
	if got := line(b); !strings.Contains(got, `"state":"paid"`) {
		t.Errorf("%q", got)
	}
	close(r.end)
	for {
		if _, err := b.ReadByte(); err != nil {
			break // the stream has ended, or the test hangs
		}
	}
}
