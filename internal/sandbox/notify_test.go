package sandbox_test

import (
	"errors"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-checkout/checkout/internal/sandbox"
)

// checkNotify checks a genuine notify's fields and key.
func checkNotify(t *testing.T, f url.Values, orderid, realpay string) {
	t.Helper()
	if len(f) != 6 || f.Get("orderid") != orderid || f.Get("paymoney") != "39.00" || f.Get("realpay") != realpay || f.Get("payid") == "" || !f.Has("orderuid") {
		t.Errorf("notify %v", f)
	}
	if f.Get("key") != key(notifyFields, f) {
		t.Errorf("notify key of %v", f)
	}
}

func TestPayAndNotify(t *testing.T) {
	r := newRig(t, nil)
	r.order("A1")
	a := r.command(200, "pay", `{"orderid":"A1","wait":"first"}`)
	if a.Order.State != "paid" || a.Order.Status != "0" || len(a.Notifies) != 1 || a.Notifies[0].Code != "acknowledged" {
		t.Errorf("answer %+v", a)
	}
	got := r.shop.got()
	if len(got) != 1 {
		t.Fatalf("%d notifies", len(got))
	}
	checkNotify(t, got[0], "A1", "39.00")
	if got[0].Get("payid") != a.Order.Payments[0].PayID {
		t.Errorf("payid %q of %+v", got[0].Get("payid"), a.Order)
	}
	m := r.messages("kind=notify&orderid=A1").Messages
	if len(m) != 1 || !m[0].Sent || !m[0].OK || m[0].Reply != "success" {
		t.Errorf("journal %+v", m)
	}
	r.command(409, "pay", `{"orderid":"A1"}`)
}

func TestNotifyRetries(t *testing.T) {
	for _, tt := range []struct {
		name    string
		answers []int
		retries int
		codes   []string
		after   time.Duration // from the first try to the last
	}{
		{"at once", []int{204}, 0, []string{"acknowledged"}, 0},
		{"then fine", []int{500, 404}, 0, []string{"refused", "refused", "acknowledged"}, 2 * time.Minute},
		{"never", []int{400, 404, 500, 503, 503}, 0, []string{"refused", "refused", "refused", "refused"}, 3 * time.Minute},
		{"redirects are not followed", []int{301, 302, 307, 308}, 0, []string{"redirected", "redirected", "redirected", "redirected"}, 3 * time.Minute},
		{"one retry", []int{500, 500, 500}, 1, []string{"refused", "refused"}, time.Minute},
		{"no retries", []int{500, 500}, -1, []string{"refused"}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(c *sandbox.Config) { c.NotifyRetries = tt.retries })
				r.shop.answers = tt.answers
				r.order("A1")
				start := time.Now()
				a := r.command(200, "pay", `{"orderid":"A1","wait":"done"}`)
				if took := time.Since(start); took != tt.after {
					t.Errorf("took %s, want %s", took, tt.after)
				}
				tries := a.Notifies[0].Tries
				if len(tries) != len(tt.codes) || len(r.shop.got()) != len(tt.codes) {
					t.Fatalf("tries %+v, shop got %d; want %v", tries, len(r.shop.got()), tt.codes)
				}
				for i, code := range tt.codes {
					if tries[i].Code != code || tries[i].Try != i+1 {
						t.Errorf("try %d: %+v, want %s", i+1, tries[i], code)
					}
				}
				for _, f := range r.shop.got() {
					checkNotify(t, f, "A1", "39.00")
				}
			})
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestNotifyWithoutAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *sandbox.Config) {
			c.NotifyRetries = 1
			c.Client = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			})}
		})
		r.order("A1")
		start := time.Now()
		a := r.command(200, "pay", `{"orderid":"A1","wait":"done"}`)
		if took := time.Since(start); took != 10*time.Second+time.Minute+10*time.Second {
			t.Errorf("took %s", took)
		}
		if n := a.Notifies[0]; n.Code != "no_answer" || len(n.Tries) != 2 {
			t.Errorf("%+v", n)
		}
	})
	r := newRig(t, func(c *sandbox.Config) {
		c.NotifyRetries = -1
		c.Client = &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			return nil, errors.New("connection refused")
		})}
	})
	r.order("A1")
	r.command(200, "pay", `{"orderid":"A1","wait":"done"}`)
	if m := r.messages("kind=notify").Messages; len(m) != 1 || m[0].Verdict != "no answer: connection refused" {
		t.Errorf("%+v", m)
	}
}

func TestCloseEndsNotifies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *sandbox.Config) {
			c.Client = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			})}
		})
		r.order("A1")
		r.command(200, "pay", `{"orderid":"A1"}`)
		synctest.Wait()
		start := time.Now()
		r.g.Close()
		if took := time.Since(start); took != 0 {
			t.Errorf("Close took %s", took)
		}
		if m := r.messages("kind=notify").Messages; len(m) != 1 || m[0].Code != "aborted" {
			t.Errorf("%+v", m)
		}
		r.command(503, "pay", `{"orderid":"A1","force":true}`)
	})
}

func TestCloseBetweenTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.shop.answers = []int{500}
		r.order("A1")
		r.command(200, "pay", `{"orderid":"A1","wait":"first"}`)
		start := time.Now()
		r.g.Close()
		if took := time.Since(start); took != 0 {
			t.Errorf("Close took %s", took)
		}
		if n := len(r.shop.got()); n != 1 {
			t.Errorf("%d notifies", n)
		}
	})
}

func TestSpoiltNotifies(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		realpay    string
		genuine    bool // the key fits what was sent
		samePayID  bool
	}{
		{"duplicate", `{"orderid":"A1","wait":"first"}`, "39.00", true, true},
		{"wrong key", `{"orderid":"A1","key":"wrong","wait":"first"}`, "39.00", false, true},
		{"no key", `{"orderid":"A1","key":"none","wait":"first"}`, "39.00", false, true},
		{"changed amount, old key", `{"orderid":"A1","set":{"realpay":"0.01"},"key":"old","wait":"first"}`, "0.01", false, true},
		{"wrong amount, right key", `{"orderid":"A1","set":{"realpay":"0.01"},"wait":"first"}`, "0.01", true, true},
		{"other payid", `{"orderid":"A1","new_payid":true,"wait":"first"}`, "39.00", true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, nil)
			r.order("A1")
			r.command(200, "pay", `{"orderid":"A1","wait":"first"}`)
			r.command(200, "notify", tt.body)
			got := r.shop.got()
			if len(got) != 2 {
				t.Fatalf("%d notifies", len(got))
			}
			f := got[1]
			if f.Get("realpay") != tt.realpay || (f.Get("payid") == got[0].Get("payid")) != tt.samePayID {
				t.Errorf("sent %v after %v", f, got[0])
			}
			if (f.Get("key") == key(notifyFields, f)) != tt.genuine {
				t.Errorf("key of %v", f)
			}
			checkNotify(t, got[0], "A1", "39.00")
		})
	}
}

func TestConcurrentNotifies(t *testing.T) {
	const n = 64
	arrived, release := make(chan struct{}, n), make(chan struct{})
	r := newRig(t, func(c *sandbox.Config) {
		s := &shop{}
		c.Client = &http.Client{Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
			arrived <- struct{}{}
			select {
			case <-release:
			case <-req.Context().Done():
			}
			return s.RoundTrip(req)
		})}
		c.NotifyTimeout = 5 * time.Minute
	})
	r.order("A1")
	r.command(200, "pay", `{"orderid":"A1"}`)
	r.command(200, "notify", `{"orderid":"A1","count":63}`)
	// All are under way before the first is answered.
	for range n {
		<-arrived
	}
	close(release)
	if m := r.messages("kind=notify&code=acknowledged&min=64&wait=60").Messages; len(m) != n {
		t.Errorf("%d acknowledged", len(m))
	}
}

func TestLoseNotifies(t *testing.T) {
	r := newRig(t, nil)
	r.order("A1")
	r.command(200, "misbehave", `{"notify":"lose"}`)
	a := r.command(200, "pay", `{"orderid":"A1","wait":"done"}`)
	if a.Notifies[0].Code != "lost" || len(r.shop.got()) != 0 {
		t.Errorf("%+v, shop got %d", a.Notifies, len(r.shop.got()))
	}
	r.command(200, "misbehave", `{"notify":""}`)
	r.command(200, "notify", `{"orderid":"A1","wait":"done"}`)
	if got := r.shop.got(); len(got) != 1 {
		t.Errorf("%d notifies", len(got))
	}
}

func TestSecondAndLatePayment(t *testing.T) {
	c := newClock()
	r := newRig(t, func(conf *sandbox.Config) { conf.Now = c.Now })
	r.order("A1")
	r.command(200, "pay", `{"orderid":"A1","wait":"first"}`)
	a := r.command(200, "pay", `{"orderid":"A1","realpay":"1.00","force":true,"wait":"first"}`)
	if p := a.Order.Payments; len(p) != 2 || p[0].PayID == p[1].PayID || p[1].RealPay != "1.00" || p[1].Late {
		t.Errorf("payments %+v", p)
	}

	r.order("A2")
	c.add(5*time.Minute - 1)
	if a := r.command(200, "misbehave", `{}`); a.Status != "" {
		t.Errorf("%+v", a)
	}
	if o := r.command(200, "cancel", `{"orderid":"A2"}`).Orders[0]; o.State != "cancelled" || o.Status != "1" {
		t.Errorf("%+v", o)
	}
	r.order("A3")
	c.add(5 * time.Minute)
	r.command(409, "pay", `{"orderid":"A3"}`)
	a = r.command(200, "pay", `{"orderid":"A3","force":true,"wait":"first"}`)
	if a.Order.State != "paid" || !a.Order.Payments[0].Late {
		t.Errorf("%+v", a.Order)
	}
	got := r.shop.got()
	checkNotify(t, got[len(got)-1], "A3", "39.00")

	r.order("A4")
	if o := r.command(200, "timeout", `{"orderid":"A4"}`).Orders[0]; o.State != "timeout" || o.Status != "1" {
		t.Errorf("%+v", o)
	}
}

func TestCommandsRefused(t *testing.T) {
	r := newRig(t, nil)
	r.order("A1")
	for _, tt := range []struct {
		want       int
		name, body string
	}{
		{400, "pay", `{`},
		{400, "pay", `{"order":"A1"}`},
		{400, "pay", `{"orderid":"A1","wait":"long"}`},
		{404, "pay", `{"orderid":"B1"}`},
		{400, "pay", `{"orderid":"A1","realpay":"1"}`},
		{400, "pay", `{"orderid":"A1","realpay":"0.00"}`},
		{409, "notify", `{"orderid":"A1"}`},
		{404, "notify", `{"orderid":"B1"}`},
		{400, "notify", `{"orderid":"A1","count":257}`},
		{400, "notify", `{"orderid":"A1","count":-1}`},
		{404, "cancel", `{"orderid":"B1"}`},
		{400, "misbehave", `{"status":"nonsense"}`},
		{400, "misbehave", `{"notify":"html"}`},
	} {
		if a := r.command(tt.want, tt.name, tt.body); a.Error == "" {
			t.Errorf("%s %s: no error told", tt.name, tt.body)
		}
	}
	r.command(200, "pay", `{"orderid":"A1","wait":"done"}`)
	r.command(400, "notify", `{"orderid":"A1","key":"maybe"}`)
	r.command(400, "notify", `{"orderid":"A1","set":{"shade":"red"}}`)
	r.command(400, "notify", `{"orderid":"A1","set":{"realpay":"1&2"}}`)
	r.command(409, "cancel", `{"orderid":"A1"}`)
	if n := len(r.shop.got()); n != 1 {
		t.Errorf("%d notifies", n)
	}
	if w := r.post("/sandbox/explode", "application/json", `{}`); w.Code != http.StatusNotFound {
		t.Errorf("unknown command: %d", w.Code)
	}
	if w := r.post("/sandbox/pay", "text/plain", `{"orderid":"A1"}`); w.Code != http.StatusBadRequest {
		t.Errorf("text: %d", w.Code)
	}
}

func TestPaymentsAreBounded(t *testing.T) {
	r := newRig(t, nil)
	r.order("A1")
	for range 16 {
		r.command(200, "pay", `{"orderid":"A1","force":true,"wait":"done"}`)
	}
	r.command(409, "pay", `{"orderid":"A1","force":true}`)
}
