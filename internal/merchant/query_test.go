package merchant

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
)

func TestCheckParams(t *testing.T) {
	known := append(slices.Clone(FilterParams), PageParams...)
	for query, want := range map[string]string{
		"":                                 "",
		"shop=a&state=paid&state=paid":     "",
		"stat=paid":                        `unknown parameter "stat"; known are shop, state, from`,
		"shop=a&shop=b":                    "shop is there 2 times",
		"text=" + strings.Repeat("x", 201): "text has 201 bytes",
	} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		checkQueryError(t, query, CheckParams(q, known...), want)
	}
	checkQueryError(t, "none known", CheckParams(url.Values{"a": {"b"}}), "there are none here")
}

func checkQueryError(t *testing.T, name string, err error, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return
	}
	if !errors.Is(err, ErrQuery) || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: got %v, want %q", name, err, want)
	}
}

func TestParseFilter(t *testing.T) {
	beijing := time.FixedZone("CST", 8*3600)
	f, err := ParseFilter(url.Values{
		"state": {"paid", "review", "paid", ""}, "from": {"2026-03-01"}, "to": {"2026-03-31"}, "text": {" 张三 "}, "sku": {"mug"}, "shop": {"s"}, "todo": {"ship"},
	}, beijing)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(f.States, []order.State{order.Paid, order.Review}) {
		t.Errorf("states %v", f.States)
	}
	if want := time.Date(2026, 2, 28, 16, 0, 0, 0, time.UTC); !f.From.Equal(want) {
		t.Errorf("from %s, want %s", f.From, want)
	}
	if want := time.Date(2026, 3, 31, 16, 0, 0, 0, time.UTC); !f.To.Equal(want) {
		t.Errorf("to %s, want the end of the day, %s", f.To, want)
	}
	if f.Text != "张三" || f.SKU != "mug" || f.Shop != "s" || f.Todo != "ship" {
		t.Errorf("got %+v", f)
	}

	f, err = ParseFilter(url.Values{"from": {"2026-03-01T09:30:00+08:00"}, "to": {"2026-03-01T02:00:00Z"}}, beijing)
	if err != nil || !f.From.Equal(time.Date(2026, 3, 1, 1, 30, 0, 0, time.UTC)) || !f.To.Equal(time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)) {
		t.Errorf("got %+v, %v", f, err)
	}

	for query, want := range map[string]string{
		"state=settled":                 "use pending, paid, expired or review",
		"from=2026-13-01":               "write a day like",
		"to=yesterday":                  `to "yesterday"`,
		"from=2026-03-02&to=2026-03-01": "from is not before to",
		"todo=wrap":                     "the only one is ship",
	} {
		q, _ := url.ParseQuery(query)
		_, err := ParseFilter(q, beijing)
		checkQueryError(t, query, err, want)
	}
}

func TestParseLimit(t *testing.T) {
	for value, want := range map[string]int{"": DefaultPage, "1": 1, "500": 500} {
		if n, err := ParseLimit(value); n != want || err != nil {
			t.Errorf("%q: %d, %v", value, n, err)
		}
	}
	for _, value := range []string{"0", "501", "-1", "x", "1.5", " 1"} {
		_, err := ParseLimit(value)
		checkQueryError(t, value, err, "from 1 to 500")
	}
}
