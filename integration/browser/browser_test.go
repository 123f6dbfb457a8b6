// Package browser buys from the example shop with a real browser, as people
// do: with and without JavaScript, by mouse and by keyboard, on a phone and at
// a desk, in Chinese and in English.
package browser

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-checkout/checkout/integration/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

const root = "../../"

// store is the example shop with its sandbox, on ports of its own.
type store struct {
	*harness.Caddy
	shop, sandbox string // their origins
	t             testing.TB
}

// openStore runs the Caddyfile that README tells people to run; only its ports
// and its folder are others, and the gateway sends buyers back sooner.
func openStore(t *testing.T) *store {
	t.Helper()
	caddyfile, err := os.ReadFile(root + "examples/storefront/Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	s := &store{Caddy: harness.NewCaddy(t), t: t}
	s.shop = fmt.Sprintf("http://localhost:%d", s.Listen())
	s.sandbox = fmt.Sprintf("http://localhost:%d", s.Listen())
	s.Start(strings.NewReplacer(
		"http://localhost:8080", s.shop,
		"http://localhost:8081", s.sandbox,
		"checkout_sandbox {", "checkout_sandbox {\n\t\treturn_delay 1s",
		" examples/", " "+folder+"/"+root+"examples/",
	).Replace(string(caddyfile)))
	return s
}

// command tells the sandbox to do something.
func (s *store) command(name, body string) {
	s.t.Helper()
	resp, err := http.Post(s.sandbox+"/sandbox/"+name, "application/json", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		s.t.Fatalf("sandbox: %s %s: %s", name, body, resp.Status)
	}
}

const (
	reviewButton = "main form button[type=submit]"
	payButton    = "button[name=do][value=pay]"
	receipt      = "document.querySelector('.mark.good')"
)

// looks checks what every page must be, and keeps a picture of it.
func looks(t *testing.T, b *harness.Browser, name string) {
	t.Helper()
	b.Screenshot(name)
	if b.Overflows() {
		t.Errorf("%s: the page is wider than the window", name)
	}
	unnamed, err := b.Eval(`[...document.querySelectorAll("a, button, input:not([type=hidden]), textarea, select")].filter(e => !(
		(e.labels && e.labels.length) || e.getAttribute("aria-label") || e.textContent.trim())).map(e => e.outerHTML).join("\n")`)
	if err != nil || unnamed != "" {
		t.Errorf("%s: a screen reader has no name for\n%s (%v)", name, unnamed, err)
	}
	lang, err := b.Eval("document.documentElement.lang.length > 1 && document.title.length > 2")
	if err != nil || lang != "true" {
		t.Errorf("%s: the page has no language or no title (%v)", name, err)
	}
}

// expectNoProblems checks that the browser complained of nothing, and asked
// nobody but these origins for anything.
func expectNoProblems(t *testing.T, b *harness.Browser, origins ...string) {
	t.Helper()
	for _, p := range b.Problems() {
		t.Errorf("the browser complains: %s", p)
	}
	for _, asked := range b.Asked() {
		u, err := url.Parse(asked)
		if err != nil || u.Scheme != "data" && !slices.Contains(origins, u.Scheme+"://"+u.Host) {
			t.Errorf("the browser asked for %s, which is none of %v", asked, origins)
		}
	}
}

func (s *store) expectNoProblems(t *testing.T, b *harness.Browser) {
	t.Helper()
	expectNoProblems(t, b, s.shop, s.sandbox)
}

// passPayPage goes on from the page that sends the buyer to the gateway: by
// itself, or by its button where scripts are off.
func passPayPage(b *harness.Browser, w harness.Window) {
	if w.NoScript {
		b.Click("form#pay button")
	}
}

func windows() map[string]harness.Window {
	deskNoScript, phone, dark := harness.Desktop, harness.Phone, harness.Phone
	deskNoScript.NoScript = true
	phone.NoScript = true
	dark.Dark = true
	return map[string]harness.Window{
		"desktop": harness.Desktop, "desktop-noscript": deskNoScript,
		"phone-noscript": phone, "phone-dark": dark,
	}
}

func TestBuyByLink(t *testing.T) {
	s := openStore(t)
	for name, w := range windows() {
		t.Run(name, func(t *testing.T) {
			b := harness.NewBrowser(t, w)
			b.Open(s.shop)
			looks(t, b, "1-shop")
			b.Click(`a[href="/checkout?sku=mug&qty=1"]`)
			b.Await("the order page", fmt.Sprintf("document.querySelector(%q)", reviewButton))
			want := "Your order"
			if w.Language == "zh-CN" {
				want = "确认订单"
			}
			b.AwaitText(want)
			looks(t, b, "2-review")
			b.Type("[name=email]", "buyer@example.com")
			b.Click(reviewButton)
			passPayPage(b, w)
			b.Await("the cashier", fmt.Sprintf("document.querySelector(%q)", payButton))
			looks(t, b, "3-cashier")
			b.Click(payButton)
			b.Await("the receipt", receipt)
			b.AwaitText("39.00")
			looks(t, b, "4-receipt")
			s.expectNoProblems(t, b)
		})
	}
}

func TestBuyByForm(t *testing.T) {
	s := openStore(t)
	for name, w := range windows() {
		t.Run(name, func(t *testing.T) {
			b := harness.NewBrowser(t, w)
			b.Open(s.shop + "/forms.html")
			looks(t, b, "1-forms")
			b.Type("#buy-beans [name=qty]", "3")
			b.Click("#buy-beans button")
			b.AwaitText("Beans & scoop")
			b.AwaitText("205.50")

			b.Open(s.shop + "/forms.html")
			b.Type("#buy-set [name=email]", "buyer@example.com")
			b.Click("#buy-set button")
			passPayPage(b, w)
			b.AwaitText("235.50")
			b.Click(payButton)
			b.Await("the receipt", receipt)
			b.AwaitText("手冲咖啡壶")
			looks(t, b, "2-receipt")
			s.expectNoProblems(t, b)
		})
	}
}

// The page stays where it is; the payment happens in another tab.
func TestBuyWithoutLeaving(t *testing.T) {
	s := openStore(t)
	b := harness.NewBrowser(t, harness.Desktop)
	b.Open(s.shop + "/live.html")
	looks(t, b, "1-live")
	b.Type("#live [name=email]", "buyer@example.com")
	payment := b.NewTab(func() { b.Click("#live button") })
	payment.Click(payButton)
	b.AwaitText("Paid, ¥39.00. Thank you!")
	looks(t, b, "2-paid")
	s.expectNoProblems(t, b)
}

func TestBuyWithoutLeavingOrScripts(t *testing.T) {
	s := openStore(t)
	w := harness.Desktop
	w.NoScript = true
	b := harness.NewBrowser(t, w)
	b.Open(s.shop + "/live.html")
	b.Type("#live [name=email]", "buyer@example.com")
	b.Click("#live button")
	passPayPage(b, w)
	b.Click(payButton)
	b.Await("the receipt", receipt)
	s.expectNoProblems(t, b)
}

func TestBuyByKeyboard(t *testing.T) {
	s := openStore(t)
	b := harness.NewBrowser(t, harness.Desktop)
	b.Open(s.shop)
	b.TabTo(`a[href="/checkout?sku=kettle&qty=1"]`)
	b.Press("\r")
	b.TabTo("[name=email]")
	b.Press("not an address")
	b.TabTo(reviewButton)
	b.Press("\r")
	b.TabTo("[name=email]") // the browser itself does not let that pass
	b.Type("[name=email]", "buyer@example.com")
	b.TabTo("[name=note]")
	b.Press("送货前请打电话")
	b.TabTo(reviewButton)
	b.Press("\r")
	b.TabTo(payButton)
	b.Press("\r")
	b.Await("the receipt", receipt)
	b.AwaitText("128.00")
	s.expectNoProblems(t, b)
}

// What the shop refuses stands beside the field, and what was typed is kept.
func TestAWrongFieldIsExplained(t *testing.T) {
	s := openStore(t)
	w := harness.Phone
	w.NoScript = true
	b := harness.NewBrowser(t, w)
	b.Open(s.shop + "/checkout?sku=notebook&qty=2")
	b.Type("[name=note]", "gift")
	if _, err := b.Eval("document.querySelector('main form').noValidate = true"); err != nil {
		t.Fatal(err)
	}
	b.Click(reviewButton)
	b.Await("the error beside the field", "document.querySelector('[name=email][aria-invalid=true][aria-describedby]')")
	b.Await("what was typed", "document.querySelector('[name=note]').value === 'gift'")
	b.Await("the items", "document.body.innerText.includes('39.80')")
	looks(t, b, "1-wrong")
}

// The buyer is back before the notify: the page waits and turns into the
// receipt by itself.
func TestTheWaitPageTurnsIntoTheReceipt(t *testing.T) {
	for name, w := range map[string]harness.Window{"desktop": harness.Desktop, "noscript": {Width: 390, Height: 844, Language: "zh-CN", NoScript: true}} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t)
			s.command("misbehave", `{"notify":"lose","status":"http_500"}`)
			b := harness.NewBrowser(t, w)
			b.Open(s.shop + "/checkout?sku=mug&qty=1")
			b.Type("[name=email]", "buyer@example.com")
			b.Click(reviewButton)
			passPayPage(b, w)
			b.Click(payButton)
			b.Await("the wait page", "document.querySelector('#wait')")
			looks(t, b, "1-wait")
			path, err := b.Eval("location.pathname")
			if err != nil {
				t.Fatal(err)
			}
			s.command("misbehave", `{"notify":"","status":""}`)
			s.command("notify", fmt.Sprintf(`{"orderid":%q,"wait":"first"}`, path[strings.LastIndex(path, "/")+1:]))
			b.Await("the receipt", receipt)
			looks(t, b, "2-receipt")
			s.expectNoProblems(t, b)
		})
	}
}

func TestPayingTooLittle(t *testing.T) {
	s := openStore(t)
	b := harness.NewBrowser(t, harness.Desktop)
	b.Open(s.shop + "/checkout?sku=mug&qty=1")
	b.Type("[name=email]", "buyer@example.com")
	b.Click(reviewButton)
	b.Type("#realpay", "0.01")
	b.Click("button[name=do][value=amount]")
	b.Await("the page that asks to contact the shop", "document.querySelector('main [role=alert]') && location.pathname.startsWith('/checkout/return/')")
	looks(t, b, "1-review")
	s.expectNoProblems(t, b)
}

// Names that are markup stay text, and the page's policy lets its own form
// through to the gateway.
func TestMarkupInNamesDoesNotRun(t *testing.T) {
	shop := harness.StartShop(t, "ask note")
	b := harness.NewBrowser(t, harness.Desktop)
	b.Open(shop.Origin + "/checkout?sku=bomb&qty=1")
	b.AwaitText("'><script>alert(1)</script>")
	b.Type("[name=note]", "'><script>alert(2)</script>")
	b.Click(reviewButton)
	b.AwaitText("Pay 1.00") // the gateway's own page
	expectNoProblems(t, b, shop.Origin, shop.Gateway.URL)
}

func TestTheInspectorIsReadable(t *testing.T) {
	s := openStore(t)
	b := harness.NewBrowser(t, harness.Desktop)
	b.Open(s.shop + "/checkout?sku=mug&qty=1")
	b.Type("[name=email]", "buyer@example.com")
	b.Click(reviewButton)
	b.Click(payButton)
	b.Await("the receipt", receipt)
	b.Open(s.sandbox)
	b.AwaitText("39.00")
	looks(t, b, "1-inspector")
	s.expectNoProblems(t, b)
}
