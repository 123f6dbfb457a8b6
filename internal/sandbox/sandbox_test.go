package sandbox_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-checkout/checkout/internal/sandbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	uid   = "10000001400000"
	token = "10665CF54E90822951FE80330E9CF715"
)

var (
	payFields    = []string{"uid", "orderid", "ordername", "paymoney", "orderuid", "paytype", "notifyurl", "returnurl", "orderinfo"}
	notifyFields = []string{"payid", "orderid", "orderuid", "paymoney", "realpay"}
)

// key is made without package sign, so that a mistake there shows here.
func key(names []string, f url.Values) string {
	var b strings.Builder
	for _, name := range names {
		b.WriteString(name + "=" + f.Get(name) + "&")
	}
	sum := md5.Sum([]byte(b.String() + "token=" + token))
	return hex.EncodeToString(sum[:])
}

func payForm(change url.Values) url.Values {
	f := url.Values{
		"uid": {uid}, "orderid": {"A1"}, "ordername": {"手冲咖啡壶"}, "paymoney": {"39.00"}, "orderuid": {""}, "paytype": {"11"},
		"notifyurl": {"http://shop.test/notify"}, "returnurl": {"http://shop.test/return/A1"}, "orderinfo": {""},
	}
	for name, values := range change {
		f[name] = values
	}
	if !change.Has("key") {
		f.Set("key", key(payFields, f))
	}
	return f
}

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock {
	return &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// shop is a merchant that counts notifies and answers as told. It is reached
// without a network.
type shop struct {
	mu       sync.Mutex
	notifies []url.Values
	answers  []int // one each; then 200
}

func (s *shop) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notifies = append(s.notifies, r.PostForm)
	status := http.StatusOK
	if len(s.answers) > 0 {
		status, s.answers = s.answers[0], s.answers[1:]
	}
	return &http.Response{
		StatusCode: status, Request: r, Body: io.NopCloser(strings.NewReader("success")),
		Header: http.Header{"Location": {"http://shop.test/elsewhere"}},
	}, nil
}

func (s *shop) got() []url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]url.Values{}, s.notifies...)
}

// rig is a sandbox whose handler is called without a network.
type rig struct {
	t    *testing.T
	g    *sandbox.Gateway
	shop *shop
	log  *bytes.Buffer
}

func newRig(t *testing.T, change func(*sandbox.Config)) *rig {
	t.Helper()
	r := &rig{t: t, shop: &shop{}, log: &bytes.Buffer{}}
	c := sandbox.Config{
		UID: uid, Token: token,
		Client: &http.Client{Transport: r.shop},
		Log:    slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&c)
	}
	g, err := sandbox.New(c)
	if err != nil {
		t.Fatal(err)
	}
	r.g = g
	t.Cleanup(func() {
		g.Close()
		if strings.Contains(r.log.String(), token) {
			t.Error("the token is in the log")
		}
	})
	return r
}

// do sends a request and checks that the answer does not hold the token.
func (r *rig) do(req *http.Request) *httptest.ResponseRecorder {
	r.t.Helper()
	w := httptest.NewRecorder()
	r.g.ServeHTTP(w, req)
	if strings.Contains(w.Body.String(), token) {
		r.t.Errorf("%s %s shows the token", req.Method, req.URL.Path)
	}
	return w
}

func (r *rig) get(target string) *httptest.ResponseRecorder {
	r.t.Helper()
	return r.do(httptest.NewRequest(http.MethodGet, target, nil))
}

func (r *rig) post(target, contentType, body string) *httptest.ResponseRecorder {
	r.t.Helper()
	req := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
	req.Header.Set("Content-Type", contentType)
	return r.do(req)
}

func (r *rig) form(target string, f url.Values) *httptest.ResponseRecorder {
	r.t.Helper()
	return r.post(target, "application/x-www-form-urlencoded", f.Encode())
}

// order enters an order at the cashier.
func (r *rig) order(orderid string) {
	r.t.Helper()
	w := r.form("/pay.action", payForm(url.Values{"orderid": {orderid}}))
	if w.Code != http.StatusSeeOther {
		r.t.Fatalf("pay.action: %d %s", w.Code, w.Body)
	}
}

type sentNotify struct {
	Code  string
	Tries []struct {
		ID   int64
		Try  int
		HTTP int
		Code string
	}
}

type answer struct {
	Error  string
	Orders []struct{ OrderID, State, Status string }
	Order  struct {
		State, Status string
		Payments      []struct {
			PayID, RealPay string
			Late           bool
		}
	}
	Notifies []sentNotify
	Messages []struct {
		ID                                          int64
		Kind, OrderID, Code, Verdict, Hashed, Reply string
		Sent, OK                                    bool
		Fields                                      []struct{ Name, Value string }
	}
	Status, Balance, Notify string
}

// command calls the control API, and fails the test on another HTTP status than want.
func (r *rig) command(want int, name, body string) (a answer) {
	r.t.Helper()
	w := r.post("/sandbox/"+name, "application/json", body)
	if w.Code != want {
		r.t.Fatalf("%s %s: %d %s; want %d", name, body, w.Code, w.Body, want)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil && name != "misbehave" {
		r.t.Fatalf("%s: %v in %s", name, err, w.Body)
	}
	return a
}

func (r *rig) messages(query string) (a answer) {
	r.t.Helper()
	w := r.get("/sandbox/messages?" + query)
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		r.t.Fatalf("messages: %v in %s", err, w.Body)
	}
	return a
}

func TestNewRefuses(t *testing.T) {
	for name, c := range map[string]sandbox.Config{
		"no uid":            {Token: token},
		"no token":          {UID: uid},
		"negative interval": {UID: uid, Token: token, NotifyInterval: -1},
		"negative bound":    {UID: uid, Token: token, MaxOrders: -1},
		"unknown field":     {UID: uid, Token: token, SignPay: []string{"uid", "shade"}},
	} {
		if g, err := sandbox.New(c); err == nil {
			g.Close()
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), token) {
			t.Errorf("%s: the error shows the token", name)
		}
	}
}

func TestCloseTwice(t *testing.T) {
	g, err := sandbox.New(sandbox.Config{UID: uid, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
