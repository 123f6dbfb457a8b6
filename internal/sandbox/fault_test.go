package sandbox_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-checkout/checkout/internal/sandbox"
)

func TestStatusFaults(t *testing.T) {
	const paid = `"paymoney":"39.00","realpay":"39.00",`
	wants := map[string]string{ // parts of the reply to a query about the waiting order A1
		"error":         `"orderid":"A1","payid":"","paymoney":"","realpay":"","status":"-2"}`,
		"timeout_paid":  paid + `"status":"1"}`,
		"wrong_orderid": `"orderid":"A10",`,
		"wrong_amount":  `"realpay":"0.01","status":"0"}`,
		"paid_no_money": `"realpay":"","status":"0"}`,
		"empty_object":  `{}`,
		"null":          `null`,
		"array":         `[]`,
		"html":          `<h1>Bad Gateway</h1>`,
		"empty":         ``,
		"status_null":   paid + `"status":null}`,
		"status_upper":  paid + `"STATUS":"0"}`,
		"status_twice":  paid + `"status":"-1","status":"0"}`,
		"status_number": `"status":-1}`,
		"status_absent": paid + `"state":"0"}`,
		"status_other":  paid + `"status":"7"}`,
		"http_500":      paid + `"status":"0"}`,
		"redirect":      ``,
	}
	inTransit := []string{"hang", "slow", "huge", "gzip_bomb", "truncated"}
	for _, fault := range sandbox.StatusFaults {
		t.Run(fault, func(t *testing.T) {
			want, ok := wants[fault]
			if !ok {
				if !strings.Contains(strings.Join(inTransit, " "), fault) {
					t.Fatal("untested")
				}
				return
			}
			r := newRig(t, func(c *sandbox.Config) { c.StatusInterval = 1 })
			r.order("A1")
			if a := r.command(200, "misbehave", `{"status":"`+fault+`"}`); a.Status != fault {
				t.Errorf("set to %q", a.Status)
			}
			w := r.get(statusQuery("A1"))
			code := map[string]int{"http_500": 500, "redirect": 302}[fault]
			if code == 0 {
				code = 200
			}
			if w.Code != code || !strings.Contains(w.Body.String(), want) || (want == "" && fault == "empty" && w.Body.Len() > 0) {
				t.Errorf("%d %s; want %d %s", w.Code, w.Body, code, want)
			}
			if fault == "redirect" {
				if w := r.get(w.Header().Get("Location")); !strings.Contains(w.Body.String(), paid+`"status":"0"}`) {
					t.Errorf("elsewhere: %s", w.Body)
				}
			}
			if m := r.messages("kind=status").Messages; len(m) != 1 || m[0].Code != "misbehaved" || m[0].OK {
				t.Errorf("journal %+v", m)
			}
			// Refusals stay what they are.
			if m := r.reply(statusQuery("unknown")); m["status"] != "-2" {
				t.Errorf("%v", m)
			}
		})
	}
}

func TestBalanceFaults(t *testing.T) {
	const reqtime = "2026-03-01 20:00:00"
	for _, fault := range sandbox.BalanceFaults {
		switch fault {
		case "hang", "slow", "huge", "gzip_bomb", "truncated":
			continue
		}
		c := newClock()
		r := newRig(t, func(conf *sandbox.Config) { conf.Now = c.Now })
		good := fmt.Sprintf(`{"balance":"0.00","msg":"","reqtime":%q,"status":"0","uid":%q}`, reqtime, uid)
		r.command(200, "misbehave", `{"balance":"`+fault+`"}`)
		w := r.get(balanceQuery(reqtime))
		if w.Code == http.StatusOK && w.Body.String() == good {
			t.Errorf("%s: the reply is good: %s", fault, w.Body)
		}
		c.add(3 * time.Minute)
		r.command(200, "misbehave", `{"balance":""}`)
		if w := r.get(balanceQuery(reqtime)); w.Body.String() != good {
			t.Errorf("after %s: %s", fault, w.Body)
		}
	}
}

func TestSlowReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.order("A1")
		r.command(200, "misbehave", `{"status":"slow"}`)
		start := time.Now()
		w := r.get(statusQuery("A1"))
		var m map[string]string
		if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil || m["status"] != "-1" {
			t.Errorf("%v in %s", err, w.Body)
		}
		if took, want := time.Since(start), time.Duration(w.Body.Len())*time.Second; took != want {
			t.Errorf("took %s, want %s", took, want)
		}
	})
}

// full is a client that goes away after some bytes.
type full struct {
	*httptest.ResponseRecorder
	room int
}

func (f *full) Write(b []byte) (int, error) {
	if f.room -= len(b); f.room < 0 {
		return 0, errors.New("connection reset")
	}
	return f.ResponseRecorder.Write(b)
}

func TestHugeReplies(t *testing.T) {
	r := newRig(t, func(c *sandbox.Config) { c.StatusInterval = 1 })
	r.order("A1")

	r.command(200, "misbehave", `{"status":"huge"}`)
	w := &full{httptest.NewRecorder(), 1 << 20}
	r.g.ServeHTTP(w, httptest.NewRequest(http.MethodGet, statusQuery("A1"), nil))
	if w.Body.Len() != 1<<20 {
		t.Errorf("huge: %d bytes", w.Body.Len())
	}

	r.command(200, "misbehave", `{"status":"gzip_bomb"}`)
	w = &full{httptest.NewRecorder(), 64 << 10}
	r.g.ServeHTTP(w, httptest.NewRequest(http.MethodGet, statusQuery("A1"), nil))
	if w.Header().Get("Content-Encoding") != "gzip" {
		t.Errorf("header %v", w.Header())
	}
	z, err := gzip.NewReader(bytes.NewReader(w.Body.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := io.Copy(io.Discard, z); n < 32<<20 {
		t.Errorf("%d bytes from %d", n, w.Body.Len())
	}
}

func TestBrokenConnections(t *testing.T) {
	r := newRig(t, func(c *sandbox.Config) { c.StatusInterval = 1 })
	r.order("A1")
	server := httptest.NewServer(r.g)
	defer server.Close()
	client := server.Client()

	r.command(200, "misbehave", `{"status":"truncated"}`)
	resp, err := client.Get(server.URL + statusQuery("A1"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if !errors.Is(err, io.ErrUnexpectedEOF) || len(body) == 0 {
		t.Errorf("truncated: %v after %q", err, body)
	}

	// hang ends when the client gives up, and when the sandbox is closed.
	r.command(200, "misbehave", `{"status":"hang"}`)
	for n, end := range []func(cancel context.CancelFunc){
		func(cancel context.CancelFunc) { cancel() },
		func(context.CancelFunc) { r.g.Close() },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+statusQuery("A1"), nil)
			if err != nil {
				done <- err
				return
			}
			resp, err := client.Do(req)
			if err == nil {
				resp.Body.Close()
			}
			done <- err
		}()
		if m := r.messages(fmt.Sprintf("kind=status&min=%d&wait=60", n+2)).Messages; len(m) != n+2 {
			t.Fatalf("%d queries", len(m))
		}
		end(cancel)
		if err := <-done; err == nil {
			t.Error("hang: an answer")
		}
		cancel()
	}
}
