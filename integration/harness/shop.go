package harness

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Shop is a Caddy with one shop, and the gateway it sells through.
type Shop struct {
	*Caddy
	Gateway *Gateway
	Origin  string // http://127.0.0.1:<port>

	t      testing.TB
	client *http.Client
}

// Goods are the products of the tests' shops.
const Goods = `
		product mug 39.00 "Coffee mug"
		product kettle 128.00 "手冲咖啡壶"
		product beans 68.50 "Beans & scoop"
		product bomb 1.00 "'><script>alert(1)</script>"`

// NewShop makes a shop that does not run yet.
func NewShop(t testing.TB) *Shop {
	t.Helper()
	s := &Shop{Caddy: NewCaddy(t), Gateway: NewGateway(t), t: t, client: NewClient()}
	s.Origin = fmt.Sprintf("http://127.0.0.1:%d", s.Listen())
	return s
}

// StartShop makes a shop and runs it; block holds further lines of checkout.
func StartShop(t testing.TB, block ...string) *Shop {
	t.Helper()
	s := NewShop(t)
	s.Start(s.Caddyfile(block...))
	return s
}

// Caddyfile is that of the shop, with further lines for its checkout block.
func (s *Shop) Caddyfile(block ...string) string {
	return fmt.Sprintf(`{
	metrics
}

%s {
	respond / "the static site"
	metrics /metrics
	checkout {
		uid 10000001400000
		token {env.CHECKOUT_TOKEN}
		origin %[1]s
		gateway %s%s
		%s
	}
}
`, s.Origin, s.Gateway.URL, Goods, strings.Join(block, "\n\t\t"))
}

// NewClient is a client that follows no redirect and keeps no connection, so
// that a reload or a kill between two requests cannot fail the second.
func NewClient() *http.Client {
	return &http.Client{
		Timeout:       Failsafe,
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Answer is an HTTP response that was read to its end.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// JSON decodes the body into v, strictly enough to fail on a page.
func (a Answer) JSON(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.Body), v); err != nil {
		t.Fatalf("HTTP %d, not JSON: %v\n%s", a.Status, err, a.Body)
	}
}

// Do sends a request to the shop and returns the answer; an error is of the
// connection.
func (s *Shop) Do(req *http.Request) (Answer, error) {
	resp, err := s.client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return Answer{resp.StatusCode, resp.Header, string(body)}, err
}

// Send is Do with a request made of its parts; header holds alternating names
// and values. It fails the test when the connection fails.
func (s *Shop) Send(method, path, body string, header ...string) Answer {
	s.t.Helper()
	a, err := s.TrySend(method, path, body, header...)
	if err != nil {
		s.t.Errorf("%s %s: %v", method, path, err)
	}
	return a
}

// TrySend is Send for a shop that may be down.
func (s *Shop) TrySend(method, path, body string, header ...string) (Answer, error) {
	req, err := http.NewRequest(method, s.Origin+path, strings.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
	}
	return s.Do(req)
}

// Get fetches a page.
func (s *Shop) Get(path string, header ...string) Answer {
	s.t.Helper()
	return s.Send(http.MethodGet, path, "", header...)
}

// Post sends a form.
func (s *Shop) Post(path string, form url.Values, header ...string) Answer {
	s.t.Helper()
	return s.Send(http.MethodPost, path, form.Encode(), append([]string{"Content-Type", "application/x-www-form-urlencoded"}, header...)...)
}

// Order is an order as the JSON answer to a checkout tells it.
type Order struct {
	OrderID string            `json:"orderid"`
	Action  string            `json:"action"`
	Method  string            `json:"method"`
	Fields  map[string]string `json:"fields"`
}

// Form is the pay request of the order.
func (o Order) Form() url.Values {
	form := url.Values{}
	for name, value := range o.Fields {
		form.Set(name, value)
	}
	return form
}

// Payment is one that fits the order.
func (o Order) Payment(payid string) Payment {
	money := o.Fields["paymoney"]
	return Payment{PayID: payid, OrderID: o.OrderID, OrderUID: o.Fields["orderuid"], PayMoney: money, RealPay: money}
}

// Order orders one mug, as a program does.
func (s *Shop) Order() Order {
	s.t.Helper()
	o, a, err := s.TryOrder(url.Values{"sku": {"mug"}, "qty": {"1"}})
	if err != nil || a.Status != http.StatusOK {
		s.t.Fatalf("ordering: HTTP %d %v\n%s", a.Status, err, a.Body)
	}
	return o
}

// TryOrder is Order for a shop that may refuse or be down.
func (s *Shop) TryOrder(form url.Values) (Order, Answer, error) {
	a, err := s.TrySend(http.MethodPost, "/checkout", form.Encode(),
		"Content-Type", "application/x-www-form-urlencoded", "Accept", "application/json")
	if err != nil || a.Status != http.StatusOK {
		return Order{}, a, err
	}
	var o Order
	err = json.Unmarshal([]byte(a.Body), &o)
	return o, a, err
}

// Notify sends the notify of a payment to the shop.
func (s *Shop) Notify(p Payment) Answer {
	s.t.Helper()
	return s.Post("/checkout/notify", s.Gateway.NotifyForm(p))
}

// Status is what the shop tells of an order.
type Status struct {
	Msg      string `json:"msg"`
	OrderID  string `json:"orderid"`
	PayMoney string `json:"paymoney"`
	RealPay  string `json:"realpay"`
	Status   string `json:"status"`
	State    string `json:"state"`
}

// AwaitState asks the shop about an order until its state is this one. A single
// [Shop.Status] waits for the gateway a few seconds only.
func (s *Shop) AwaitState(orderid, state string) Status {
	s.t.Helper()
	var st Status
	Await(s.t, "order "+orderid+" to be "+state, func() bool {
		st = s.Status(orderid)
		return st.State == state
	})
	return st
}

// Status asks the shop about an order.
func (s *Shop) Status(orderid string) Status {
	s.t.Helper()
	a := s.Get("/checkout/status?orderid=" + url.QueryEscape(orderid))
	if a.Status != http.StatusOK {
		s.t.Fatalf("status of %s: HTTP %d\n%s", orderid, a.Status, a.Body)
	}
	var st Status
	a.JSON(s.t, &st)
	return st
}
