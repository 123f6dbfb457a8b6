package browser

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-checkout/checkout/integration/harness"
)

// clerks are the windows that merchants work in.
func clerks() map[string]harness.Window {
	return map[string]harness.Window{"desktop": harness.Desktop, "phone": harness.Phone}
}

// decide presses a button of an order's page that stands in a closed part.
func decide(b *harness.Browser, action, reason string) {
	b.Click(fmt.Sprintf("details:has([action$=%s]) summary", action))
	b.Type(fmt.Sprintf("[action$=%s] [name=reason]", action), reason)
	b.Click(fmt.Sprintf("[action$=%s] [name=sure]", action))
	b.Click(fmt.Sprintf("[action$=%s] button", action))
	b.Await("that it is done", "document.querySelector('p.done') && location.search === '?done="+action+"'")
}

// expectHistory checks who did what, and why, at the end of an order's history.
func expectHistory(t *testing.T, b *harness.Browser, words ...string) {
	t.Helper()
	last, err := b.Eval("document.querySelector('section:has(> #history) li:last-child').innerText")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range words {
		if !strings.Contains(last, w) {
			t.Errorf("the history ends with %q; want %q in it", last, w)
		}
	}
}

func TestTheOfficeAsksForAPassword(t *testing.T) {
	m := openMarket(t, nil)
	for path, status := range map[string]int{"/office/": http.StatusUnauthorized, "/office/orders.csv": http.StatusUnauthorized, "/open/": http.StatusForbidden} {
		req, err := http.NewRequest(http.MethodGet, m.shop+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		m.do(req, status)
	}
	b := harness.NewBrowser(t, harness.Phone)
	m.enter(b)
	b.AwaitText(clerk)
	m.expectNoProblems(t, b)
}

// What happens in the shop shows on open pages, which are not loaded again.
func TestOpenPagesFollowTheShop(t *testing.T) {
	m := openMarket(t, nil)
	for name, w := range clerks() {
		t.Run(name, func(t *testing.T) {
			b := harness.NewBrowser(t, w)
			m.enter(b)
			follow := func() {
				b.Await("the stream", "document.querySelector('#following').textContent")
				if _, err := b.Eval("window.stays = true"); err != nil {
					t.Fatal(err)
				}
			}
			follow()
			id := m.order("mug")
			row := fmt.Sprintf("document.querySelector('#latest').parentNode.querySelector('tr:has([href$=%s]) .badge%%s')", "\""+id+"\"")
			b.Await("the new order", "window.stays && "+fmt.Sprintf(row, ".pending"))
			m.pay(id, "")
			b.Await("that it is paid", "window.stays && "+fmt.Sprintf(row, ".paid"))
			looks(t, b, "1-overview")

			doubtful := m.order("kettle")
			m.pay(doubtful, "0.01")
			b.Await("the decision", fmt.Sprintf(`window.stays && document.querySelector('.decisions.alarm [href$="%s"]')`, doubtful))

			b.Open(m.shop + "/office/orders?state=pending")
			follow()
			id = m.order("beans")
			inList := fmt.Sprintf(`document.querySelector('#live-orders [href$="%s"]')`, id)
			b.Await("the order in the list", "window.stays && "+inList)
			m.pay(id, "")
			b.Await("that it leaves the list of those who wait", "window.stays && !"+inList)

			id = m.order("notebook")
			b.Open(m.shop + "/office/orders/" + id)
			follow()
			m.pay(id, "")
			b.Await("that this order is paid", "window.stays && document.querySelector('h1 .badge.paid') && document.querySelector('#ship-reason')")

			// Somebody writes; what is written is not taken away.
			b.Type("#ship-reason", "SF12")
			m.decide("refund", id, "changed their mind")
			b.Await("that there is news", "window.stays && !document.querySelector('#news').hidden")
			b.Await("what was typed", "document.querySelector('#ship-reason').value === 'SF12'")
			looks(t, b, "2-news")
			b.Click("[action$=shipped] button")
			b.Await("that nothing was done", "document.querySelector('p.trouble')")
			looks(t, b, "3-changed")
			for _, problem := range b.TakeProblems() {
				if !strings.Contains(problem, "status of 409") {
					t.Errorf("the browser complains: %s", problem)
				}
			}
			m.expectNoProblems(t, b)
		})
	}
}

// awaitDelivered waits until the webhook of an order has arrived n times, and
// the shop knows so.
func (m *market) awaitDelivered(orderid string, n int) {
	m.t.Helper()
	harness.Await(m.t, fmt.Sprintf("webhook %d", n), func() bool {
		_, answer := m.Admin(http.MethodGet, "/checkout/orders/"+orderid, nil)
		var o struct {
			Deliveries []struct {
				State    string
				Attempts int
			}
		}
		return json.Unmarshal([]byte(answer), &o) == nil && len(o.Deliveries) == 1 && o.Deliveries[0].State == "done" && o.Deliveries[0].Attempts == n
	})
	told := 0
	for _, d := range m.hooks.Deliveries() {
		if strings.Contains(string(d.Body), orderid) {
			told++
		}
	}
	if told != n {
		m.t.Errorf("the webhook of the order arrived %d times, want %d", told, n)
	}
}

func TestTheMerchantsDay(t *testing.T) {
	m := openMarket(t, nil)
	for name, w := range clerks() {
		t.Run(name, func(t *testing.T) {
			b := harness.NewBrowser(t, w)
			m.enter(b)
			office := m.shop + "/office/"
			toShip, doubtful := m.order("mug"), m.order("kettle")
			m.pay(toShip, "")
			m.pay(doubtful, "0.01")

			// From the overview to the order that needs a decision.
			b.Open(office)
			b.Click(fmt.Sprintf(`.decisions [href$="%s"]`, doubtful))
			b.Await("the order", "document.querySelector('.alarm')")
			decide(b, "confirm", "128.00 seen in the account")
			expectHistory(t, b, clerk, "128.00 seen in the account")
			decide(b, "refunded", "sent back by Alipay")
			expectHistory(t, b, clerk, "sent back by Alipay")

			b.Open(office + "orders?state=ship")
			b.Click(fmt.Sprintf(`[href$="%s"]`, toShip))
			b.Type("#ship-reason", "SF1234567890")
			b.Click("[action$=shipped] button")
			b.Await("that it is shipped", "document.querySelector('p.done') && !document.querySelector('#ship-reason')")
			expectHistory(t, b, clerk, "SF1234567890")

			// Webhooks tell of an order; one is told again.
			m.awaitDelivered(toShip, 1)
			b.Click(".delivery button")
			b.Await("that it is delivered again", "document.querySelector('p.done') && location.search === '?done=redelivered'")
			m.awaitDelivered(toShip, 2)
			b.Open(office + "deliveries?state=done")
			b.Click(fmt.Sprintf(`tr:has([href*="%s"]) button`, toShip))
			b.Await("that it is delivered again", "document.querySelector('p.done') && location.pathname.endsWith('/deliveries')")
			m.awaitDelivered(toShip, 3)

			// The gateway is asked, and says that time is up.
			waiting := m.order("beans")
			m.command("cancel", fmt.Sprintf(`{"orderid":%q}`, waiting))
			b.Open(office + "orders/" + waiting)
			b.Click("[action$=refresh] button")
			b.Await("the gateway's answer", "location.search === '?done=asked' && document.querySelector('h1 .badge.expired')")
			b.Click("[action$=refresh] button")
			b.Await("that it is not asked so soon", "location.search === '?done=asked_lately'")

			m.orphan("8888000000048001" + fmt.Sprint(w.Width))
			b.Open(office)
			b.AwaitText("8888000000048001" + fmt.Sprint(w.Width))
			b.Open(office + "orphans")
			b.AwaitText("8888000000048001" + fmt.Sprint(w.Width))
			m.expectNoProblems(t, b)
		})
	}
}

func TestTheListIsSearchedAndDownloaded(t *testing.T) {
	m := openMarket(t, past)
	today := m.order("kettle")
	m.pay(today, "")
	for name, w := range clerks() {
		t.Run(name, func(t *testing.T) {
			b := harness.NewBrowser(t, w)
			m.enter(b)
			office := m.shop + "/office/"
			rows := "document.querySelectorAll('#live-orders tbody tr').length"
			b.Open(office + "orders")
			b.Await("a full page", rows+" > 20")
			b.Click(".pager [rel=next]")
			b.Await("the next page", rows+" > 20 && location.search.includes('cursor=')")

			b.Open(office + "orders")
			b.Type("#text", "LILEI@")
			b.Press("\r")
			b.Await("who was searched for", rows+" === 1 && document.querySelector('#text').value === 'LILEI@' && location.search.includes('text=')")
			if _, err := b.Eval("document.querySelector('#state').value = 'expired'"); err != nil {
				t.Fatal(err)
			}
			b.Click(".filter .primary")
			b.Await("nothing", rows+" === 0 && document.querySelector('#state').value === 'expired'")
			looks(t, b, "1-nothing")
			b.Click(".filter a[href$=orders]")
			b.Await("all", rows+" > 20 && document.querySelector('#text').value === ''")

			b.Click(".filter summary")
			b.Type("#sku", "kettle")
			b.Click(".filter .primary")
			b.Await("kettles", rows+" > 0 && [...document.querySelectorAll('#live-orders td:nth-child(2)')].every(td => td.textContent.includes('手冲咖啡壶')) && document.querySelector('details[open] #sku')")

			b.Open(office + "orders?text=lilei")
			file, csv := b.Download(func() { b.Click(".filter [download]") })
			if !strings.HasSuffix(file, ".csv") || !strings.HasPrefix(csv, "\ufeff") || strings.Count(csv, "\n") != 2 ||
				!strings.Contains(csv, today) || !strings.Contains(csv, "李雷") || !strings.Contains(csv, "手冲咖啡壶") {
				t.Errorf("%s holds %q", file, csv)
			}

			b.Open(office + "charts")
			b.Await("the charts of 30 days", "document.querySelectorAll('section:has(#h-money) svg .solid').length > 20")
			b.Click(".ranges li:first-child a")
			b.Await("those of 7 days", "document.querySelector('.ranges li:first-child [aria-current]') && document.querySelectorAll('.day').length === 7")
			b.Await("words for who does not see them", "[...document.querySelectorAll('svg.plot')].every(svg => svg.querySelector('title').textContent && svg.querySelector('desc').textContent)")
			m.expectNoProblems(t, b)
		})
	}
}

// The whole of a merchant's work without a mouse.
func TestTheOfficeByKeyboard(t *testing.T) {
	m := openMarket(t, nil)
	toShip, doubtful := m.order("mug"), m.order("kettle")
	m.pay(toShip, "")
	m.pay(doubtful, "0.01")
	b := harness.NewBrowser(t, harness.Desktop)
	m.enter(b)
	enter := func(selector string) {
		b.TabTo(selector)
		b.Press("\r")
	}
	b.TabTo(".skip")
	looks(t, b, "1-skip")
	b.Press("\r")
	enter(fmt.Sprintf(`.decisions [href$="%s"]`, doubtful))
	enter("details:has([action$=confirm]) summary")
	b.TabTo("[action$=confirm] [name=reason]")
	b.Press("seen in the account")
	b.TabTo("[action$=confirm] [name=sure]")
	b.Press(" ")
	enter("[action$=confirm] button")
	b.Await("that it is done", "location.search === '?done=confirm' && document.querySelector('p.done')")

	enter("header nav [href$=orders]")
	b.TabTo("#text")
	b.Press("lilei\r")
	b.Await("the search", "location.search.includes('text=lilei')")
	enter(fmt.Sprintf(`#live-orders [href$="%s"]`, toShip))
	b.TabTo("#ship-reason")
	b.Press("SF1234567890\r")
	b.Await("that it is shipped", "location.search === '?done=shipped' && document.querySelector('p.done')")
	enter("header nav [href$=charts]")
	b.TabTo(".scroll") // what scrolls can be scrolled
	m.expectNoProblems(t, b)
}
