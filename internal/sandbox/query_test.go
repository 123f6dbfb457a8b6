package sandbox_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/internal/sandbox"
)

func statusQuery(orderid string) string {
	q := url.Values{"orderid": {orderid}, "uid": {uid}}
	q.Set("key", key([]string{"orderid", "uid"}, q))
	return "/requstOrderStatus.action?" + q.Encode()
}

func balanceQuery(reqtime string) string {
	q := url.Values{"uid": {uid}, "reqtime": {reqtime}}
	q.Set("key", key([]string{"uid", "reqtime"}, q))
	return "/requstBalance.action?" + q.Encode()
}

// reply is a status or balance reply, each member a string.
func (r *rig) reply(target string) map[string]string {
	r.t.Helper()
	w := r.get(target)
	m := make(map[string]string)
	if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil || w.Code != http.StatusOK {
		r.t.Fatalf("%s: %d %v in %s", target, w.Code, err, w.Body)
	}
	return m
}

func TestStatusReplies(t *testing.T) {
	c := newClock()
	r := newRig(t, func(conf *sandbox.Config) { conf.Now = c.Now })
	for _, id := range []string{"waiting", "paid", "less", "cancelled", "timeout"} {
		r.order(id)
	}
	payid := r.command(200, "pay", `{"orderid":"paid","wait":"first"}`).Order.Payments[0].PayID
	lessid := r.command(200, "pay", `{"orderid":"less","realpay":"0.01","wait":"first"}`).Order.Payments[0].PayID
	r.command(200, "pay", `{"orderid":"less","force":true,"wait":"first"}`)
	r.command(200, "cancel", `{"orderid":"cancelled"}`)
	r.command(200, "timeout", `{"orderid":"timeout"}`)

	for _, tt := range []struct{ orderid, want string }{
		{"waiting", `{"msg":"","orderid":"waiting","payid":"","paymoney":"39.00","realpay":"","status":"-1"}`},
		{"paid", `{"msg":"","orderid":"paid","payid":"` + payid + `","paymoney":"39.00","realpay":"39.00","status":"0"}`},
		{"less", `{"msg":"","orderid":"less","payid":"` + lessid + `","paymoney":"39.00","realpay":"0.01","status":"0"}`},
		{"cancelled", `{"msg":"","orderid":"cancelled","payid":"","paymoney":"39.00","realpay":"","status":"1"}`},
		{"timeout", `{"msg":"","orderid":"timeout","payid":"","paymoney":"39.00","realpay":"","status":"1"}`},
		{"unknown", `{"msg":"no such order","orderid":"unknown","payid":"","paymoney":"","realpay":"","status":"-2"}`},
	} {
		if w := r.get(statusQuery(tt.orderid)); w.Code != 200 || w.Body.String() != tt.want {
			t.Errorf("%s: %d %s\nwant %s", tt.orderid, w.Code, w.Body, tt.want)
		}
	}
	c.add(5 * time.Minute)
	if m := r.reply(statusQuery("waiting")); m["status"] != "1" {
		t.Errorf("after the deadline: %v", m)
	}
}

func TestStatusOncePerMinute(t *testing.T) {
	c := newClock()
	r := newRig(t, func(conf *sandbox.Config) { conf.Now = c.Now })
	r.order("A1")
	r.order("A2")
	for _, tt := range []struct {
		add     time.Duration
		orderid string
		status  string
	}{
		{0, "A1", "-1"},
		{0, "A2", "-1"},
		{time.Minute - 1, "A1", "-2"},
		{1, "A1", "-1"}, // the refused query did not count
		{time.Second, "A1", "-2"},
		{time.Minute - time.Second, "A1", "-1"},
	} {
		c.add(tt.add)
		m := r.reply(statusQuery(tt.orderid))
		if m["status"] != tt.status || (tt.status == "-2") != strings.Contains(m["msg"], "at most one query per 1m0s") {
			t.Errorf("%+v: %v", tt, m)
		}
	}
	c.add(time.Minute)
	r.get(strings.Replace(statusQuery("A1"), "key=", "key=0", 1))
	if m := r.reply(statusQuery("A1")); m["status"] != "-1" {
		t.Errorf("after a query with a wrong key: %v", m)
	}
}

func TestQueriesRefused(t *testing.T) {
	c := newClock()
	r := newRig(t, func(conf *sandbox.Config) { conf.Now = c.Now })
	r.order("A1")
	status, balance := statusQuery("A1"), balanceQuery("2026-03-01 20:00:00")
	for _, tt := range []struct{ name, target, says string }{
		{"key", strings.Replace(status, "key=", "key=0", 1), "32 lower-case hex"},
		{"key", "/requstOrderStatus.action?orderid=A1&uid=" + uid + "&key=" + strings.Repeat("0", 32), "key does not match"},
		{"uid", strings.Replace(status, "uid="+uid, "uid=1", 1), "is unknown"},
		{"missing", "/requstOrderStatus.action?uid=" + uid, "orderid is missing"},
		{"twice", status + "&uid=" + uid, "uid is there 2 times"},
		{"more", status + "&status=0", "is no field"},
		{"long", statusQuery(strings.Repeat("a", 41)), "at most 40"},
		{"escape", status + "&%zz", "cannot be decoded"},
		{"token", status + "&token=" + token, "token must never leave"},
		{"token as uid", strings.Replace(status, "uid="+uid, "uid="+token, 1), `uid "********" is unknown`},
		{"key", strings.Replace(balance, "key=", "key=0", 1), "32 lower-case hex"},
		{"missing", "/requstBalance.action?uid=" + uid, "reqtime is missing"},
		{"other key", "/requstBalance.action?uid=" + uid + "&reqtime=x&key=" + strings.Repeat("0", 32), "key does not match"},
	} {
		m := r.reply(tt.target)
		want := "-2"
		if strings.Contains(tt.target, "Balance") {
			want = "1"
		}
		if m["status"] != want || !strings.Contains(m["msg"], tt.says) {
			t.Errorf("%s: %v, want %q", tt.name, m, tt.says)
		}
	}
	a := r.messages("kind=status&code=key")
	if len(a.Messages) != 1 || a.Messages[0].Hashed != "orderid=A1&uid="+uid+"&token=********" {
		t.Errorf("journal: %+v", a.Messages)
	}
}

func TestBalance(t *testing.T) {
	c := newClock() // 20:00:00 in Beijing
	r := newRig(t, func(conf *sandbox.Config) { conf.Now = c.Now })
	r.order("A1")
	r.command(200, "pay", `{"orderid":"A1","wait":"first"}`)
	r.command(200, "pay", `{"orderid":"A1","realpay":"0.05","force":true,"wait":"first"}`)

	for _, reqtime := range []string{"2026-03-01 12:00:00", "2026-03-01 19:49:59", "2026-03-01 20:10:01"} {
		if m := r.reply(balanceQuery(reqtime)); m["status"] != "1" || !strings.Contains(m["msg"], "it is 2026-03-01 20:00:00 in Beijing") {
			t.Errorf("%s: %v", reqtime, m)
		}
	}
	for _, reqtime := range []string{"2026-03-01T20:00:00Z", "2026-3-1 20:00:00", "2026-03-01 20:00:00.5", "2026-02-30 20:00:00", "now"} {
		if m := r.reply(balanceQuery(reqtime)); m["status"] != "1" || !strings.Contains(m["msg"], "want Beijing time") {
			t.Errorf("%s: %v", reqtime, m)
		}
	}
	want := `{"balance":"39.05","msg":"","reqtime":"2026-03-01 19:50:00","status":"0","uid":"` + uid + `"}`
	if w := r.get(balanceQuery("2026-03-01 19:50:00")); w.Body.String() != want {
		t.Errorf("%s\nwant %s", w.Body, want)
	}
	c.add(3*time.Minute - 1)
	if m := r.reply(balanceQuery("2026-03-01 20:10:00")); m["status"] != "1" || m["balance"] != "" || !strings.Contains(m["msg"], "at most one query per 3m0s") {
		t.Errorf("too soon: %v", m)
	}
	c.add(1)
	if m := r.reply(balanceQuery("2026-03-01 20:13:00")); m["status"] != "0" {
		t.Errorf("after three minutes: %v", m)
	}
}
