package gateway_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/internal/gateway"
	"github.com/caddy-checkout/checkout/sign"
)

const (
	uid   = "10000001400000"
	token = "10665CF54E90822951FE80330E9CF715"
	older = "2f44c6b906208208c4122c83125ccd7b"
)

// shop returns a Client of the gateway at base, after change made the Config
// another one.
func shop(t testing.TB, base string, change func(*gateway.Config)) *gateway.Client {
	t.Helper()
	c := gateway.Config{Base: base, UID: uid, Tokens: []string{token, older}, Timeout: time.Minute}
	if change != nil {
		change(&c)
	}
	client, err := gateway.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// observed collects what Config.Observe hears.
type observed struct {
	mu    sync.Mutex
	calls []string
}

func (o *observed) observe(call, outcome string, _ time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls = append(o.calls, call+" "+outcome)
}

func (o *observed) want(t *testing.T, calls ...string) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if !slices.Equal(o.calls, calls) {
		t.Errorf("observed %q, want %q", o.calls, calls)
	}
}

// noSecret fails if err repeats a token or a key.
func noSecret(t *testing.T, err error, keys ...string) {
	t.Helper()
	if err == nil {
		return
	}
	for _, secret := range append(keys, token, older, "key=") {
		if secret != "" && strings.Contains(err.Error(), secret) {
			t.Errorf("error %q repeats %q", err, secret)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*gateway.Config)
		want   string
	}{
		"no base":              {func(c *gateway.Config) { c.Base = "" }, "gateway address"},
		"base without scheme":  {func(c *gateway.Config) { c.Base = "sun.jings.wang" }, "gateway address"},
		"another scheme":       {func(c *gateway.Config) { c.Base = "ftp://sun.jings.wang" }, "gateway address"},
		"base without host":    {func(c *gateway.Config) { c.Base = "https://" }, "gateway address"},
		"port without host":    {func(c *gateway.Config) { c.Base = "https://:443" }, "gateway address"},
		"control in base":      {func(c *gateway.Config) { c.Base = "https://a\x00b" }, "gateway address"},
		"slash at the end":     {func(c *gateway.Config) { c.Base = "https://sun.jings.wang/" }, "slash"},
		"query":                {func(c *gateway.Config) { c.Base = "https://sun.jings.wang?a=b" }, "query"},
		"empty query":          {func(c *gateway.Config) { c.Base = "https://sun.jings.wang?" }, "query"},
		"fragment":             {func(c *gateway.Config) { c.Base = "https://sun.jings.wang#a" }, "query or fragment"},
		"password":             {func(c *gateway.Config) { c.Base = "https://me:" + token + "@sun.jings.wang" }, "password"},
		"no uid":               {func(c *gateway.Config) { c.UID = "" }, "uid is empty"},
		"uid that splits":      {func(c *gateway.Config) { c.UID = "1&orderid=2" }, "uid: value cannot be signed"},
		"no token":             {func(c *gateway.Config) { c.Tokens = nil }, "no token"},
		"empty token":          {func(c *gateway.Config) { c.Tokens = []string{""} }, "token 1 has 0 bytes"},
		"short token":          {func(c *gateway.Config) { c.Tokens = []string{token[:15]} }, "token 1 has 15 bytes"},
		"short second token":   {func(c *gateway.Config) { c.Tokens = []string{token, "12345678"} }, "token 2 has 8 bytes"},
		"line feed in token":   {func(c *gateway.Config) { c.Tokens = []string{token + "\n"} }, "token 1 holds a control character"},
		"unknown pay field":    {func(c *gateway.Config) { c.SignPay = sign.Fields{"uid", "orderid", "paymoney", "price"} }, `pay: "price" is not a field`},
		"token as field":       {func(c *gateway.Config) { c.SignPay = sign.Fields{"uid", "orderid", "paymoney", "token"} }, `pay: "token" is not a field`},
		"pay field twice":      {func(c *gateway.Config) { c.SignPay = sign.Fields{"uid", "orderid", "paymoney", "uid"} }, `pay: field "uid" is there twice`},
		"pay without orderid":  {func(c *gateway.Config) { c.SignPay = sign.Fields{"uid", "paymoney"} }, `pay: field "orderid" is missing`},
		"pay without paymoney": {func(c *gateway.Config) { c.SignPay = sign.Fields{"uid", "orderid"} }, `pay: field "paymoney" is missing`},
		"pay without uid":      {func(c *gateway.Config) { c.SignPay = sign.Fields{"orderid", "paymoney"} }, `pay: field "uid" is missing`},
		"no pay fields":        {func(c *gateway.Config) { c.SignPay = sign.Fields{} }, `pay: field "uid" is missing`},
		"unknown status field": {func(c *gateway.Config) { c.SignStatus = sign.Fields{"orderid", "payid"} }, `status: "payid" is not a field`},
		"no status orderid":    {func(c *gateway.Config) { c.SignStatus = sign.Fields{"uid"} }, `status: field "orderid" is missing`},
		"negative timeout":     {func(c *gateway.Config) { c.Timeout = -1 }, "timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			config := gateway.Config{Base: gateway.DefaultBase, UID: uid, Tokens: []string{token}}
			c.change(&config)
			client, err := gateway.New(config)
			if client != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("New = %v, %v, want an error with %q", client, err, c.want)
			}
			noSecret(t, err, token[:15], "12345678")
		})
	}
}

// TestNewKeepsItsOwn changes what was given to New, after it.
func TestNewKeepsItsOwn(t *testing.T) {
	tokens := []string{token}
	client := shop(t, gateway.DefaultBase, func(c *gateway.Config) { c.Tokens = tokens })
	tokens[0] = older
	n := gateway.Notify{PayID: "1", OrderID: "2", PayMoney: "0.01", RealPay: "0.01"}
	n.Key, _ = sign.Notify.Key(token, n.PayID, n.OrderID, n.OrderUID, n.PayMoney, n.RealPay)
	if err := client.VerifyNotify(n); err != nil {
		t.Error(err)
	}
}

// asked is a gateway that answers every question alike, and keeps the last.
type asked struct {
	*httptest.Server
	mu   sync.Mutex
	last *http.Request
}

func serve(t testing.TB, answer http.HandlerFunc) *asked {
	t.Helper()
	a := new(asked)
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.last = r.Clone(context.Background())
		a.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *asked) request() *http.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}
