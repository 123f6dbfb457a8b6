package browser

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-checkout/checkout/integration/harness"
)

// Who may enter the back office of a market.
const (
	clerk    = "alice"
	password = "kettle-and-mug"
	// hash is the password's bcrypt hash. It is cheap to check, for tests only.
	hash = "$2a$04$ivv/DFCoYV.oru1YTjaC9.4rtvIrXZfMW1g3pqIhWprY7rTvGv0cW"
)

// market is the example shop with a back office, a webhook and a sandbox that
// leaves the buyer at the cashier until the test goes on.
type market struct {
	*store
	hooks *harness.Receiver
}

// openMarket runs a market; before, if not nil, is called when its directory
// is there and Caddy does not run yet.
func openMarket(t *testing.T, before func(*market)) *market {
	t.Helper()
	folder, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	m := &market{
		store: &store{Caddy: harness.NewCaddy(t), t: t},
		hooks: harness.NewReceiver(t, nil),
	}
	m.shop = fmt.Sprintf("http://localhost:%d", m.Listen())
	m.sandbox = fmt.Sprintf("http://localhost:%d", m.Listen())
	if before != nil {
		before(m)
	}
	m.Start(fmt.Sprintf(`
%[1]s {
	root * %[3]s/examples/storefront/site
	file_server
	handle_path /office* {
		basic_auth {
			%[5]s %[6]s
		}
		checkout_backoffice
	}
	handle_path /open* {
		checkout_backoffice
	}
	checkout {
		uid     %[7]s
		token   {env.CHECKOUT_TOKEN}
		origin  %[1]s
		gateway %[2]s
		catalog %[3]s/examples/storefront/products.json
		require name email
		ask     tel address note
		webhook %[4]s whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5
	}
}

%[2]s {
	checkout_sandbox {
		uid             %[7]s
		token           {env.CHECKOUT_TOKEN}
		return_delay    1h
		pay_timeout     1h
		status_interval 1s
	}
}
`, m.shop, m.sandbox, folder, m.hooks.URL, clerk, hash, harness.UID))
	return m
}

// form is a purchase with all that the shop asks for.
func form(sku string) url.Values {
	return url.Values{
		"sku": {sku}, "qty": {"2"}, "name": {"李雷"}, "email": {"lilei@example.com"}, "tel": {"13800138000"},
		"address": {"上海市黄浦区人民大道 200 号 12 楼"}, "note": {"Please ring twice, the bell is quiet."},
	}
}

// order makes an order and leaves it at the cashier.
func (m *market) order(sku string) (orderid string) {
	m.t.Helper()
	req, err := http.NewRequest(http.MethodPost, m.shop+"/checkout", strings.NewReader(form(sku).Encode()))
	if err != nil {
		m.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	var o harness.Order
	if err := json.Unmarshal([]byte(m.do(req, http.StatusOK)), &o); err != nil {
		m.t.Fatal(err)
	}
	pay, err := http.NewRequest(http.MethodPost, o.Action, strings.NewReader(o.Form().Encode()))
	if err != nil {
		m.t.Fatal(err)
	}
	pay.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	m.do(pay, http.StatusSeeOther)
	return o.OrderID
}

func (m *market) do(req *http.Request, status int) (body string) {
	m.t.Helper()
	resp, err := harness.NewClient().Do(req)
	if err != nil {
		m.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		m.t.Fatal(err)
	}
	if resp.StatusCode != status {
		m.t.Fatalf("%s %s: %s\n%s", req.Method, req.URL, resp.Status, b)
	}
	return string(b)
}

// pay pays an order; realpay "" is what it asks for. The shop knows of it when
// this returns.
func (m *market) pay(orderid, realpay string) {
	m.t.Helper()
	m.command("pay", fmt.Sprintf(`{"orderid":%q,"realpay":%q,"wait":"first"}`, orderid, realpay))
}

// expire has an order cancelled or run out of time, and the shop ask about it.
func (m *market) expire(orderid, how string) {
	m.t.Helper()
	m.command(how, fmt.Sprintf(`{"orderid":%q}`, orderid))
	harness.Await(m.t, "the order to expire", func() bool {
		req, err := http.NewRequest(http.MethodGet, m.shop+"/checkout/status?wait=5&orderid="+orderid, nil)
		if err != nil {
			m.t.Fatal(err)
		}
		return strings.Contains(m.do(req, http.StatusOK), `"expired"`)
	})
}

// decide marks an order from the command line: ship, confirm or refund.
func (m *market) decide(action, orderid, reason string) {
	m.t.Helper()
	if out, err := m.Run("checkout", action, orderid, "--reason", reason, "--address", m.AdminAddress()); err != nil {
		m.t.Fatalf("%s: %v\n%s", action, err, out)
	}
}

// orphan sends a genuine notify of an order that the shop does not know.
func (m *market) orphan(payid string) {
	m.t.Helper()
	p := []string{"payid", payid, "orderid", "01J00000000000000000000000", "orderuid", "", "paymoney", "128.00", "realpay", "128.00"}
	notify := url.Values{"key": {harness.Key(harness.Token, p...)}}
	for i := 0; i < len(p); i += 2 {
		notify.Set(p[i], p[i+1])
	}
	req, err := http.NewRequest(http.MethodPost, m.shop+"/checkout/notify", strings.NewReader(notify.Encode()))
	if err != nil {
		m.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	m.do(req, http.StatusNotFound)
}

// enter opens the back office as the clerk.
func (m *market) enter(b *harness.Browser) {
	m.t.Helper()
	b.Open(strings.Replace(m.shop, "//", "//"+clerk+":"+password+"@", 1) + "/office/")
	b.Await("the back office", "document.querySelector('.tiles')")
}

// ordersFile is where Caddy keeps the orders when nothing else is said.
func (m *market) ordersFile() string {
	return filepath.Join(m.Dir, "data", "caddy", "checkout", "orders.db")
}
