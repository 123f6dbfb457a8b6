package gateway_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-checkout/checkout/internal/gateway"
	"github.com/caddy-checkout/checkout/sign"
)

// answer serves body to every question, whatever its content type.
func answer(t testing.TB, body string) *asked {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, body) })
}

func TestStatus(t *testing.T) {
	full := gateway.StatusReply{OrderID: orderid, PayID: "10000000900002", PayMoney: "0.05", RealPay: "0.05", Status: "0"}
	with := func(change func(*gateway.StatusReply)) gateway.StatusReply {
		s := full
		change(&s)
		return s
	}
	for name, c := range map[string]struct {
		body    string
		want    gateway.StatusReply
		outcome string
	}{
		"paid":           {goodStatus, full, "ok"},
		"spaces around":  {" \r\n" + goodStatus + "\n ", full, "ok"},
		"as a number":    {strings.Replace(goodStatus, `"0"`, `0`, 1), full, "ok"},
		"unknown member": {strings.Replace(goodStatus, "{", `{"x":{"status":-1,"a":[{}]},"x":1,`, 1), full, "ok"},
		"escaped name":   {strings.Replace(goodStatus, `"status"`, `"\u0073tatus"`, 1), full, "ok"},
		"the document's own": {
			strings.Replace(goodStatus, `"0"`, `"1"`, 1),
			with(func(s *gateway.StatusReply) { s.Status = "1" }), "ok",
		},
		"waiting": {
			`{"msg":"","orderid":"10000000900000","payid":"","paymoney":"0.05","realpay":"","status":"-1"}`,
			gateway.StatusReply{OrderID: orderid, PayMoney: "0.05", Status: "-1"}, "ok",
		},
		"the least there is": {
			`{"orderid":"10000000900000","status":-1}`,
			gateway.StatusReply{OrderID: orderid, Status: "-1"}, "ok",
		},
		"nulls": {
			`{"msg":null,"orderid":"10000000900000","payid":null,"paymoney":null,"realpay":null,"status":1}`,
			gateway.StatusReply{OrderID: orderid, Status: "1"}, "ok",
		},
		"paid without payid": {
			`{"orderid":"10000000900000","paymoney":"0.05","realpay":"39","status":0}`,
			gateway.StatusReply{OrderID: orderid, PayMoney: "0.05", RealPay: "39", Status: "0"}, "ok",
		},
		"error": {
			`{"msg":"查询\n过于 <b>频繁</b> & key 4ceb420edb88182c3423f4bc4d9bf51a token ` + token + `","orderid":"10000000900000","status":"-2"}`,
			gateway.StatusReply{Msg: "查询 过于 <b>频繁</b> ＆ key *** token ***", OrderID: orderid, Status: "-2"}, "error",
		},
		"long msg": {
			`{"msg":"` + strings.Repeat("错", 1000) + `","orderid":"10000000900000","status":"-2"}`,
			gateway.StatusReply{Msg: strings.Repeat("错", 66), OrderID: orderid, Status: "-2"}, "error",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var seen observed
			client := shop(t, answer(t, c.body).URL, func(c *gateway.Config) { c.Observe = seen.observe })
			s, err := client.Status(t.Context(), orderid)
			if err != nil || s != c.want {
				t.Errorf("%+v, %v, want %+v", s, err, c.want)
			}
			seen.want(t, "status "+c.outcome)
		})
	}
}

// badStatuses must not count; most of them would be a paid order where JSON is
// taken as it comes.
var badStatuses = map[string]string{
	"empty":                 ``,
	"spaces":                "  \n",
	"HTML":                  `<html><body>系统繁忙</body></html>`,
	"null":                  `null`,
	"array":                 `[]`,
	"array around":          `[` + goodStatus + `]`,
	"string":                `"0"`,
	"number":                `0`,
	"true":                  `true`,
	"empty object":          `{}`,
	"BOM":                   "\ufeff" + goodStatus,
	"twice":                 goodStatus + goodStatus,
	"garbage after":         goodStatus + "x",
	"brace after":           goodStatus + "}",
	"NUL after":             goodStatus + "\x00",
	"comma at end":          strings.Replace(goodStatus, `"}`, `",}`, 1),
	"cut off":               goodStatus[:len(goodStatus)-1],
	"cut off in a name":     goodStatus[:3],
	"only a brace":          `{`,
	"wrong bracket":         goodStatus[:len(goodStatus)-1] + "]",
	"no comma":              strings.Replace(goodStatus, `,"status"`, ` "status"`, 1),
	"no colon":              strings.Replace(goodStatus, `"status":`, `"status" `, 1),
	"number as name":        strings.Replace(goodStatus, `{`, `{1:2,`, 1),
	"single quotes":         strings.ReplaceAll(goodStatus, `"`, `'`),
	"comment":               goodStatus + "// paid",
	"JSONP":                 "callback(" + goodStatus + ")",
	"deep":                  strings.Repeat(`{"x":`, 12000),
	"invalid UTF-8":         strings.Replace(goodStatus, `"msg":""`, "\"msg\":\"\xc4\xe3\"", 1),
	"invalid UTF-8, other":  strings.Replace(goodStatus, `{`, "{\"x\":\"\xff\",", 1),
	"no status":             strings.Replace(goodStatus, `,"status":"0"`, ``, 1),
	"status null":           strings.Replace(goodStatus, `"0"`, `null`, 1),
	"status empty":          strings.Replace(goodStatus, `"0"`, `""`, 1),
	"status false":          strings.Replace(goodStatus, `"0"`, `false`, 1),
	"status array":          strings.Replace(goodStatus, `"0"`, `["0"]`, 1),
	"status object":         strings.Replace(goodStatus, `"0"`, `{"status":"0"}`, 1),
	"status 2":              strings.Replace(goodStatus, `"0"`, `"2"`, 1),
	"status -3":             strings.Replace(goodStatus, `"0"`, `-3`, 1),
	"status -0":             strings.Replace(goodStatus, `"0"`, `-0`, 1),
	"status 0.0":            strings.Replace(goodStatus, `"0"`, `0.0`, 1),
	"status 0e1":            strings.Replace(goodStatus, `"0"`, `0e1`, 1),
	"status 00":             strings.Replace(goodStatus, `"0"`, `"00"`, 1),
	"status 00, number":     strings.Replace(goodStatus, `"0"`, `00`, 1),
	"status +1":             strings.Replace(goodStatus, `"0"`, `"+1"`, 1),
	"status with space":     strings.Replace(goodStatus, `"0"`, `"0 "`, 1),
	"status full-width":     strings.Replace(goodStatus, `"0"`, `"０"`, 1),
	"STATUS":                strings.Replace(goodStatus, `"status"`, `"STATUS"`, 1),
	"Status beside":         strings.Replace(goodStatus, `{`, `{"Status":"0",`, 1),
	"long s":                strings.Replace(goodStatus, `{`, `{"ſtatus":"0",`, 1),
	"status twice":          strings.Replace(goodStatus, `{`, `{"status":-1,`, 1),
	"status twice, same":    strings.Replace(goodStatus, `{`, `{"status":"0",`, 1),
	"status twice, escaped": strings.Replace(goodStatus, `{`, `{"\u0073tatus":"0",`, 1),
	"realpay twice":         strings.Replace(goodStatus, `{`, `{"realpay":null,`, 1),
	"orderid twice":         strings.Replace(goodStatus, `{`, `{"orderid":"10000000900000",`, 1),
	"OrderID beside":        strings.Replace(goodStatus, `{`, `{"OrderID":"10000000900000",`, 1),
	"no orderid":            strings.Replace(goodStatus, `"orderid":"10000000900000",`, ``, 1),
	"orderid null":          strings.Replace(goodStatus, `"10000000900000"`, `null`, 1),
	"orderid empty":         strings.Replace(goodStatus, `"10000000900000"`, `""`, 1),
	"orderid a number":      strings.Replace(goodStatus, `"10000000900000"`, `10000000900000`, 1),
	"another orderid":       strings.Replace(goodStatus, `"10000000900000"`, `"10000000900001"`, 1),
	"orderid with space":    strings.Replace(goodStatus, `"10000000900000"`, `"10000000900000 "`, 1),
	"paid, no amounts":      `{"orderid":"10000000900000","status":0}`,
	"paid, paymoney empty":  strings.Replace(goodStatus, `"paymoney":"0.05"`, `"paymoney":""`, 1),
	"paid, no realpay":      strings.Replace(goodStatus, `"realpay":"0.05",`, ``, 1),
	"paid, realpay null":    strings.Replace(goodStatus, `"realpay":"0.05"`, `"realpay":null`, 1),
	"realpay a number":      strings.Replace(goodStatus, `"realpay":"0.05"`, `"realpay":0.05`, 1),
	"paymoney an array":     strings.Replace(goodStatus, `"paymoney":"0.05"`, `"paymoney":["0.05"]`, 1),
	"payid a number":        strings.Replace(goodStatus, `"10000000900002"`, `10000000900002`, 1),
	"payid with NUL":        strings.Replace(goodStatus, `"10000000900002"`, `"1\u0000"`, 1),
	"payid with '&'":        strings.Replace(goodStatus, `"10000000900002"`, `"1&orderid=2"`, 1),
	"payid too long":        strings.Replace(goodStatus, `"10000000900002"`, `"`+strings.Repeat("1", 65)+`"`, 1),
	"msg a number":          strings.Replace(goodStatus, `"msg":""`, `"msg":0`, 1),
	"msg false":             strings.Replace(goodStatus, `"msg":""`, `"msg":false`, 1),
	"half a surrogate":      strings.Replace(goodStatus, `"10000000900000"`, `"10000000900000\ud800"`, 1),
	"the query again":       `{"error":"key=4ceb420edb88182c3423f4bc4d9bf51a token=` + token + `"`,
}

func TestStatusRefuses(t *testing.T) {
	for name, body := range badStatuses {
		t.Run(name, func(t *testing.T) {
			if body == goodStatus {
				t.Fatal("nothing is wrong with it")
			}
			var seen observed
			client := shop(t, answer(t, body).URL, func(c *gateway.Config) { c.Observe = seen.observe })
			s, err := client.Status(t.Context(), orderid)
			if !errors.Is(err, gateway.ErrNoAnswer) || s != (gateway.StatusReply{}) {
				t.Errorf("%+v, %v, want %v", s, err, gateway.ErrNoAnswer)
			}
			noSecret(t, err, "4ceb420edb88182c3423f4bc4d9bf51a")
			seen.want(t, "status "+gateway.OutcomeMalformed)
		})
	}
}

// TestStatusOfWhatCannotBeSigned asks nothing.
func TestStatusOfWhatCannotBeSigned(t *testing.T) {
	var n atomic.Int32
	s := serve(t, func(http.ResponseWriter, *http.Request) { n.Add(1) })
	var seen observed
	client := shop(t, s.URL, func(c *gateway.Config) { c.Observe = seen.observe })
	for _, id := range []string{"", "1&uid=2", "1\n", "\xff"} {
		if _, err := client.Status(t.Context(), id); !errors.Is(err, gateway.ErrNoAnswer) || (id != "" && !errors.Is(err, sign.ErrValue)) {
			t.Errorf("orderid %q: %v", id, err)
		}
	}
	if n.Load() != 0 {
		t.Errorf("%d questions were asked", n.Load())
	}
	seen.want(t)
}

// TestStatusSignsAnotherList: the key is over the listed fields, in their
// order, and the query still has all of them.
func TestStatusSignsAnotherList(t *testing.T) {
	s := answer(t, goodStatus)
	for _, fields := range []sign.Fields{{"uid", "orderid"}, {"orderid"}} {
		client := shop(t, s.URL, func(c *gateway.Config) { c.SignStatus = fields })
		if _, err := client.Status(t.Context(), orderid); err != nil {
			t.Fatal(err)
		}
		values := map[string]string{"uid": uid, "orderid": orderid}
		var signed []string
		for _, name := range fields {
			signed = append(signed, values[name])
		}
		q := s.request().URL.Query()
		if err := fields.Verify(q.Get("key"), []string{token}, signed...); err != nil || q.Get("uid") != uid || q.Get("orderid") != orderid {
			t.Errorf("signing %v: %v, query %v", fields, err, q)
		}
	}
}

// FuzzStatusReply holds replies to package json: what is accepted means the
// same there, and cannot mean anything else.
func FuzzStatusReply(f *testing.F) {
	f.Add(goodStatus)
	for _, body := range badStatuses {
		f.Add(body)
	}
	var body atomic.Value
	client := shop(f, "http://gateway.invalid", func(c *gateway.Config) {
		c.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{}, ContentLength: -1, Body: io.NopCloser(strings.NewReader(body.Load().(string)))}, nil
		})
	})
	f.Fuzz(func(t *testing.T, text string) {
		body.Store(text)
		s, err := client.Status(t.Context(), orderid)
		if err != nil {
			if !errors.Is(err, gateway.ErrNoAnswer) || s != (gateway.StatusReply{}) {
				t.Errorf("%+v, %v", s, err)
			}
			return
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &members); err != nil {
			t.Fatalf("accepts %q: %v", text, err)
		}
		if status := strings.Trim(string(members["status"]), `"`); status != s.Status && !strings.Contains(status, `\`) {
			t.Errorf("status %s of %q, want %s", s.Status, text, status)
		}
		for name := range members {
			for _, known := range []string{"msg", "orderid", "payid", "paymoney", "realpay", "status"} {
				if name != known && strings.EqualFold(name, known) {
					t.Errorf("accepts %q beside %q", name, known)
				}
			}
		}
		if s.OrderID != orderid || s.Status == gateway.StatusPaid && (s.RealPay == "" || s.PayMoney == "") {
			t.Errorf("accepts %+v", s)
		}
		if err := (sign.Fields{"msg", "payid", "paymoney", "realpay"}).Check(s.Msg, s.PayID, s.PayMoney, s.RealPay); err != nil {
			t.Error(err)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
