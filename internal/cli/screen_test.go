package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-checkout/checkout/internal/merchant"
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// hostile is what a buyer may write to steer the merchant's terminal.
const hostile = "a\x1b[2J\x1b]0;owned\x07b\u009b31m\u202ec\u200bd\re\x00f\x7fg"

func TestClean(t *testing.T) {
	for text, want := range map[string]string{
		"":           "",
		"mug":        "mug",
		"手冲咖啡壶":      "手冲咖啡壶",
		"a\nb\tc":    "a b c",
		"全角\u3000空格": "全角 空格",
		"e\u0301":    "e\u0301",
		"😀":          "😀",
		hostile:      "a\ufffd[2J\ufffd]0;owned\ufffdb\ufffd31m\ufffdc\ufffdd e\ufffdf\ufffdg",
		"\xff":       "\ufffd",
	} {
		if got := clean(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestPlainJSON(t *testing.T) {
	for _, text := range []string{hostile, "手冲 😀 \U000e0041 & <b>"} {
		raw, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		// What the encoder leaves as it is although a terminal may obey it.
		raw = []byte(strings.NewReplacer(`\u0026`, "&").Replace(string(raw)))
		out := plainJSON(raw)
		if s := string(out); s != clean(s) {
			t.Errorf("%q is left in %q", text, s)
		}
		var back string
		if err := json.Unmarshal(out, &back); err != nil || back != text {
			t.Errorf("%q became %q, %v", text, back, err)
		}
	}
}

func TestShorten(t *testing.T) {
	for _, tc := range []struct {
		text string
		n    int
		want string
	}{
		{"mug", 3, "mug"},
		{"mugs", 3, "mu…"},
		{"手冲咖啡壶", 10, "手冲咖啡壶"},
		{"手冲咖啡壶", 9, "手冲咖啡…"},
		{"手冲咖啡壶", 8, "手冲咖…"},
		{"e\u0301e\u0301", 2, "e\u0301e\u0301"},
	} {
		got := shorten(tc.text, tc.n)
		if got != tc.want || columns(got) > tc.n {
			t.Errorf("%q at %d: got %q", tc.text, tc.n, got)
		}
	}
}

func TestTableAligns(t *testing.T) {
	var b bytes.Buffer
	s := &screen{Writer: &b}
	table := table{names: []string{"NAME", ">YUAN", "NOTE"}}
	table.add(plain("mug", "39.00", "x")...)
	table.add(plain("手冲咖啡壶", "1234.00", "x")...)
	table.add(plain("ｆｕｌｌ", "0.01", "x")...)
	table.write(s)
	at := -1
	for line := range strings.Lines(b.String()) {
		i := strings.LastIndexAny(line, "xN")
		if n := columns(line[:i]); at >= 0 && n != at {
			t.Errorf("the last column begins at %d, above at %d, in\n%s", n, at, b.String())
		} else {
			at = n
		}
		if strings.HasSuffix(line, " \n") {
			t.Errorf("spaces at the end of %q", line)
		}
	}
	if !strings.Contains(b.String(), "手冲咖啡壶  1234.00  x\n") {
		t.Errorf("got\n%s", b.String())
	}
	if strings.Contains(b.String(), "\x1b") {
		t.Error("colour without a terminal")
	}

	b.Reset()
	s.colour = true
	table.rows[0][2].colour = red
	table.write(s)
	if !strings.Contains(b.String(), "\x1b[1;31mx\x1b[0m") {
		t.Errorf("no colour in %q", b.String())
	}
}

func TestNoColourOffTerminal(t *testing.T) {
	cmd := &cobra.Command{}
	cmd.SetOut(new(bytes.Buffer))
	if newScreen(cmd).colour {
		t.Error("coloured into a buffer")
	}
}

// Nothing that a buyer, a gateway or a webhook wrote steers the terminal.
func TestViewsAreHarmless(t *testing.T) {
	now := time.Now()
	o := order.Order{
		ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Shop: hostile, Title: hostile, Note: hostile + "\n" + hostile, OrderUID: hostile, State: order.Review,
		Buyer:    order.Buyer{Name: hostile, Email: hostile, Tel: hostile, Address: hostile + "\nTown", Note: hostile},
		Lines:    []order.Line{{SKU: hostile, Name: hostile, Price: 100, Qty: 1}},
		Payments: []order.Payment{{PayID: hostile, PayMoney: hostile, RealPay: hostile, Source: hostile, Verdict: hostile}},
		History:  []order.Entry{{Who: hostile, What: hostile, Reason: hostile}},
	}
	deliveries := []store.Delivery{
		{ID: hostile, OrderID: hostile, Type: hostile, Target: hostile, State: store.DeliveryFailed, Log: []store.Attempt{{Answer: hostile}}},
	}
	var b bytes.Buffer
	s := &screen{Writer: &b, notes: &b}
	s.orders([]order.Order{o})
	s.detail(&merchant.Detail{Order: &o, Deliveries: deliveries})
	s.state(&o)
	s.orphans([]store.Orphan{{OrderID: hostile, PayID: hostile, PayMoney: hostile, RealPay: hostile, Shop: hostile}})
	s.balances([]merchant.Balance{{Shop: hostile, Balance: store.Balance{Merchant: hostile, Amount: hostile}, Error: hostile}})
	s.summary(&merchant.Summary{Summary: &store.Summary{
		Days: []store.DaySummary{{Day: hostile}}, Products: []store.ProductSummary{{SKU: hostile, Name: hostile}},
	}, Zone: hostile})
	s.notice(&merchant.Notice{Notice: store.Notice{ID: hostile}, Order: &o}, now)
	s.more(hostile)
	for line := range strings.Lines(b.String()) {
		if line = strings.TrimSuffix(line, "\n"); line != clean(line) {
			t.Errorf("steers the terminal: %q", line)
		}
	}
	if !strings.Contains(b.String(), "Address") || !strings.Contains(b.String(), "           Town") {
		t.Errorf("the lines of the address are not kept apart:\n%s", b.String())
	}
}

func TestEmptyViews(t *testing.T) {
	for want, show := range map[string]func(*screen){
		"No orders.":               func(s *screen) { s.orders(nil) },
		"No deliveries.":           func(s *screen) { s.deliveries(nil) },
		"No orphans":               func(s *screen) { s.orphans(nil) },
		"No shops are configured.": func(s *screen) { s.balances(nil) },
		"No orders in that time.":  func(s *screen) { s.summary(&merchant.Summary{Summary: &store.Summary{}}) },
	} {
		var b bytes.Buffer
		show(&screen{Writer: &b})
		if !strings.Contains(b.String(), want) {
			t.Errorf("got %q, want %q", b.String(), want)
		}
	}
}

func TestPaidWithin(t *testing.T) {
	for _, tc := range []struct {
		counts []int
		want   string
	}{
		{nil, ""},
		{[]int{0, 0, 0, 0, 0, 0, 0, 0}, ""},
		{[]int{10, 0, 0, 0, 0, 0, 0, 0}, "within 1 minute, nine of ten within 1 minute"},
		{[]int{5, 0, 4, 0, 0, 0, 0, 1}, "within 1 minute, nine of ten within 5 minutes"},
		{[]int{1, 0, 0, 0, 0, 0, 0, 9}, "in more than a day, nine of ten in more than a day"},
	} {
		got := paidWithin(tc.counts)
		if (tc.want == "") != (got == "") || !strings.Contains(got, tc.want) {
			t.Errorf("%v: %s", tc.counts, got)
		}
	}
}
