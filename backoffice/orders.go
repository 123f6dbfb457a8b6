package backoffice

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/caddy-checkout/checkout/internal/merchant"
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// maxQuery bounds a query, in bytes.
const maxQuery = 4 << 10

// toShip stands beside the states in the filter form.
const toShip = "ship"

// filter is what the filter form holds, as it was typed.
type filter struct {
	State, Shop, From, To, SKU, Text string
}

type ordersPage struct {
	Filter filter
	Shop   string   // that is chosen
	States []string // to choose from
	Shops  []string // to choose from
	More   bool     // a filter is set that a phone hides
	Orders []order.Order
	CSV    string
	First  string // link to the first page; empty on it
	Next   string // link to the next page; empty at the end
}

// orders is a page of the list of orders.
func (s *visit) orders() error {
	query, err := s.query()
	if err != nil {
		return err
	}
	form, f, err := parseFilter(query)
	if err != nil {
		return err
	}
	cursor := query.Get("cursor")
	list, next, err := s.desk.Orders(s.r.Context(), f, cursor, merchant.DefaultPage)
	if err != nil {
		return err
	}
	p := ordersPage{
		Filter: form, Orders: list, Shop: form.Shop, Shops: s.shops(form.Shop),
		States: []string{order.Pending.String(), order.Paid.String(), toShip, order.Expired.String(), order.Review.String()},
		More:   form.Shop+form.From+form.To+form.SKU != "",
		CSV:    s.route.here("orders.csv", form.values()),
	}
	p.First, p.Next = s.pager("orders", form.values(), cursor, next)
	return s.render(page{Name: "orders", Live: cursor == "", Body: p})
}

// query parses the query string.
func (s *visit) query() (url.Values, error) {
	if len(s.r.URL.RawQuery) > maxQuery {
		return nil, errMalformed
	}
	return values(s.r.URL.RawQuery)
}

// values parses a query or a form: every name once, all of it text.
func values(raw string) (url.Values, error) {
	v, err := url.ParseQuery(raw)
	if err != nil {
		return nil, errMalformed
	}
	for _, value := range v {
		if len(value) != 1 || !utf8.ValidString(value[0]) || strings.Contains(value[0], "\x00") {
			return nil, errMalformed
		}
	}
	return v, nil
}

// parseFilter reads the filter form. What is to be shipped stands among the
// states there.
func parseFilter(query url.Values) (filter, store.Filter, error) {
	form := filter{
		State: query.Get("state"),
		Shop:  query.Get("shop"),
		From:  query.Get("from"),
		To:    query.Get("to"),
		SKU:   strings.TrimSpace(query.Get("sku")),
		Text:  strings.TrimSpace(query.Get("text")),
	}
	asked := form.values()
	if form.State == toShip {
		asked.Del("state")
		asked.Set("todo", store.TodoShip)
	}
	f, err := merchant.ParseFilter(asked, beijing)
	return form, f, err
}

// values is the filter as a query, without what does not filter.
func (f filter) values() url.Values {
	v := make(url.Values)
	for name, value := range map[string]string{
		"state": f.State, "shop": f.Shop, "from": f.From, "to": f.To, "sku": f.SKU, "text": f.Text,
	} {
		if value != "" {
			v.Set(name, value)
		}
	}
	return v
}

// shops are the shops to choose from, with the one that is chosen, which may
// be gone from the configuration.
func (s *visit) shops(chosen string) []string {
	list := slices.Sorted(maps.Keys(s.desk.Shops))
	if chosen != "" && !slices.Contains(list, chosen) {
		list = append(list, chosen)
	}
	return list
}

// pager makes the links to the first and the next page of a list.
func (s *visit) pager(name string, query url.Values, cursor, next string) (first, more string) {
	if cursor != "" {
		first = s.route.here(name, query)
	}
	if next != "" {
		query.Set("cursor", next)
		more = s.route.here(name, query)
	}
	return first, more
}
