package gateway_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/caddy-checkout/checkout/internal/gateway"
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/sign"
)

func goodPay() gateway.PayRequest {
	return gateway.PayRequest{
		OrderID:   "10000000480010",
		OrderName: "手冲咖啡壶",
		PayMoney:  "128.00",
		OrderUID:  "顾客01",
		NotifyURL: "https://shop.example.com/checkout/notify",
		ReturnURL: "https://shop.example.com/checkout/return",
		OrderInfo: "送货前电话联系",
	}
}

func TestPayForm(t *testing.T) {
	form, err := shop(t, "https://pay.example.com/v1", nil).PayForm(goodPay())
	if err != nil {
		t.Fatal(err)
	}
	if form.Action != "https://pay.example.com/v1/pay.action" {
		t.Errorf("action %q", form.Action)
	}
	want := []gateway.Field{
		{"uid", uid},
		{"orderid", "10000000480010"},
		{"ordername", "手冲咖啡壶"},
		{"paymoney", "128.00"},
		{"orderuid", "顾客01"},
		{"paytype", "11"},
		{"notifyurl", "https://shop.example.com/checkout/notify"},
		{"returnurl", "https://shop.example.com/checkout/return"},
		{"orderinfo", "送货前电话联系"},
		{"key", "eac12422fd58dba41bce5c9adf3b162a"},
	}
	if len(form.Fields) != len(want) {
		t.Fatalf("fields %v, want %v", form.Fields, want)
	}
	for i := range want {
		if form.Fields[i] != want[i] {
			t.Errorf("field %d is %v, want %v", i, form.Fields[i], want[i])
		}
	}
}

// TestPayFormSignsAnotherList: all nine fields are sent, the listed ones are
// signed in the order of the list, and no field may hold what splits.
func TestPayFormSignsAnotherList(t *testing.T) {
	fields := sign.Fields{"orderid", "uid", "paymoney"}
	client := shop(t, gateway.DefaultBase, func(c *gateway.Config) { c.SignPay = fields })
	form, err := client.PayForm(goodPay())
	if err != nil {
		t.Fatal(err)
	}
	key, err := fields.Key(token, "10000000480010", uid, "128.00")
	if err != nil {
		t.Fatal(err)
	}
	if got := form.Fields[len(form.Fields)-1]; len(form.Fields) != 10 || got.Value != key {
		t.Errorf("%d fields, the last %v, want 10 and %s", len(form.Fields), got, key)
	}
	p := goodPay()
	p.OrderInfo = "&paymoney=0.01"
	if _, err := client.PayForm(p); !errors.Is(err, sign.ErrValue) {
		t.Errorf("orderinfo that is not signed: %v, want %v", err, sign.ErrValue)
	}
}

func TestPayFormRefuses(t *testing.T) {
	client := shop(t, gateway.DefaultBase, nil)
	set := map[string]func(p *gateway.PayRequest, v string){
		"orderid":   func(p *gateway.PayRequest, v string) { p.OrderID = v },
		"ordername": func(p *gateway.PayRequest, v string) { p.OrderName = v },
		"paymoney":  func(p *gateway.PayRequest, v string) { p.PayMoney = v },
		"orderuid":  func(p *gateway.PayRequest, v string) { p.OrderUID = v },
		"notifyurl": func(p *gateway.PayRequest, v string) { p.NotifyURL = v },
		"returnurl": func(p *gateway.PayRequest, v string) { p.ReturnURL = v },
		"orderinfo": func(p *gateway.PayRequest, v string) { p.OrderInfo = v },
	}
	limits := map[string]int{
		"orderid": 40, "ordername": 100, "paymoney": 14, "orderuid": 40,
		"notifyurl": 80, "returnurl": 80, "orderinfo": 500,
	}
	refused := func(name, value string, is error) {
		t.Helper()
		p := goodPay()
		set[name](&p, value)
		form, err := client.PayForm(p)
		if form != nil || err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s %q: %v, %v, want an error that names it", name, value, form, err)
			return
		}
		if is != nil && !errors.Is(err, is) {
			t.Errorf("%s %q: %v, want %v", name, value, err, is)
		}
		if len(value) > 1 && strings.Contains(err.Error(), value) {
			t.Errorf("error %q holds the value", err)
		}
	}
	for name, limit := range limits {
		fits := strings.Repeat("9", limit)
		if name == "paymoney" {
			fits = order.MaxMoney.String()
		}
		p := goodPay()
		set[name](&p, fits)
		if _, err := client.PayForm(p); err != nil || len(fits) != limit {
			t.Errorf("%s of %d bytes: %v", name, len(fits), err)
		}
		refused(name, fits+"9", nil)
		refused(name, strings.Repeat("字", limit/3+1), nil)
		if name == "paymoney" {
			continue
		}
		for _, bad := range []string{"&", "a&b", "a\nb", "a\x00b", "\x7f", "\u0085", "\xc4\xe3"} {
			refused(name, bad, sign.ErrValue)
		}
	}
	for _, name := range []string{"orderid", "paymoney", "notifyurl", "returnurl"} {
		refused(name, "", nil)
	}
	for _, bad := range []string{"39", "39.0", "39.000", "-1.00", "+1.00", " 1.00", "1e2", "3９.00", "&", "01.00"} {
		refused("paymoney", bad, order.ErrMoney)
	}
}

func TestTitle(t *testing.T) {
	for _, c := range []struct {
		text  string
		limit int
		want  string
	}{
		{"", 10, ""},
		{"mug", 10, "mug"},
		{"mug", 3, "mug"},
		{"mug", 2, "mu"},
		{"mug", 0, ""},
		{"mug", -1, ""},
		{"手冲咖啡壶", 15, "手冲咖啡壶"},
		{"手冲咖啡壶", 14, "手冲咖啡"},
		{"手冲咖啡壶", 12, "手冲咖啡"},
		{"手冲咖啡壶", 2, ""},
		{"Tea & Cup", 100, "Tea ＆ Cup"},
		{"&&", 5, "＆"},
		{"a\r\nb\tc", 100, "a b c"},
		{"a\x00b\x1bc\x7fd\u0085e\u009ff", 100, "abcdef"},
		{"a\xc4\xe3b\xff", 100, "ab"},
		{"\u00a0\ufffd", 100, "\u00a0\ufffd"},
		{"🍵🍵", 7, "🍵"},
		{"'><script>", 100, "'><script>"},
	} {
		if got := gateway.Title(c.text, c.limit); got != c.want {
			t.Errorf("Title(%q, %d) = %q, want %q", c.text, c.limit, got, c.want)
		}
	}
}

func FuzzTitle(f *testing.F) {
	f.Add("Tea & Cup", 5)
	f.Add("手冲\xff咖啡壶\x00", 14)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		got := gateway.Title(text, limit)
		if len(got) > max(limit, 0) || !utf8.ValidString(got) {
			t.Errorf("Title(%q, %d) = %q", text, limit, got)
		}
		if err := (sign.Fields{"ordername"}).Check(got); err != nil {
			t.Error(err)
		}
		if again := gateway.Title(got, limit); again != got {
			t.Errorf("Title of %q is %q", got, again)
		}
	})
}

func BenchmarkPayForm(b *testing.B) {
	client := shop(b, gateway.DefaultBase, nil)
	p := goodPay()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.PayForm(p); err != nil {
			b.Fatal(err)
		}
	}
}
