package checkout

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-checkout/checkout/internal/gateway"
	"github.com/caddy-checkout/checkout/internal/merchant"
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/payment"
	"github.com/caddy-checkout/checkout/internal/store"
)

// api asks the admin endpoint and decodes a good answer into v, if any.
func (r *running) api(t *testing.T, method, path, body string, v any) answer {
	t.Helper()
	var header []string
	if body != "" {
		header = []string{"Content-Type", "application/json"}
	}
	a := ask(t, r.admin, method, "http://127.0.0.1/checkout/"+path, body, header...)
	if v != nil {
		if a.status != http.StatusOK {
			t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
		}
		if err := json.Unmarshal([]byte(a.body), v); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, a.body)
		}
	}
	return a
}

// keep writes an order as it was made, and then as change makes it.
func (r *running) keep(t *testing.T, at time.Time, buyer order.Buyer, change func(*store.Change)) string {
	t.Helper()
	st := openStore(t).get()
	o := &order.Order{
		ID: order.NewID(at), Shop: r.shopID(), Lines: []order.Line{{SKU: "mug", Name: "手冲咖啡壶", Price: 3900, Qty: 2}, {SKU: "tea", Name: "Tea", Price: 100, Qty: 1}},
		Total: 7900, Title: "手冲咖啡壶 等", Buyer: buyer, CreatedAt: at, ExpiresAt: at.Add(time.Hour), Test: true, Language: "zh",
		History: []order.Entry{{At: at, Who: order.SourceBuyer, What: "created"}},
	}
	later := time.Now().Add(24 * time.Hour) // nobody but the test asks about it
	if err := st.Create(t.Context(), o, later, store.PendingLimits{}); err != nil {
		t.Fatal(err)
	}
	if change == nil {
		return o.ID
	}
	_, err := st.Update(t.Context(), o.Shop, o.ID, "", func(s store.Subject) (*store.Change, error) {
		c := &store.Change{Order: s.Order}
		change(c)
		return c, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return o.ID
}

func (r *running) shopID() string {
	return payment.ShopID("10000001400000", r.shop, "/checkout", r.sandbox)
}

func paid(c *store.Change) {
	c.Order.State, c.Order.PaidAt = order.Paid, c.Order.CreatedAt
	c.Payment = &order.Payment{PayID: "pay" + c.Order.ID, PayMoney: "79.00", RealPay: "79.00", Source: order.SourceNotify, Verdict: "paid", At: c.Order.CreatedAt}
	c.Entries = []order.Entry{{At: c.Order.CreatedAt, Who: order.SourceNotify, What: "paid"}}
	c.Events = []store.Event{{
		ID: order.NewID(c.Order.CreatedAt), Type: "checkout.paid", At: c.Order.CreatedAt,
		Payload: []byte(`{}`), Targets: []string{"webhook:https://hooks.example.com/"},
	}}
}

func inReview(c *store.Change) {
	c.Order.State, c.Order.Note = order.Review, "paid 0.01 of 79.00"
	c.Payment = &order.Payment{PayID: "odd" + c.Order.ID, PayMoney: "79.00", RealPay: "0.01", Source: order.SourceNotify, Verdict: "mismatch", At: c.Order.CreatedAt}
}

func TestAdminOrders(t *testing.T) {
	r := run(t)
	day := time.Date(2026, 3, 1, 12, 0, 0, 0, time.Local)
	first := r.keep(t, day, order.Buyer{Name: "张三", Address: "=HYPERLINK(1)\nTown"}, paid)
	second := r.keep(t, day.Add(time.Hour), order.Buyer{Name: "Bob"}, inReview)
	third := r.keep(t, day.AddDate(0, 0, 1), order.Buyer{Email: "c@example.com"}, nil)

	list := func(query string) []string {
		t.Helper()
		var page merchant.OrderPage
		r.api(t, "GET", "orders?"+query, "", &page)
		var ids []string
		for _, o := range page.Orders {
			ids = append(ids, o.ID)
		}
		return ids
	}
	for query, want := range map[string][]string{
		"":                              {third, second, first},
		"state=paid":                    {first},
		"state=paid&state=review":       {second, first},
		"from=2026-03-02":               {third},
		"to=2026-03-01":                 {second, first},
		"from=2026-03-01&to=2026-03-02": {third, second, first},
		"to=" + url.QueryEscape(day.Add(time.Minute).Format(time.RFC3339)): {first},
		"text=" + url.QueryEscape("张三"):                                    {first},
		"text=EXAMPLE.com":                                                 {third},
		"text=odd" + second:                                                {second},
		"sku=tea&state=pending":                                            {third},
		"sku=pot":                                                          nil,
		"todo=ship":                                                        {first},
		"shop=" + url.QueryEscape("another"):                               nil,
		"shop=" + url.QueryEscape(r.shopID()) + "&limit=1":                 {third},
	} {
		if got := list(query); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got %v, want %v", query, got, want)
		}
	}

	var ids []string
	for cursor, n := "", 0; n == 0 || cursor != ""; n++ {
		var page merchant.OrderPage
		r.api(t, "GET", "orders?limit=2&cursor="+cursor, "", &page)
		for _, o := range page.Orders {
			ids = append(ids, o.ID)
		}
		cursor = page.Next
	}
	if fmt.Sprint(ids) != fmt.Sprint([]string{third, second, first}) {
		t.Errorf("paging gave %v", ids)
	}
	if a := r.api(t, "GET", "orders?shop=another", "", nil); strings.TrimSpace(a.body) != `{"orders":[],"next":""}` {
		t.Errorf("an empty page is %s", a.body)
	}

	var detail merchant.Detail
	r.api(t, "GET", "orders/"+first, "", &detail)
	if len(detail.Lines) != 2 || detail.Buyer.Name != "张三" || len(detail.Payments) != 1 || len(detail.History) != 2 || len(detail.Deliveries) != 1 {
		t.Errorf("got %+v", detail)
	}

	a := r.api(t, "GET", "orders.csv?state=paid&state=review", "", nil)
	text, bom := strings.CutPrefix(a.body, "\ufeff")
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || !bom || len(rows) != 5 || a.header.Get("Content-Type") != "text/csv; charset=utf-8" || !strings.Contains(a.header.Get("Content-Disposition"), ".csv") {
		t.Errorf("CSV: %v, byte order mark %v, %d rows, %v", err, bom, len(rows), a.header)
	}
	if !strings.Contains(text, "'=HYPERLINK(1)") || !strings.Contains(text, "手冲咖啡壶") {
		t.Errorf("CSV holds %s", text)
	}

	var sum merchant.Summary
	r.api(t, "GET", "summary?from=2026-03-01&to=2026-03-01", "", &sum)
	if len(sum.Days) != 1 || sum.Days[0].Day != "2026-03-01" || sum.Days[0].Orders["paid"] != 1 || sum.Days[0].Money["paid"] != 7900 || len(sum.Products) != 2 || sum.Zone == "" {
		t.Errorf("summary %+v", sum)
	}
}

func TestAdminDecisions(t *testing.T) {
	r := run(t)
	now := time.Now()
	review := r.keep(t, now, order.Buyer{}, inReview)
	pending := r.keep(t, now, order.Buyer{}, nil)

	for _, tc := range []struct{ path, body, want string }{
		{"confirm", `{"who":"张三","reason":"seen in the bank"}`, "confirmed"},
		{"shipped", `{"reason":"SF123"}`, "shipped"},
		{"refunded", `{"who":"bob","reason":"broken"}`, "refunded"},
	} {
		for range 3 {
			var o order.Order
			r.api(t, "POST", "orders/"+review+"/"+tc.path, tc.body, &o)
			if o.State != order.Paid {
				t.Errorf("%s: state %s", tc.path, o.State)
			}
		}
	}
	var detail merchant.Detail
	r.api(t, "GET", "orders/"+review, "", &detail)
	var did []string
	for _, e := range detail.History {
		did = append(did, e.Who+" "+e.What+" "+e.Reason)
	}
	if want := "[buyer created  张三 confirmed seen in the bank admin shipped SF123 bob refunded broken]"; fmt.Sprint(did) != want {
		t.Errorf("history %v, want %s", did, want)
	}

	for _, tc := range []struct {
		path, body string
		status     int
		want       string
	}{
		{pending + "/confirm", `{"reason":"x"}`, 409, "only an order in review can be confirmed, this one is pending"},
		{pending + "/shipped", `{"reason":"x"}`, 409, "only a paid order can be shipped"},
		{pending + "/refunded", `{"reason":"x"}`, 409, "no payment is known"},
		{review + "/confirm", `{"reason":" "}`, 400, "a reason is required"},
		{review + "/confirm", ``, 400, "a reason is required"},
		{review + "/confirm", `{"reason":"x","whom":"y"}`, 400, `unknown field \"whom\"`},
		{review + "/confirm", `{"reason":"x","who":"notify"}`, 400, "stands for what no person did"},
		{review + "/confirm", `{"reason":`, 400, "malformed body"},
		{review + "/confirm", `{"reason":"` + strings.Repeat("x", 5000) + `"}`, 400, "more than 4096 bytes"},
		{review + "/refresh", `{"reason":"x"}`, 400, "takes none"},
		{"01ARZ3NDEKTSV4RRFFQ69G5FAV/confirm", `{"reason":"x"}`, 404, "not found"},
		{"nonsense/refresh", ``, 404, "not found"},
	} {
		if a := r.api(t, "POST", "orders/"+tc.path, tc.body, nil); a.status != tc.status || !strings.Contains(a.body, tc.want) {
			t.Errorf("%s %s: got %d %s, want %d %s", tc.path, tc.body, a.status, a.body, tc.status, tc.want)
		}
	}
	if a := ask(t, r.admin, "POST", "http://127.0.0.1/checkout/orders/"+review+"/shipped", `{"reason":"x"}`, "Content-Type", "text/plain"); a.status != 400 {
		t.Errorf("text/plain: %d %s", a.status, a.body)
	}
}

// What the gateway knows of an order is learned on request, within its limit.
func TestAdminRefresh(t *testing.T) {
	r := run(t)
	f := r.order(t, "sku=mug&qty=1")
	r.pay(t, f)
	var got merchant.Refreshed
	r.api(t, "POST", "orders/"+f.OrderID+"/refresh", "", &got)
	if !got.Asked || got.Order.State != order.Paid || got.Order.Answer != "0" {
		t.Errorf("got %+v, %+v", got, got.Order)
	}
	r.api(t, "POST", "orders/"+f.OrderID+"/refresh", "", &got)
	if got.Asked {
		t.Error("asked twice within a minute")
	}
	var balances merchant.BalanceList
	r.api(t, "GET", "balance", "", &balances)
	if len(balances.Balances) != 1 || balances.Balances[0].Shop != r.shopID() {
		t.Errorf("balances %+v", balances)
	}
}

func TestAdminDeliveriesAndOrphans(t *testing.T) {
	r := run(t)
	id := r.keep(t, time.Now().Add(time.Hour), order.Buyer{}, paid)
	st := openStore(t).get()
	if _, err := st.KeepOrphan(t.Context(), store.Orphan{Shop: r.shopID(), OrderID: "x1", PayID: "p1", PayMoney: "1.00", RealPay: "1.00", At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	var orphans merchant.OrphanPage
	r.api(t, "GET", "orphans?limit=5", "", &orphans)
	if len(orphans.Orphans) != 1 || orphans.Orphans[0].PayID != "p1" {
		t.Errorf("orphans %+v", orphans)
	}

	var page merchant.DeliveryPage
	r.api(t, "GET", "deliveries?state=pending&shop="+url.QueryEscape(r.shopID()), "", &page)
	if len(page.Deliveries) != 1 || page.Deliveries[0].OrderID != id {
		t.Fatalf("deliveries %+v", page)
	}
	d := page.Deliveries[0]
	if err := st.RecordAttempt(t.Context(), d.ID, store.Attempt{At: time.Now(), Status: 410}, store.DeliveryDisabled, time.Time{}); err != nil {
		t.Fatal(err)
	}
	var done merchant.Done
	r.api(t, "POST", "deliveries/"+d.ID+"/redeliver", "", &done)
	r.api(t, "GET", "deliveries?state=disabled", "", &page)
	if !done.Done || len(page.Deliveries) != 0 {
		t.Errorf("after redelivery %+v", page)
	}
	if a := r.api(t, "POST", "deliveries/none/redeliver", "", nil); a.status != 404 {
		t.Errorf("unknown delivery: %d %s", a.status, a.body)
	}
}

func TestAdminRefuses(t *testing.T) {
	r := run(t)
	for _, tc := range []struct {
		method, path string
		status       int
		want         string
	}{
		{"GET", "orders?sate=paid", 400, `unknown parameter \"sate\"; known are shop, state, from, to, sku, text, todo, cursor, limit`},
		{"GET", "orders?limit=501", 400, "from 1 to 500"},
		{"GET", "orders?limit=0", 400, "from 1 to 500"},
		{"GET", "orders?cursor=%2e%2e", 400, "cursor"},
		{"GET", "orders?state=settled", 400, "use pending, paid, expired or review"},
		{"GET", "orders?text=%zz", 400, "malformed query"},
		{"GET", "orders?text=a;b", 400, "malformed query"},
		{"GET", "orders.csv?limit=1", 400, "unknown parameter"},
		{"GET", "orders.csv?from=x", 400, "write a day like"},
		{"GET", "summary?state=paid", 400, "known are shop, from, to"},
		{"GET", "deliveries?state=gone", 400, "use pending, done, failed, disabled"},
		{"GET", "deliveries?cursor=x", 400, "cursor"},
		{"GET", "orphans?cursor=x", 400, "cursor"},
		{"GET", "balance?shop=x", 400, "there are none here"},
		{"GET", "orders/01ARZ3NDEKTSV4RRFFQ69G5FAV", 404, "not found"},
		{"GET", "orders/", 404, "resource not found"},
		{"GET", "", 404, "resource not found"},
		{"GET", "orders/x/y/z", 404, "resource not found"},
		{"POST", "orders", 405, "use GET"},
		{"DELETE", "orders/01ARZ3NDEKTSV4RRFFQ69G5FAV", 405, "use GET"},
		{"GET", "backup", 405, "use POST"},
		{"GET", "orders/01ARZ3NDEKTSV4RRFFQ69G5FAV/confirm", 405, "use POST"},
	} {
		a := r.api(t, tc.method, tc.path, "", nil)
		if a.status != tc.status || !strings.Contains(a.body, tc.want) || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: got %d %s, want %d %s", tc.method, tc.path, a.status, a.body, tc.status, tc.want)
		}
		if allow := a.header.Get("Allow"); (tc.status == 405) != (allow != "") {
			t.Errorf("%s %s: Allow is %q", tc.method, tc.path, allow)
		}
	}
}

func TestAdminBackup(t *testing.T) {
	r := run(t)
	r.keep(t, time.Now(), order.Buyer{}, paid)
	file := filepath.Join(r.dir, "backup.db")
	backup := func(file string) answer {
		body, _ := json.Marshal(merchant.BackupFile{File: file})
		return r.api(t, "POST", "backup", string(body), nil)
	}
	if a := backup(file); a.status != 200 {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	if info, err := os.Stat(file); err != nil || info.Size() == 0 {
		t.Errorf("backup: %v", err)
	}
	for name, tc := range map[string]struct {
		file   string
		status int
		want   string
	}{
		"again":        {file, 409, "exists already"},
		"relative":     {"backup.db", 400, "absolute path"},
		"none":         {"", 400, "absolute path"},
		"no directory": {filepath.Join(r.dir, "absent", "x.db"), 400, "cannot write there"},
	} {
		if a := backup(tc.file); a.status != tc.status || !strings.Contains(a.body, tc.want) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

func TestAdminWithoutApp(t *testing.T) {
	r := run(t)
	if err := reload(t, adaptRaw(t, fmt.Sprintf("{\nadmin unix/%[1]s/admin.sock\npersist_config off\nstorage file_system %[1]s/caddy\n}\n", r.dir))); err != nil {
		t.Fatal(err)
	}
	if a := r.api(t, "GET", "orders", "", nil); a.status != 503 || !strings.Contains(a.body, "the running configuration has no checkout") {
		t.Errorf("got %d %s", a.status, a.body)
	}
}

func TestDeskNeedsStore(t *testing.T) {
	a := &App{store: &sharedStore{}}
	if _, err := a.desk(); !errors.Is(err, errNotReady) {
		t.Errorf("got %v", err)
	}
}

func TestAPIError(t *testing.T) {
	for _, tc := range []struct {
		err    error
		status int
	}{
		{errNotReady, 503},
		{fmt.Errorf("x: %w", store.ErrUnavailable), 503},
		{context.DeadlineExceeded, 503},
		{store.ErrNotFound, 404},
		{merchant.ErrNoShop, 409},
		{payment.ErrNotThat, 409},
		{gateway.ErrNoAnswer, 502},
		{errors.ErrUnsupported, 501},
		{errors.New("x"), 500},
	} {
		w := httptest.NewRecorder()
		var got caddy.APIError
		if err := apiError(w, tc.err); !errors.As(err, &got) || got.HTTPStatus != tc.status {
			t.Errorf("%v: got %v", tc.err, err)
		}
		if retry := w.Header().Get("Retry-After"); (tc.status == 503) != (retry != "") {
			t.Errorf("%v: Retry-After is %q", tc.err, retry)
		}
	}
	if err := apiError(httptest.NewRecorder(), nil); err != nil {
		t.Error(err)
	}
}
