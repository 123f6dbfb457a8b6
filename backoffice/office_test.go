package backoffice

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-checkout/checkout/internal/merchant"
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// filled is a rig with an order in every state, deliveries in several and an
// orphan. It returns the path of every page below /admin/.
func filled(t *testing.T, change ...func(*Config)) (*rig, []string) {
	t.Helper()
	r := newRig(t, change...)
	buyer := order.Buyer{Name: "王小明" + nasty, Email: "a@example.com", Tel: "123", Address: "杭州\n" + nasty, Note: nasty}
	waiting := r.buy(buyer)
	paid := r.buy(buyer)
	r.pay("1", paid, "")
	r.giveUp(nasty)
	r.pay("2", paid, "")
	review := r.buy(buyer)
	r.pay("3", review, "0.01")
	r.pay("4", &order.Order{ID: nasty[:20], Total: 1}, "")
	done := r.buy(buyer)
	r.pay("5", done, "")
	if w := r.press(done.ID, "shipped", "reason="+nasty); w.Code != http.StatusSeeOther {
		t.Fatalf("shipping: %d\n%s", w.Code, w.Body)
	}
	if w := r.press(done.ID, "refunded", "reason="+nasty, "sure=1"); w.Code != http.StatusSeeOther {
		t.Fatalf("refunding: %d\n%s", w.Code, w.Body)
	}
	pages := []string{"", "orders", "orders?state=ship&text=" + url.QueryEscape(nasty) + "&sku=x", "deliveries", "deliveries?state=failed", "orphans", "charts"}
	for _, o := range []*order.Order{waiting, paid, review, done} {
		pages = append(pages, "orders/"+o.ID)
	}
	return r, pages
}

func TestNobodyIsRefused(t *testing.T) {
	r, pages := filled(t)
	reached := false
	r.desk = func() (*merchant.Desk, error) { reached = true; return nil, errors.New("reached") }
	pages = append(pages, "live", "orders.csv", "nonsense", "orders/"+order.NewID(noon)+"/shipped")
	for _, p := range pages {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			for _, user := range []string{"", " "} {
				w := r.doAs(user, method, "/admin/"+p, "")
				if w.Code != http.StatusForbidden {
					t.Errorf("%s %s of %q: status %d", method, p, user, w.Code)
				}
				for _, want := range []string{"basic_auth", "forward_auth", "allow_unprotected"} {
					if !strings.Contains(w.Body.String(), want) {
						t.Errorf("%s %s: no word of %s", method, p, want)
					}
				}
			}
		}
	}
	if reached {
		t.Error("the desk was reached")
	}
}

func TestAllowUnprotected(t *testing.T) {
	r := newRig(t, func(c *Config) { c.AllowUnprotected = true })
	o := r.buy(order.Buyer{})
	r.pay("1", o, "")
	if w := r.doAs("", http.MethodGet, "/admin/", ""); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), messages["open"][english]) {
		t.Errorf("status %d\n%s", w.Code, w.Body)
	}
	form := url.Values{"seen": {sight(r.detail(o.ID).Order)}, "reason": {"parcel 1"}}
	r.doAs("", http.MethodPost, "/admin/orders/"+o.ID+"/shipped", form.Encode())
	history := r.detail(o.ID).History
	if last := history[len(history)-1]; last.Who != "backoffice" || last.What != "shipped" || last.Reason != "parcel 1" {
		t.Errorf("history ends with %+v", last)
	}
}

func TestPagesInBothLanguages(t *testing.T) {
	r, pages := filled(t)
	for _, p := range pages {
		for l, header := range map[lang]string{english: "en-GB,en;q=0.9", chinese: "zh-CN,zh;q=0.9,en;q=0.8"} {
			w := r.do(http.MethodGet, "/admin/"+p, "", "Accept-Language: "+header)
			body := w.Body.String()
			if w.Code != http.StatusOK {
				t.Errorf("%s in %d: status %d", p, l, w.Code)
				continue
			}
			if !strings.Contains(body, `<html lang="`+l.say("lang")+`">`) {
				t.Errorf("%s: page is not in %s", p, l.say("lang"))
			}
			for key, m := range messages {
				other := m[1-l]
				if m[l] != other && strings.Contains(body, ">"+other+"<") {
					t.Errorf("%s in %s: %s is not translated: %q", p, l.say("lang"), key, other)
				}
			}
			checkHeaders(t, p, w.Header())
			checkStructure(t, p, body)
		}
	}
}

func TestHostileText(t *testing.T) {
	r, pages := filled(t, func(c *Config) { c.Title = nasty })
	for _, p := range pages {
		w := r.doAs("alice"+nasty, http.MethodGet, "/admin/"+p, "")
		body := w.Body.String()
		if w.Code != http.StatusOK {
			t.Fatalf("%s: status %d", p, w.Code)
		}
		if strings.Contains(body, "<script>alert") || strings.Contains(body, "<img") {
			t.Errorf("%s: markup got through", p)
		}
		if !strings.Contains(body, "&lt;script&gt;alert") {
			t.Errorf("%s: the hostile text is not on the page", p)
		}
	}
}

// TestLinksStayBelowThePrefix follows every link and form as a browser would.
func TestLinksStayBelowThePrefix(t *testing.T) {
	r, pages := filled(t)
	link := regexp.MustCompile(`(?:href|action|data-url)="([^"#$][^"]*)"`)
	for _, prefix := range []string{"/", "/admin/", "/a/b/", "/orders/"} {
		for _, p := range pages {
			base, err := url.Parse("https://shop.example.com" + prefix + p)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range link.FindAllStringSubmatch(r.page(base.RequestURI()), -1) {
				to, err := base.Parse(strings.ReplaceAll(m[1], "&amp;", "&"))
				if err != nil {
					t.Errorf("%s: %v", base, err)
					continue
				}
				if to.Host != base.Host || !strings.HasPrefix(to.Path, prefix) || parseRoute(to.Path).name == "" {
					t.Errorf("%s: %q leads to %s", base, m[1], to)
				}
				if rest := strings.TrimPrefix(to.Path, prefix); parseRoute("/"+rest) != parseRoute(to.Path) {
					t.Errorf("%s: %q leads to %s", base, m[1], to)
				}
			}
		}
	}
}

func TestRoutes(t *testing.T) {
	id := order.NewID(noon)
	for target, want := range map[string]route{
		"":                                 {"overview", "", "", "./"},
		"/":                                {"overview", "", "", "./"},
		"/admin/":                          {"overview", "", "", "./"},
		"/admin":                           {},
		"/admin/orders":                    {"orders", "", "", "./"},
		"/orders.csv":                      {"csv", "", "", "./"},
		"/orders/" + id:                    {"order", id, "", "../"},
		"/orders/" + id + "/refresh":       {"decide", id, "refresh", "../../"},
		"/orders/" + id + "/deleted":       {},
		"/orders/" + strings.ToLower(id):   {},
		"/orders/1/confirm":                {},
		"/deliveries/12/redeliver":         {"redeliver", "12", "", "../../"},
		"/x/deliveries/12/redeliver/again": {},
		"/charts":                          {"charts", "", "", "./"},
		"/live":                            {"live", "", "", "./"},
	} {
		if got := parseRoute(target); got != want {
			t.Errorf("%q: %+v, want %+v", target, got, want)
		}
	}
}

func TestMissingSlash(t *testing.T) {
	r := newRig(t)
	for _, p := range []string{"/admin", "//evil.example", "/a/b c"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://shop.example.com/", nil)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		r.office.Serve(w, req, Visitor{User: "alice", Path: p})
		base := &url.URL{Scheme: "http", Host: "shop.example.com", Path: p}
		to, err := base.Parse(w.Header().Get("Location"))
		if w.Code != http.StatusPermanentRedirect || err != nil || to.Host != base.Host || path.Clean(to.Path) != path.Clean(p) || !strings.HasSuffix(to.Path, "/") {
			t.Errorf("%s: %d to %v, %v", p, w.Code, to, err)
		}
	}
}

func TestProblems(t *testing.T) {
	r, _ := filled(t)
	id := order.NewID(noon)
	for name, c := range map[string]struct {
		method, target string
		status         int
	}{
		"no page":              {http.MethodGet, "/admin/nope", http.StatusNotFound},
		"no order":             {http.MethodGet, "/admin/orders/" + id, http.StatusNotFound},
		"no order to ship":     {http.MethodPost, "/admin/orders/" + id + "/shipped", http.StatusNotFound},
		"no order to refresh":  {http.MethodPost, "/admin/orders/" + id + "/refresh", http.StatusNotFound},
		"no delivery":          {http.MethodPost, "/admin/deliveries/99/redeliver", http.StatusNotFound},
		"strange delivery":     {http.MethodPost, "/admin/deliveries/'/redeliver", http.StatusNotFound},
		"ship by GET":          {http.MethodGet, "/admin/orders/" + id + "/shipped", http.StatusMethodNotAllowed},
		"post to a page":       {http.MethodPost, "/admin/orders", http.StatusMethodNotAllowed},
		"state":                {http.MethodGet, "/admin/orders?state=eaten", http.StatusBadRequest},
		"day":                  {http.MethodGet, "/admin/orders?from=yesterday", http.StatusBadRequest},
		"csv of a day":         {http.MethodGet, "/admin/orders.csv?from=yesterday", http.StatusBadRequest},
		"cursor":               {http.MethodGet, "/admin/orders?cursor=x", http.StatusBadRequest},
		"delivery cursor":      {http.MethodGet, "/admin/deliveries?cursor=x", http.StatusBadRequest},
		"orphan cursor":        {http.MethodGet, "/admin/orphans?cursor=x", http.StatusBadRequest},
		"delivery state":       {http.MethodGet, "/admin/deliveries?state=eaten", http.StatusBadRequest},
		"twice":                {http.MethodGet, "/admin/orders?text=a&text=b", http.StatusBadRequest},
		"bad escape":           {http.MethodGet, "/admin/orders?text=%zz", http.StatusBadRequest},
		"no text":              {http.MethodGet, "/admin/orders?text=%ff%00", http.StatusBadRequest},
		"long":                 {http.MethodGet, "/admin/orders?text=" + strings.Repeat("x", maxQuery), http.StatusBadRequest},
		"years of charts":      {http.MethodGet, "/admin/charts?from=2000-01-01", http.StatusBadRequest},
		"charts of the future": {http.MethodGet, "/admin/charts?from=2099-01-01", http.StatusBadRequest},
	} {
		for l, header := range map[lang]string{english: "en", chinese: "zh"} {
			w := r.do(c.method, c.target, "", "Accept-Language: "+header)
			if w.Code != c.status {
				t.Errorf("%s: status %d, want %d", name, w.Code, c.status)
			}
			if w.Code == http.StatusMethodNotAllowed && w.Header().Get("Allow") == "" {
				t.Errorf("%s: no Allow", name)
			}
			checkStructure(t, name, w.Body.String())
			if !strings.Contains(w.Body.String(), `<html lang="`+l.say("lang")) {
				t.Errorf("%s: not in %s", name, l.say("lang"))
			}
		}
	}
}

func TestNotReady(t *testing.T) {
	r, pages := filled(t)
	r.desk = func() (*merchant.Desk, error) { return nil, errors.New("the secret reason") }
	check := func(p string) {
		t.Helper()
		w := r.do(http.MethodGet, "/admin/"+p, "")
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "reason") {
			t.Errorf("%s: status %d, Retry-After %q\n%s", p, w.Code, w.Header().Get("Retry-After"), w.Body)
		}
	}
	pages = append(pages, "orders.csv")
	for _, p := range pages {
		check(p)
	}
	r.desk = func() (*merchant.Desk, error) { return &merchant.Desk{Store: broken{}}, nil }
	for _, p := range pages {
		check(p)
	}
}

// broken is a store whose database is gone.
type broken struct{ store.Store }

var errBroken = fmt.Errorf("reading: %w", store.ErrUnavailable)

func TestMessages(t *testing.T) {
	verbs := regexp.MustCompile(`%+[a-z]?`)
	for key, m := range messages {
		for l, text := range m {
			if strings.TrimSpace(text) == "" {
				t.Errorf("%s: nothing in %s", key, lang(l).say("lang"))
			}
		}
		if a, b := verbs.FindAllString(m[english], -1), verbs.FindAllString(m[chinese], -1); fmt.Sprint(a) != fmt.Sprint(b) {
			t.Errorf("%s: verbs %v in English and %v in Chinese", key, a, b)
		}
	}
	need := func(key string) {
		if _, ok := messages[key]; !ok {
			t.Errorf("no message %q", key)
		}
	}
	named := regexp.MustCompile(`\bt "(\w+)"`)
	err := fs.WalkDir(files, "pages", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := files.ReadFile(p)
		for _, m := range named.FindAllStringSubmatch(string(b), -1) {
			need(m[1])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		need(p.code + "_title")
		need(p.code + "_text")
	}
	for _, s := range order.States {
		need("state_" + s.String())
	}
	for _, s := range deliveryStates {
		need("delivery_" + s)
	}
	for _, b := range payTimeBounds {
		need("time_" + b)
	}
	for _, unit := range []string{"day", "week"} {
		need("chart_money_" + unit)
		need("chart_outcome_" + unit)
	}
	for _, what := range []string{"changed", "no_reason", "not_sure", "no_shop", "who"} {
		need("trouble_" + what)
	}
	for _, what := range []string{"confirm", "shipped", "refunded", "asked", "asked_lately", "no_answer", "redelivered"} {
		need("done_" + what)
	}
}
