package gateway_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/internal/gateway"
)

const goodBalance = `{"balance":"5.94","msg":"","reqtime":"2018-09-02 12:35:06","status":"0","uid":"10000001400000"}`

// then is the time in the document's example.
var then = time.Date(2018, 9, 2, 4, 35, 6, 999, time.UTC)

// TestBalanceAsks: the time is Beijing's, wherever this machine thinks it is.
func TestBalanceAsks(t *testing.T) {
	s := answer(t, goodBalance)
	var seen observed
	client := shop(t, s.URL, func(c *gateway.Config) { c.Observe = seen.observe })
	for _, zone := range []*time.Location{time.UTC, time.FixedZone("west", -11*60*60), time.FixedZone("east", 14*60*60)} {
		amount, err := client.Balance(t.Context(), then.In(zone))
		if err != nil || amount != "5.94" {
			t.Fatalf("%q, %v", amount, err)
		}
		q := s.request().URL.Query()
		if s.request().URL.Path != "/requstBalance.action" || q.Get("uid") != uid || len(q) != 3 {
			t.Errorf("asked %s", s.request().URL)
		}
		if q.Get("reqtime") != "2018-09-02 12:35:06" || q.Get("key") != "c9b922d7dde2c8ad614b998f8d183e84" {
			t.Errorf("in %s: reqtime %q, key %q", zone, q.Get("reqtime"), q.Get("key"))
		}
	}
	seen.want(t, "balance ok", "balance ok", "balance ok")
}

func TestBalanceReplies(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{`"5.94"`, `"0.00"`, "0.00"},
		{`"5.94"`, `"-5.94"`, "-5.94"},
		{`"5.94"`, `"39"`, "39"},
		{`"0"`, `0`, "5.94"},
		{`"msg":""`, `"msg":null`, "5.94"},
		{`"reqtime":"2018-09-02 12:35:06",`, ``, "5.94"},
	} {
		body := strings.Replace(goodBalance, c.from, c.to, 1)
		amount, err := shop(t, answer(t, body).URL, nil).Balance(t.Context(), then)
		if err != nil || amount != c.want {
			t.Errorf("%s: %q, %v, want %q", body, amount, err, c.want)
		}
	}
}

func TestBalanceRefuses(t *testing.T) {
	for name, c := range map[string]struct{ from, to, outcome string }{
		"HTML":             {goodBalance, `<html>`, "malformed"},
		"empty object":     {goodBalance, `{}`, "malformed"},
		"null":             {goodBalance, `null`, "malformed"},
		"garbage after":    {goodBalance, goodBalance + "x", "malformed"},
		"no status":        {`"status":"0",`, ``, "malformed"},
		"status null":      {`"0"`, `null`, "malformed"},
		"STATUS":           {`"status"`, `"STATUS"`, "malformed"},
		"status twice":     {`{`, `{"status":"1",`, "malformed"},
		"status -1":        {`"0"`, `"-1"`, "malformed"},
		"another uid":      {`"uid":"10000001400000"`, `"uid":"10000001400001"`, "malformed"},
		"no uid":           {`,"uid":"10000001400000"`, ``, "malformed"},
		"no balance":       {`"balance":"5.94",`, ``, "malformed"},
		"balance null":     {`"5.94"`, `null`, "malformed"},
		"balance twice":    {`{`, `{"balance":"5.94",`, "malformed"},
		"balance a number": {`"5.94"`, `5.94`, "malformed"},
		"balance a word":   {`"5.94"`, `"` + token + `"`, "malformed"},
		"balance 1e2":      {`"5.94"`, `"1e2"`, "malformed"},
		"two signs":        {`"5.94"`, `"--5.94"`, "malformed"},
		"plus":             {`"5.94"`, `"+5.94"`, "malformed"},
		"only a sign":      {`"5.94"`, `"-"`, "malformed"},
		"msg a number":     {`"msg":""`, `"msg":1`, "malformed"},
		"error":            {goodBalance, `{"msg":"key\u0000 c9b922d7dde2c8ad614b998f8d183e84 is wrong, want uid=1&token=` + token + ` or ` + older + `","status":"1"}`, "error"},
		"error, number":    {goodBalance, `{"msg":"` + strings.Repeat("错", 5000) + `","status":1}`, "error"},
	} {
		t.Run(name, func(t *testing.T) {
			body := strings.Replace(goodBalance, c.from, c.to, 1)
			if body == goodBalance {
				t.Fatal("nothing is wrong with it")
			}
			var seen observed
			client := shop(t, answer(t, body).URL, func(c *gateway.Config) { c.Observe = seen.observe })
			amount, err := client.Balance(t.Context(), then)
			if !errors.Is(err, gateway.ErrNoAnswer) || amount != "" {
				t.Fatalf("%q, %v, want %v", amount, err, gateway.ErrNoAnswer)
			}
			noSecret(t, err, "c9b922d7dde2c8ad614b998f8d183e84")
			if len(err.Error()) > 400 || strings.ContainsAny(err.Error(), "\x00\n") {
				t.Errorf("error %q", err)
			}
			seen.want(t, "balance "+c.outcome)
		})
	}
	body := `{"msg":"请求过于频繁","status":"1"}`
	_, err := shop(t, answer(t, body).URL, nil).Balance(t.Context(), then)
	if err == nil || !strings.Contains(err.Error(), "请求过于频繁") {
		t.Errorf("%v, want the gateway's words", err)
	}
}
