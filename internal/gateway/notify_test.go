package gateway_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/caddy-checkout/checkout/internal/gateway"
	"github.com/caddy-checkout/checkout/sign"
)

const (
	formType   = "application/x-www-form-urlencoded"
	goodNotify = "payid=10000000480012&orderid=10000000480010&orderuid=10000000480011&paymoney=0.01&realpay=0.01&key=ca1da861b827a0862de28a17fc99ce05"
)

var wantNotify = gateway.Notify{
	PayID: "10000000480012", OrderID: "10000000480010", OrderUID: "10000000480011",
	PayMoney: "0.01", RealPay: "0.01", Key: "ca1da861b827a0862de28a17fc99ce05",
}

func notifyRequest(target, contentType, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	return r
}

func TestParseNotify(t *testing.T) {
	pad := strings.Repeat("x", gateway.MaxNotifyBytes-len(goodNotify)-len("&pad="))
	for name, c := range map[string]struct{ target, contentType, body string }{
		"plain":                   {"/", formType, goodNotify},
		"charset":                 {"/", formType + "; charset=utf-8", goodNotify},
		"charset in upper case":   {"/", "Application/X-WWW-Form-Urlencoded;charset=UTF-8", goodNotify},
		"unknown field":           {"/", formType, goodNotify + "&tradeno=1&tradeno=2&empty="},
		"another case is unknown": {"/", formType, "PAYID=1&" + goodNotify},
		"empty pairs":             {"/", formType, "&" + strings.ReplaceAll(goodNotify, "&", "&&") + "&"},
		"escapes":                 {"/", formType, strings.NewReplacer("10000000480012", "%310000000480012", "orderid", "%6frderid").Replace(goodNotify)},
		"query that says else":    {"/?realpay=39.00&payid=1&%zz", formType, goodNotify},
		"as large as may be":      {"/", formType, goodNotify + "&pad=" + pad},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := gateway.ParseNotify(notifyRequest(c.target, c.contentType, c.body))
			if err != nil || n != wantNotify {
				t.Fatalf("%+v, %v, want %+v", n, err, wantNotify)
			}
			if err := shop(t, gateway.DefaultBase, nil).VerifyNotify(n); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestParseNotifyDecodes(t *testing.T) {
	body := url.Values{
		"payid": {"1"}, "orderid": {"2"}, "orderuid": {"顾客 01+%;&=＆"}, "paymoney": {""}, "realpay": {"3９.00"}, "key": {""},
	}.Encode()
	n, err := gateway.ParseNotify(notifyRequest("/", formType, body))
	want := gateway.Notify{PayID: "1", OrderID: "2", OrderUID: "顾客 01+%;&=＆", RealPay: "3９.00"}
	if err != nil || n != want {
		t.Errorf("%+v, %v, want %+v", n, err, want)
	}
}

func TestParseNotifyRefuses(t *testing.T) {
	type request struct{ contentType, body string }
	bad := map[string]request{
		"no content type":    {"", goodNotify},
		"text":               {"text/plain", goodNotify},
		"multipart":          {"multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"payid\"\r\n\r\n1\r\n--x--\r\n"},
		"json":               {"application/json", `{"payid":"1"}`},
		"GBK charset":        {formType + "; charset=gbk", goodNotify},
		"another parameter":  {formType + "; boundary=x", goodNotify},
		"charset twice":      {formType + "; charset=utf-8; charset=gbk", goodNotify},
		"two types in one":   {formType + ", text/plain", goodNotify},
		"broken type":        {formType + "; charset", goodNotify},
		"empty body":         {formType, ""},
		"only ampersands":    {formType, "&&&"},
		"JSON body":          {formType, `{"payid":"1"}`},
		"pair without '='":   {formType, goodNotify + "&x"},
		"semicolon":          {formType, strings.Replace(goodNotify, "&realpay", ";realpay", 1)},
		"semicolon at end":   {formType, goodNotify + ";"},
		"semicolon, unknown": {formType, goodNotify + "&x=1;2"},
		"escaped field name": {formType, goodNotify + "&%70ayid=1"},
		"field name in GBK":  {formType, goodNotify + "&%C4%E3=1"},
		"payid empty":        {formType, strings.Replace(goodNotify, "payid=10000000480012", "payid=", 1)},
		"orderid empty":      {formType, strings.Replace(goodNotify, "orderid=10000000480010", "orderid=", 1)},
	}
	for _, field := range []string{"payid", "orderid", "orderuid", "paymoney", "realpay", "key"} {
		start := strings.Index("&"+goodNotify, "&"+field+"=")
		value, _, _ := strings.Cut(goodNotify[start+len(field)+1:], "&")
		pair := field + "=" + value
		bad[field+" missing"] = request{formType, strings.Replace(goodNotify, pair, "x=1", 1)}
		bad[field+" without value"] = request{formType, strings.Replace(goodNotify, pair, field, 1)}
		bad[field+" twice, same"] = request{formType, goodNotify + "&" + pair}
		bad[field+" twice, empty"] = request{formType, field + "=&" + goodNotify}
		bad[field+" in upper case"] = request{formType, strings.Replace(goodNotify, pair, strings.ToUpper(field)+"="+value, 1)}
		bad[field+"[]"] = request{formType, strings.Replace(goodNotify, pair, field+"[]="+value, 1)}
		for _, piece := range []string{"%zz", "%", "%4", "\x00", "%00", "\xc4\xe3", "%C4%E3", "%ed%a0%80", "%C0%A6"} {
			bad[field+" holds "+piece] = request{formType, strings.Replace(goodNotify, pair, pair+piece, 1)}
		}
		if field != "key" {
			bad[field+" too long"] = request{formType, strings.Replace(goodNotify, pair, field+"="+strings.Repeat("4", 65), 1)}
		}
	}
	for _, piece := range []string{"%zz", "\x00", "%00", "%C4%E3", "\xff"} {
		bad["unknown field holds "+piece] = request{formType, goodNotify + "&canary" + "=canary" + piece}
	}
	for name, c := range bad {
		t.Run(name, func(t *testing.T) {
			n, err := gateway.ParseNotify(notifyRequest("/?"+goodNotify, c.contentType, c.body))
			if !errors.Is(err, gateway.ErrMalformed) || n != (gateway.Notify{}) {
				t.Fatalf("%+v, %v, want %v", n, err, gateway.ErrMalformed)
			}
			noSecret(t, err, "canary", "10000000480012", wantNotify.Key, "zz")
		})
	}
}

func TestParseNotifyMethodAndTypes(t *testing.T) {
	for _, method := range []string{"GET", "PUT", "HEAD", "PATCH", "post"} {
		r := notifyRequest("/?"+goodNotify, formType, goodNotify)
		r.Method = method
		if _, err := gateway.ParseNotify(r); !errors.Is(err, gateway.ErrMalformed) {
			t.Errorf("%s: %v, want %v", method, err, gateway.ErrMalformed)
		}
	}
	r := notifyRequest("/", formType, goodNotify)
	r.Header.Add("Content-Type", formType)
	if _, err := gateway.ParseNotify(r); !errors.Is(err, gateway.ErrMalformed) {
		t.Errorf("two content types: %v, want %v", err, gateway.ErrMalformed)
	}
}

func TestParseNotifyBody(t *testing.T) {
	endless := func() io.Reader { return iotest.ErrReader(errors.New("read past the limit")) }
	over := goodNotify + "&pad=" + strings.Repeat("x", gateway.MaxNotifyBytes)
	for name, c := range map[string]struct {
		body   io.Reader
		length int64
		want   error
	}{
		"one byte too many": {strings.NewReader(over[:gateway.MaxNotifyBytes+1]), -1, gateway.ErrTooLarge},
		"announced":         {endless(), gateway.MaxNotifyBytes + 1, gateway.ErrTooLarge},
		"not announced":     {io.MultiReader(strings.NewReader(over[:gateway.MaxNotifyBytes+1]), endless()), -1, gateway.ErrTooLarge},
		"server's limit":    {http.MaxBytesReader(nil, io.NopCloser(strings.NewReader(goodNotify)), 10), -1, gateway.ErrTooLarge},
		"broken off":        {io.MultiReader(strings.NewReader(goodNotify), iotest.ErrReader(io.ErrUnexpectedEOF)), int64(len(goodNotify)) + 1, gateway.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			r := notifyRequest("/", formType, "")
			r.Body, r.ContentLength = io.NopCloser(c.body), c.length
			if n, err := gateway.ParseNotify(r); !errors.Is(err, c.want) {
				t.Errorf("%+v, %v, want %v", n, err, c.want)
			}
		})
	}
}

// TestParseNotifyFromWire reads requests as a server does, with the body split
// into chunks and longer than it says.
func TestParseNotifyFromWire(t *testing.T) {
	for name, wire := range map[string]string{
		"chunked":   fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n6\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", goodNotify[:6], len(goodNotify)-6, goodNotify[6:]),
		"with more": fmt.Sprintf("Content-Length: %d\r\n\r\n%s&realpay=39.00", len(goodNotify), goodNotify),
	} {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("POST / HTTP/1.1\r\nHost: a\r\nContent-Type: " + formType + "\r\n" + wire)))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := gateway.ParseNotify(r); err != nil || n != wantNotify {
			t.Errorf("%s: %+v, %v", name, n, err)
		}
	}
}

func TestVerifyNotify(t *testing.T) {
	client := shop(t, gateway.DefaultBase, nil)
	for name, c := range map[string]struct {
		change func(*gateway.Notify)
		want   error
	}{
		"genuine":           {func(*gateway.Notify) {}, nil},
		"another amount":    {func(n *gateway.Notify) { n.RealPay = "39.00" }, sign.ErrKey},
		"amount unlike":     {func(n *gateway.Notify) { n.PayMoney = "0.010" }, sign.ErrKey},
		"another order":     {func(n *gateway.Notify) { n.OrderID = "10000000480011" }, sign.ErrKey},
		"no key":            {func(n *gateway.Notify) { n.Key = "" }, sign.ErrKeyForm},
		"key in upper case": {func(n *gateway.Notify) { n.Key = strings.ToUpper(n.Key) }, sign.ErrKeyForm},
		"shifted fields":    {func(n *gateway.Notify) { n.OrderUID = "&orderid=VICTIM&orderuid=" }, sign.ErrValue},
		"line feed":         {func(n *gateway.Notify) { n.PayID += "\n" }, sign.ErrValue},
	} {
		n := wantNotify
		c.change(&n)
		if err := client.VerifyNotify(n); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	other := shop(t, gateway.DefaultBase, func(c *gateway.Config) { c.Tokens = []string{token} })
	if err := other.VerifyNotify(wantNotify); !errors.Is(err, sign.ErrKey) {
		t.Errorf("with another shop's token: %v, want %v", err, sign.ErrKey)
	}
}

// FuzzParseNotify holds the parser to url.ParseQuery: what it accepts means
// the same there, once and exactly.
func FuzzParseNotify(f *testing.F) {
	f.Add(goodNotify)
	f.Add(goodNotify + "&x=%41+;")
	f.Add("payid=1&orderid=2&orderuid=%E4%BD%A0&paymoney=&realpay=&key=&%70ayid=3")
	f.Add("payid=1&orderid=2&orderuid=%C4%E3&paymoney=&realpay=&key=&&=")
	f.Fuzz(func(t *testing.T, body string) {
		n, err := gateway.ParseNotify(notifyRequest("/?realpay=1", formType, body))
		if err != nil {
			if !errors.Is(err, gateway.ErrMalformed) && !errors.Is(err, gateway.ErrTooLarge) {
				t.Errorf("unknown error %v", err)
			}
			if n != (gateway.Notify{}) {
				t.Errorf("%+v beside %v", n, err)
			}
			return
		}
		values, err := url.ParseQuery(body)
		if err != nil {
			t.Fatalf("accepts %q, which does not parse: %v", body, err)
		}
		for name, got := range map[string]string{
			"payid": n.PayID, "orderid": n.OrderID, "orderuid": n.OrderUID,
			"paymoney": n.PayMoney, "realpay": n.RealPay, "key": n.Key,
		} {
			if v := values[name]; len(v) != 1 || v[0] != got {
				t.Errorf("%s is %q in %q, want %q", name, got, body, v)
			}
		}
		if n.PayID == "" || n.OrderID == "" || len(n.PayID) > 64 {
			t.Errorf("accepts %+v", n)
		}
	})
}

func BenchmarkParseNotify(b *testing.B) {
	body := strings.NewReader(goodNotify)
	r := notifyRequest("/", formType, goodNotify)
	r.Body = io.NopCloser(body)
	b.ReportAllocs()
	for b.Loop() {
		body.Reset(goodNotify)
		if _, err := gateway.ParseNotify(r); err != nil {
			b.Fatal(err)
		}
	}
}
