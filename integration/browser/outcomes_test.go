package browser

import (
	"testing"

	"github.com/caddy-checkout/checkout/integration/harness"
)

const (
	toShop     = "main a.button.primary" // of the cashier
	orderAgain = "main a[href^='/checkout?']"
	sameItems  = "document.querySelector('[name=sku][value=beans]') && document.querySelector('[name=qty]').value === '3'"
)

// fill types what the market must know of a buyer.
func fill(b *harness.Browser) {
	b.Type("[name=name]", "李雷")
	b.Type("[name=email]", "lilei@example.com")
}

// The buyer does not pay, sees so, and orders the same again.
func TestNotPayingAndOrderingAgain(t *testing.T) {
	m := openMarket(t, nil)
	for button, w := range map[string]harness.Window{"cancel": harness.Desktop, "timeout": harness.Phone} {
		t.Run(button, func(t *testing.T) {
			b := harness.NewBrowser(t, w)
			b.Open(m.shop + "/checkout?sku=beans&qty=3")
			fill(b)
			b.Click(reviewButton)
			b.Click("button[value=" + button + "]")
			b.Click(toShop)
			b.Await("that it has expired", "document.querySelector('main a.button') && location.pathname.startsWith('/checkout/return/')")
			looks(t, b, "1-expired")
			b.Click(orderAgain)
			b.Await("the same items", sameItems)
			fill(b)
			b.Click(reviewButton)
			b.Click(payButton)
			b.Click(toShop)
			b.Await("the receipt", receipt)
			b.AwaitText("205.50")
			m.expectNoProblems(t, b)
		})
	}
}

// Without scripts nobody asks at once, but the way back is there.
func TestNotPayingWithoutScripts(t *testing.T) {
	m := openMarket(t, nil)
	w := harness.Phone
	w.NoScript = true
	b := harness.NewBrowser(t, w)
	b.Open(m.shop + "/checkout?sku=beans&qty=3")
	fill(b)
	b.Click(reviewButton)
	passPayPage(b, w)
	b.Click("button[value=cancel]")
	b.Click(toShop)
	b.Click(orderAgain)
	b.Await("the same items", sameItems)
	m.expectNoProblems(t, b)
}

// Every field that is wrong says so itself; the others keep what was typed.
func TestWrongFieldsKeepTheOthers(t *testing.T) {
	m := openMarket(t, nil)
	for name, w := range windows() {
		t.Run(name, func(t *testing.T) {
			b := harness.NewBrowser(t, w)
			b.Open(m.shop + "/checkout?sku=beans&qty=3")
			b.Type("[name=name]", "李雷 <b>")
			b.Type("[name=email]", "nobody")
			b.Type("[name=tel]", "none of your business")
			b.Type("[name=address]", "人民大道 200 号\n上海")
			if _, err := b.Eval("document.querySelector('main form').noValidate = true"); err != nil {
				t.Fatal(err)
			}
			b.Click(reviewButton)
			b.Await("the page again", `[...document.querySelectorAll("[aria-invalid]")].map(e => e.name).join() === "email,tel"`)
			for what, holds := range map[string]string{
				"a message beside each":  `[...document.querySelectorAll("[aria-invalid]")].every(e => document.getElementById(e.getAttribute("aria-describedby")).innerText)`,
				"the focus on the first": `document.activeElement.name === "email"`,
				"what was typed":         `["name", "email", "tel", "address"].map(n => document.querySelector("main [name=" + n + "]").value).join("|") === "李雷 <b>|nobody|none of your business|人民大道 200 号\n上海"`,
				"the items":              sameItems,
			} {
				b.Await(what, holds)
			}
			b.TakeProblems() // that the answer is 422
			b.Type("[name=email]", "lilei@example.com")
			b.Type("[name=tel]", "13800138000")
			b.Click(reviewButton)
			passPayPage(b, w)
			b.Await("the cashier", "document.querySelector('[value=pay]')")
			m.expectNoProblems(t, b)
		})
	}
}

// On a phone in Chinese, without scripts and without touching the screen: too
// little is paid, and the buyer is told to talk to the shop.
func TestPayingTooLittleByKeyboard(t *testing.T) {
	m := openMarket(t, nil)
	w := harness.Phone
	w.NoScript = true
	b := harness.NewBrowser(t, w)
	b.Open(m.shop)
	enter := func(selector string) {
		b.TabTo(selector)
		b.Press("\r")
	}
	enter(`a[href="/checkout?sku=mug&qty=1"]`)
	b.TabTo("[name=name]")
	b.Press("李雷")
	b.TabTo("[name=email]")
	b.Press("lilei@example.com\r")
	enter("form#pay button")
	b.TabTo("#realpay")
	b.Press("0.01\r")
	enter(toShop)
	b.Await("the page that asks to contact the shop", "document.querySelector('main [role=alert]') && location.pathname.startsWith('/checkout/return/')")
	m.expectNoProblems(t, b)
}
