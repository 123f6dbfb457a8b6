package handlers

import (
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/payment"
)

// document is a parsed page.
type document struct {
	t    testing.TB
	root *html.Node
}

func parse(t testing.TB, w *httptest.ResponseRecorder) document {
	t.Helper()
	if got := w.Header().Get("Content-Type"); got != "text/html; charset=utf-8" {
		t.Fatalf("Content-Type %q: %s", got, w.Body)
	}
	root, err := html.Parse(strings.NewReader(w.Body.String()))
	if err != nil {
		t.Fatal(err)
	}
	return document{t, root}
}

// all returns the elements with the name and all attributes, given as "name=value" or "name".
func (d document) all(name string, attributes ...string) []*html.Node {
	var found []*html.Node
	for n := range d.root.Descendants() {
		if n.Type != html.ElementNode || n.Data != name {
			continue
		}
		fits := true
		for _, a := range attributes {
			key, value, hasValue := strings.Cut(a, "=")
			got, ok := attribute(n, key)
			fits = fits && ok && (!hasValue || got == value)
		}
		if fits {
			found = append(found, n)
		}
	}
	return found
}

// one returns the only such element.
func (d document) one(name string, attributes ...string) *html.Node {
	d.t.Helper()
	found := d.all(name, attributes...)
	if len(found) != 1 {
		d.t.Fatalf("%d of <%s %v>, want one", len(found), name, attributes)
	}
	return found[0]
}

func attribute(n *html.Node, key string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val, true
		}
	}
	return "", false
}

func value(n *html.Node, key string) string {
	v, _ := attribute(n, key)
	return v
}

func content(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

var allFields = []payment.BuyerField{
	{Name: "name", Required: true}, {Name: "email", Required: true},
	{Name: "tel"}, {Name: "address", Required: true}, {Name: "note"},
}

// everyPage asks for every page that there is.
func everyPage(r *rig, headers ...string) map[string]*httptest.ResponseRecorder {
	good := "sku=mug&sku=a%26b&name=n&email=a@b.cn&address=x"
	get := func(path string) *httptest.ResponseRecorder { return r.do("GET", path, "", headers...) }
	return map[string]*httptest.ResponseRecorder{
		"review":   get("/checkout?sku=mug&sku=%E8%8C%B6%E5%A3%B6&sku=a%26b"),
		"wrong":    r.do("POST", "/checkout", "sku=a%26b&email="+nasty+"&name="+nasty+"&note="+nasty, headers...),
		"pay":      r.do("POST", "/checkout", good, headers...),
		"wait":     get("/checkout/return/" + r.put(order.Pending).ID),
		"receipt":  get("/checkout/return/" + r.put(order.Paid).ID),
		"expired":  get("/checkout/return/" + r.put(order.Expired).ID),
		"contact":  get("/checkout/return/" + r.put(order.Review).ID),
		"error":    get("/checkout/return/nope"),
		"no items": get("/checkout"),
	}
}

func TestEveryPage(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Fields = allFields; c.Test = true })
	for l, accept := range []string{english: "en", chinese: "zh-CN"} {
		nonces := make(map[string]bool)
		for name, w := range everyPage(r, "Accept-Language: "+accept) {
			d := parse(t, w)
			if got, want := value(d.one("html"), "lang"), messages["lang"][l]; got != want {
				t.Errorf("%s: lang %q, want %q", name, got, want)
			}
			if got := w.Header().Get("Content-Language"); got != messages["lang"][l] {
				t.Errorf("%s: Content-Language %q", name, got)
			}
			d.one("main")
			if d.one("title"); content(d.one("title")) == "" || content(d.one("h1")) == "" {
				t.Errorf("%s: no title or heading", name)
			}
			if got := content(d.one("p", "class=test")); got != messages["test_mode"][l] {
				t.Errorf("%s: banner %q", name, got)
			}
			if strings.Contains(w.Body.String(), "[[") || strings.Contains(w.Body.String(), "ZgotmplZ") {
				t.Errorf("%s: holds a placeholder", name)
			}
			checkPolicy(t, name, w, d, nonces)
			checkNames(t, name, d)
		}
	}
}

// checkPolicy holds a page to its own policy.
func checkPolicy(t *testing.T, name string, w *httptest.ResponseRecorder, d document, nonces map[string]bool) {
	t.Helper()
	for header, want := range map[string]string{
		"Cache-Control":              "no-store",
		"X-Content-Type-Options":     "nosniff",
		"Referrer-Policy":            "strict-origin",
		"Cross-Origin-Opener-Policy": "same-origin",
		"Vary":                       "Accept, Accept-Language",
	} {
		if got := w.Header().Get(header); got != want {
			t.Errorf("%s: %s %q, want %q", name, header, got, want)
		}
	}
	policy := make(map[string]string)
	for directive := range strings.SplitSeq(w.Header().Get("Content-Security-Policy"), "; ") {
		key, sources, _ := strings.Cut(directive, " ")
		policy[key] = sources
	}
	nonce := strings.TrimSuffix(strings.TrimPrefix(policy["script-src"], "'nonce-"), "'")
	if len(nonce) < 22 || nonces[nonce] {
		t.Errorf("%s: nonce %q is short or was there before", name, nonce)
	}
	nonces[nonce] = true
	want := map[string]string{
		"default-src": "'none'", "script-src": "'nonce-" + nonce + "'", "style-src": "'nonce-" + nonce + "'",
		"img-src": "'self'", "connect-src": "'self'", "form-action": "'none'", "frame-ancestors": "'none'", "base-uri": "'none'",
	}
	switch name {
	case "review":
		want["img-src"] = "'self' https://cdn.example.com"
		want["form-action"] = "'self' " + testBase
	case "wrong":
		want["form-action"] = "'self' " + testBase
	case "pay":
		want["form-action"] = testBase + " https:"
	}
	for key, sources := range want {
		if policy[key] != sources {
			t.Errorf("%s: %s %q, want %q", name, key, policy[key], sources)
		}
	}
	if len(policy) != len(want) {
		t.Errorf("%s: policy %v", name, policy)
	}
	scripts := 0
	for n := range d.root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if n.Data == "script" || n.Data == "style" {
			if value(n, "nonce") != nonce || value(n, "src") != "" {
				t.Errorf("%s: <%s> without the nonce", name, n.Data)
			}
			if n.Data == "script" {
				scripts++
			}
		}
		for _, a := range n.Attr {
			if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
				t.Errorf("%s: <%s %s>", name, n.Data, a.Key)
			}
		}
	}
	wantScripts := 0
	if name == "pay" || name == "wait" {
		wantScripts = 1
	}
	if scripts != wantScripts {
		t.Errorf("%s: %d scripts, want %d", name, scripts, wantScripts)
	}
	if len(d.all("link")) > 0 || len(d.all("iframe")) > 0 {
		t.Errorf("%s: loads something", name)
	}
}

// checkNames looks for what screen readers need.
func checkNames(t *testing.T, name string, d document) {
	t.Helper()
	ids := make(map[string]bool)
	for n := range d.root.Descendants() {
		if id := value(n, "id"); id != "" {
			if ids[id] {
				t.Errorf("%s: id %q twice", name, id)
			}
			ids[id] = true
		}
	}
	for _, kind := range []string{"input", "textarea"} {
		for _, n := range d.all(kind) {
			if value(n, "type") == "hidden" {
				continue
			}
			if label := d.all("label", "for="+value(n, "id")); len(label) != 1 || content(label[0]) == "" {
				t.Errorf("%s: %q has no label", name, value(n, "name"))
			}
			if value(n, "autocomplete") == "" {
				t.Errorf("%s: %q has no autocomplete", name, value(n, "name"))
			}
			if by, ok := attribute(n, "aria-describedby"); ok && !ids[by] {
				t.Errorf("%s: described by %q, which is not there", name, by)
			}
		}
	}
	for _, n := range d.all("img") {
		if _, ok := attribute(n, "alt"); !ok {
			t.Errorf("%s: picture without alt", name)
		}
	}
}

func TestNoTestBannerWhenLive(t *testing.T) {
	r := newRig(t, nil)
	if d := parse(t, r.do("GET", "/checkout?sku=mug", "")); len(d.all("p", "class=test")) != 0 {
		t.Error("banner on a live shop")
	}
}

func TestSourceOf(t *testing.T) {
	for link, want := range map[string]string{
		"/mug.jpg":                          "",
		"mug.jpg":                           "",
		"https://cdn.example.com/a.jpg?x=1": "https://cdn.example.com",
		"http://localhost:8081/pay":         "http://localhost:8081",
		"https://u:p@cdn.example.com/a.jpg": "https://cdn.example.com",
		"//cdn.example.com/a.jpg":           "",
		"javascript:alert(1)":               "",
		"data:image/png;base64,AA":          "",
		"https://a;script-src/x.jpg":        "",
		"https://a,b/x.jpg":                 "",
		"https://*/x.jpg":                   "",
		"https:///x.jpg":                    "",
		"https://例子.example/x.jpg":          "",
		":":                                 "",
	} {
		if got := sourceOf(link); got != want {
			t.Errorf("%q: %q, want %q", link, got, want)
		}
	}
}
