package browser

import (
	"strings"
	"testing"

	"github.com/caddy-checkout/checkout/integration/harness"
)

// place is a page and the way to it.
type place struct {
	name   string
	at     string                 // where it is; empty: reach goes there
	reach  func(*harness.Browser) // what is done from there on; nil: nothing
	ready  string                 // true when the page is there
	status string                 // of an answer that says no
	still  bool                   // scripts are off while it loads: it would not stay
	timed  bool                   // the gateway ends it after a while, as gateways do
}

// places are all pages that people see, each with something on it.
func places(m *market) []place {
	waiting, paid, shut, overdue := m.order("mug"), m.order("kettle"), m.order("beans"), m.order("notebook")
	doubtful, refunded, shipped := m.order("kettle"), m.order("mug"), m.order("beans")
	m.pay(paid, "")
	m.pay(shipped, "")
	m.decide("ship", shipped, "SF1234567890")
	m.pay(refunded, "")
	m.decide("refund", refunded, "arrived broken, sent back by Alipay")
	m.pay(doubtful, "0.01")
	m.expire(shut, "cancel")
	m.expire(overdue, "timeout")
	m.orphan("88880000000480012")
	harness.Await(m.t, "the webhooks", func() bool { return len(m.hooks.Deliveries()) >= 5 })

	submit := func(b *harness.Browser, button string) {
		if _, err := b.Eval("document.querySelectorAll('form').forEach(form => form.noValidate = true)"); err != nil {
			m.t.Fatal(err)
		}
		b.Click(button)
	}
	const (
		review   = "/checkout?sku=mug&qty=2&sku=kettle&qty=1&sku=beans&qty=3"
		shipForm = "form[action$=shipped]"
	)
	back, cashier := m.shop+"/checkout/return/", m.sandbox+"/cashier?orderid="
	office := m.shop + "/office/"
	return []place{
		{name: "shop", at: m.shop + "/", ready: "document.querySelector('.goods')"},
		{name: "shop-forms", at: m.shop + "/forms.html", ready: "document.querySelector('#buy-set')"},
		{name: "shop-live", at: m.shop + "/live.html", ready: "document.querySelector('#live')"},

		{name: "review", at: m.shop + review, ready: "document.querySelector('.columns')"},
		{name: "review-wrong", at: m.shop + review, status: "422", ready: "document.querySelector('[aria-invalid]')", reach: func(b *harness.Browser) {
			b.Type("[name=email]", "nobody")
			submit(b, reviewButton)
		}},
		{name: "pay", at: m.shop + review, ready: "document.querySelector('form#pay')", still: true, reach: func(b *harness.Browser) {
			fill(b)
			b.Click(reviewButton)
		}},
		{name: "wait", at: back + waiting, ready: "document.querySelector('#wait')"},
		{name: "receipt", at: back + paid, ready: receipt},
		{name: "receipt-refunded", at: back + refunded, ready: receipt},
		{name: "expired", at: back + shut, ready: "document.querySelector('a.button')"},
		{name: "contact", at: back + doubtful, ready: "document.querySelector('[role=alert]')"},
		{name: "no-order", at: back + "01J00000000000000000000000", status: "404", ready: "document.querySelector('[role=alert]')"},

		{name: "cashier", at: cashier + waiting, ready: "document.querySelector('[value=pay]')", timed: true},
		{name: "cashier-paid", at: cashier + paid, ready: "document.querySelector('.result.good')", timed: true},
		{name: "cashier-cancelled", at: cashier + shut, ready: "document.querySelector('.result')", timed: true},
		{name: "cashier-timeout", at: cashier + overdue, ready: "document.querySelector('.result.bad')"},
		{name: "cashier-unknown", at: cashier + "nobody", status: "404", ready: "document.querySelector('[role=alert]')"},
		{name: "refused", at: cashier + waiting, status: "403", ready: "document.querySelector('.reasons')", reach: func(b *harness.Browser) {
			// The shop's form, with another amount than was signed.
			if _, err := b.Eval(`(() => {
				const form = Object.assign(document.createElement("form"), {method: "post", action: "/pay.action"});
				for (const row of document.querySelectorAll(".fields tr")) {
					const [name, value] = [...row.cells].map((cell) => cell.textContent);
					form.append(Object.assign(document.createElement("input"), {type: "hidden", name, value: name === "paymoney" ? "0.01" : value}));
				}
				form.append(Object.assign(document.createElement("input"), {type: "hidden", name: "key", value: "0".repeat(32)}));
				document.body.append(form);
				form.submit();
			})()`); err != nil {
				m.t.Fatal(err)
			}
		}},
		{name: "inspector", at: m.sandbox + "/inspector", ready: "document.querySelector('.settings')"},
		{name: "inspector-message", at: m.sandbox + "/inspector", ready: "document.querySelector('details[open]')", reach: func(b *harness.Browser) {
			b.Click("details.entry:has(.chip.bad) summary")
		}},

		{name: "office", at: office, ready: "document.querySelector('.decisions.alarm')"},
		{name: "office-orders", at: office + "orders", ready: "document.querySelector('.pager')"},
		{name: "office-orders-filtered", at: office + "orders?state=ship&text=lilei&sku=kettle&from=2020-01-01", ready: "document.querySelector('details[open]')"},
		{name: "office-orders-none", at: office + "orders?text=nobody", ready: "document.querySelector('#live-orders')"},
		{name: "office-order-waiting", at: office + "orders/" + waiting, ready: "document.querySelector('.actions')"},
		{name: "office-order-paid", at: office + "orders/" + paid, ready: "document.querySelector('" + shipForm + "')", reach: func(b *harness.Browser) {
			b.Click("details:has([action$=refunded]) summary")
		}},
		{name: "office-order-shipped", at: office + "orders/" + shipped + "?done=shipped", ready: "document.querySelector('p.done')"},
		{name: "office-order-refunded", at: office + "orders/" + refunded, ready: "document.querySelector('.actions')"},
		{name: "office-order-expired", at: office + "orders/" + shut, ready: "document.querySelector('.actions')"},
		{name: "office-order-review", at: office + "orders/" + doubtful, ready: "document.querySelector('details[open]')", reach: func(b *harness.Browser) {
			b.Click("details:has([action$=confirm]) summary")
		}},
		{name: "office-order-trouble", at: office + "orders/" + paid, status: "422", ready: "document.querySelector('p.trouble')", reach: func(b *harness.Browser) {
			submit(b, shipForm+" button")
		}},
		{name: "office-deliveries", at: office + "deliveries?done=redelivered", ready: "document.querySelector('table')"},
		{name: "office-deliveries-none", at: office + "deliveries?state=disabled", ready: "!document.querySelector('table')"},
		{name: "office-orphans", at: office + "orphans", ready: "document.querySelector('table')"},
		{name: "office-charts", at: office + "charts", ready: "document.querySelector('svg.plot')"},
		{name: "office-charts-weeks", at: office + "charts?from=2026-01-01&to=2026-12-31", ready: "document.querySelector('svg.plot')"},
		{name: "office-charts-none", at: office + "charts?from=2020-01-01&to=2020-01-07", ready: "document.querySelector('svg.plot')"},
		{name: "office-unprotected", at: m.shop + "/open/", status: "403", ready: "document.querySelector('pre')"},
		{name: "office-nothing", at: office + "orders/01J00000000000000000000000", status: "404", ready: "document.querySelector('.narrow')"},
	}
}

// views are what every page is looked at in.
func views(language string) map[string]harness.Window {
	views := map[string]harness.Window{}
	for name, w := range map[string]harness.Window{"phone": harness.Phone, "desktop": harness.Desktop} {
		w.Language = language
		views[name+"-light"] = w
		w.Dark = true
		views[name+"-dark"] = w
	}
	return views
}

// Every page, in both languages, at both widths, light and dark: nothing keeps
// anybody out, is wider than the window, or comes from elsewhere.
func TestEveryPage(t *testing.T) {
	needAxe(t)
	m := openMarket(t, past)
	all := places(m)
	for _, language := range []string{"en", "zh-CN"} {
		t.Run(language, func(t *testing.T) {
			w := harness.Desktop
			w.Language = language
			b := harness.NewBrowser(t, w)
			m.enter(b)
			for _, p := range all {
				m.visit(t, b, p, w)
			}
		})
	}
}

func (m *market) visit(t *testing.T, b *harness.Browser, p place, w harness.Window) {
	t.Helper()
	b.Look(w)
	b.AllowScripts(!p.still)
	b.Open(p.at)
	if p.reach != nil {
		p.reach(b)
	}
	b.Await("the page "+p.name, p.ready)
	b.AllowScripts(true)
	if lang, err := b.Eval("document.documentElement.lang"); err != nil || lang != w.Language && !strings.HasPrefix(p.name, "shop") {
		t.Errorf("%s: the language is %q, want %q (%v)", p.name, lang, w.Language, err)
	}
	for view, w := range views(w.Language) {
		b.Look(w)
		name := p.name + "-" + view
		looks(t, b, name)
		rules := allRules
		switch {
		case w.Dark: // the rest is as it is in the light
			rules = colourRules
		case p.timed:
			rules = untimed
		}
		expectAccessible(t, b, name, rules)
	}
	w.Width = 320
	b.Look(w)
	if b.Overflows() {
		t.Errorf("%s: the page is wider than 320 pixels", p.name)
	}
	for _, problem := range b.TakeProblems() {
		if p.status == "" || !strings.Contains(problem, "responded with a status of "+p.status) {
			t.Errorf("%s: the browser complains: %s", p.name, problem)
		}
	}
	m.expectNoProblems(t, b)
}
