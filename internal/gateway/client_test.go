package gateway_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/internal/gateway"
)

// quiet swallows what test servers say of clients that hang up.
var quiet = log.New(io.Discard, "", 0)

const orderid = "10000000900000"

const goodStatus = `{"msg":"","orderid":"10000000900000","payid":"10000000900002","paymoney":"0.05","realpay":"0.05","status":"0"}`

// calls are the two questions, which must withstand the same troubles. They
// report whether there was an answer.
var calls = map[string]func(context.Context, *gateway.Client) (answered bool, err error){
	"status": func(ctx context.Context, c *gateway.Client) (bool, error) {
		s, err := c.Status(ctx, orderid)
		return s != gateway.StatusReply{}, err
	},
	"balance": func(ctx context.Context, c *gateway.Client) (bool, error) {
		amount, err := c.Balance(ctx, time.Now())
		return amount != "", err
	},
}

// troubled asks both questions of the gateway at base, and wants outcome and,
// unless nil, cause.
func troubled(t *testing.T, base, outcome string, cause error, change func(*gateway.Config)) {
	t.Helper()
	for call, ask := range calls {
		var seen observed
		client := shop(t, base, func(c *gateway.Config) {
			c.Observe = seen.observe
			if change != nil {
				change(c)
			}
		})
		answered, err := ask(t.Context(), client)
		if answered || !errors.Is(err, gateway.ErrNoAnswer) {
			t.Errorf("%s: answered %v, %v, want %v", call, answered, err, gateway.ErrNoAnswer)
		}
		if cause != nil && !errors.Is(err, cause) {
			t.Errorf("%s: %v, want %v", call, err, cause)
		}
		noSecret(t, err)
		seen.want(t, call+" "+outcome)
	}
}

// TestAnswersInTrouble has a gateway answer what must not count. Every answer
// repeats the question, the key in it and both tokens.
func TestAnswersInTrouble(t *testing.T) {
	var followed atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		followed.Add(1)
		io.WriteString(w, goodStatus)
	}))
	defer elsewhere.Close()
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", elsewhere.URL+"/?"+r.URL.RawQuery)
			w.WriteHeader(code)
			io.WriteString(w, goodStatus)
		}
	}
	for name, c := range map[string]struct {
		outcome string
		answer  http.HandlerFunc
	}{
		"301": {gateway.OutcomeRedirect, status(301)},
		"302": {gateway.OutcomeRedirect, status(302)},
		"307": {gateway.OutcomeRedirect, status(307)},
		"308": {gateway.OutcomeRedirect, status(308)},
		"304": {gateway.OutcomeRedirect, status(304)},
		"redirect to nowhere": {gateway.OutcomeRedirect, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "%zz")
			w.WriteHeader(302)
		}},
		"201":         {gateway.OutcomeHTTPStatus, status(201)},
		"204":         {gateway.OutcomeHTTPStatus, status(204)},
		"206":         {gateway.OutcomeHTTPStatus, status(206)},
		"400":         {gateway.OutcomeHTTPStatus, status(400)},
		"404":         {gateway.OutcomeHTTPStatus, status(404)},
		"500":         {gateway.OutcomeHTTPStatus, status(500)},
		"503":         {gateway.OutcomeHTTPStatus, status(503)},
		"echo":        {gateway.OutcomeMalformed, func(http.ResponseWriter, *http.Request) {}},
		"long header": {gateway.OutcomeRefused, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) }},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				c.answer(w, r)
				fmt.Fprint(w, r.URL, token, older)
			})
			troubled(t, s.URL, c.outcome, nil, nil)
		})
	}
	if n := followed.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

// TestContentEncoding: what is compressed, or says so, is not looked at; a
// gateway may say that it did not compress.
func TestContentEncoding(t *testing.T) {
	zip := func(text string) string {
		var b strings.Builder
		z := gzip.NewWriter(&b)
		io.WriteString(z, text)
		z.Close()
		return b.String()
	}
	bomb := zip(strings.Repeat(" ", 4<<20) + goodStatus)
	for name, c := range map[string]struct {
		encodings []string
		body      string
	}{
		"zipped":           {[]string{"gzip"}, zip(goodStatus)},
		"bomb":             {[]string{"gzip"}, bomb},
		"says zipped":      {[]string{"gzip"}, goodStatus},
		"unknown":          {[]string{"br"}, goodStatus},
		"said twice":       {[]string{"identity", "gzip"}, goodStatus},
		"said in one line": {[]string{"identity, identity"}, goodStatus},
		"empty":            {[]string{""}, goodStatus},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header()["Content-Encoding"] = c.encodings
				io.WriteString(w, c.body)
			})
			troubled(t, s.URL, gateway.OutcomeMalformed, nil, nil)
		})
	}
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "identity")
		io.WriteString(w, goodStatus)
	})
	if _, err := shop(t, s.URL, nil).Status(t.Context(), orderid); err != nil {
		t.Errorf("identity: %v", err)
	}
}

// TestHugeReplies sends 10 GiB, announced or not. Both ends let go long before.
func TestHugeReplies(t *testing.T) {
	for name, announced := range map[string]bool{"announced": true, "not announced": false} {
		t.Run(name, func(t *testing.T) {
			const size = 10 << 30
			sent := make(chan int64, 2)
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if announced {
					w.Header().Set("Content-Length", fmt.Sprint(size))
				}
				n := int64(0)
				spaces := bytes.Repeat([]byte{' '}, 1<<20)
				for n < size {
					m, err := w.Write(spaces)
					n += int64(m)
					if err != nil {
						break
					}
				}
				sent <- n
			})
			troubled(t, s.URL, gateway.OutcomeTooLarge, nil, nil)
			for range calls {
				if n := <-sent; n >= size {
					t.Errorf("the gateway got rid of all %d bytes", n)
				}
			}
		})
	}
}

// TestReplySize is the limit itself: 64 KiB count, one byte more does not.
func TestReplySize(t *testing.T) {
	for size, fits := range map[int]bool{64 << 10: true, 64<<10 + 1: false} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, goodStatus+strings.Repeat(" ", size-len(goodStatus)))
		})
		if _, err := shop(t, s.URL, nil).Status(t.Context(), orderid); (err == nil) != fits {
			t.Errorf("reply of %d bytes: %v", size, err)
		}
	}
}

func short(c *gateway.Config) { c.Timeout = 50 * time.Millisecond }

// TestSlowReplies: the whole call is bounded, wherever the gateway stops.
func TestSlowReplies(t *testing.T) {
	drip := func(w http.ResponseWriter, r *http.Request, text string) {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for _, c := range []byte(text) {
			w.Write([]byte{c})
			w.(http.Flusher).Flush()
			select {
			case <-tick.C:
			case <-r.Context().Done():
				return
			}
		}
	}
	for name, answer := range map[string]http.HandlerFunc{
		"no header":              func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"header, then nothing":   func(w http.ResponseWriter, r *http.Request) { w.(http.Flusher).Flush(); <-r.Context().Done() },
		"one byte after another": func(w http.ResponseWriter, r *http.Request) { drip(w, r, strings.Repeat(" ", 64<<10)) },
		"all but the last byte": func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, goodStatus[:len(goodStatus)-1])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, answer)
			troubled(t, s.URL, gateway.OutcomeTimeout, context.DeadlineExceeded, short)
		})
	}
}

// accept answers every connection by talk, without HTTP in between.
func accept(t *testing.T, talk func(net.Conn)) (base string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				talk(conn)
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

func TestBrokenConnections(t *testing.T) {
	read := func(conn net.Conn) string {
		b := make([]byte, 4<<10)
		n, _ := conn.Read(b)
		return string(b[:n])
	}
	for name, talk := range map[string]func(net.Conn){
		"closed at once":    func(net.Conn) {},
		"closed when asked": func(c net.Conn) { read(c) },
		"not HTTP":          func(c net.Conn) { fmt.Fprintf(c, "%s%s", read(c), token) },
		"malformed status":  func(c net.Conn) { fmt.Fprintf(c, "HTTP/1.1 2OO %s\r\n\r\n", read(c)) },
		"malformed header":  func(c net.Conn) { fmt.Fprintf(c, "HTTP/1.1 200 OK\r\n%s", read(c)) },
		"truncated body": func(c net.Conn) {
			read(c)
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n%s", goodStatus)
		},
		"malformed chunks": func(c net.Conn) { fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s", read(c)) },
		"unfinished chunks": func(c net.Conn) {
			read(c)
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(goodStatus), goodStatus)
		},
		"length said twice": func(c net.Conn) {
			read(c)
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n%s", goodStatus)
		},
		"endless early hint": func(c net.Conn) {
			read(c)
			for err := error(nil); err == nil; {
				_, err = io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			troubled(t, accept(t, talk), gateway.OutcomeRefused, nil, nil)
		})
	}
	// Nothing can listen on port 0.
	t.Run("refused", func(t *testing.T) {
		troubled(t, "http://127.0.0.1:0", gateway.OutcomeRefused, nil, nil)
	})
	t.Run("hung", func(t *testing.T) {
		base := accept(t, func(c net.Conn) { io.Copy(io.Discard, c) })
		troubled(t, base, gateway.OutcomeTimeout, context.DeadlineExceeded, short)
	})
}

// TestAskedOnce: a question is never sent a second time, because the gateway
// counts them.
func TestAskedOnce(t *testing.T) {
	var asked atomic.Int32
	base := accept(t, func(c net.Conn) {
		b := make([]byte, 4<<10)
		for {
			if n, _ := c.Read(b); n == 0 {
				return
			}
			if asked.Add(1)%2 == 0 {
				return
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(goodStatus), goodStatus)
		}
	})
	client := shop(t, base, nil)
	for i := range 6 {
		if _, err := client.Status(t.Context(), orderid); (err == nil) != (i%2 == 0) {
			t.Errorf("question %d: %v", i, err)
		}
	}
	if n := asked.Load(); n != 6 {
		t.Errorf("6 questions arrived as %d", n)
	}
}

// TestDialerKnowsTheDeadline: a dialer gives up at the context's deadline, and
// may do so before the context itself.
func TestDialerKnowsTheDeadline(t *testing.T) {
	troubled(t, gateway.DefaultBase, gateway.OutcomeTimeout, context.DeadlineExceeded, func(c *gateway.Config) {
		c.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
		})
	})
}

func TestUntrustedTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("an untrusted gateway was asked")
	}))
	s.Config.ErrorLog = quiet
	s.StartTLS()
	defer s.Close()
	troubled(t, s.URL, gateway.OutcomeRefused, nil, nil)

	plain := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("asked without TLS") })
	troubled(t, "https"+strings.TrimPrefix(plain.URL, "http"), gateway.OutcomeRefused, nil, nil)
}

func TestCallerGivesUp(t *testing.T) {
	arrived := make(chan struct{}, 1)
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	for call, ask := range calls {
		var seen observed
		client := shop(t, s.URL, func(c *gateway.Config) { c.Observe = seen.observe })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := ask(ctx, client)
			done <- err
		}()
		<-arrived
		cancel()
		err := <-done
		if !errors.Is(err, gateway.ErrNoAnswer) || !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want %v", call, err, context.Canceled)
		}
		noSecret(t, err)
		seen.want(t, call+" "+gateway.OutcomeCanceled)
	}
}

// TestTransportIsUsed: another transport gets the same request, and may not
// unpack what it gets.
func TestTransportIsUsed(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, goodStatus) })
	client := shop(t, s.URL+"/v1", func(c *gateway.Config) { c.Transport = &http.Transport{DisableKeepAlives: true} })
	if _, err := client.Status(t.Context(), orderid); err != nil {
		t.Fatal(err)
	}
	r := s.request()
	if got := r.Header.Get("Accept-Encoding"); got != "identity" {
		t.Errorf("Accept-Encoding %q", got)
	}
	want := url.Values{"orderid": {orderid}, "uid": {uid}, "key": {"4ceb420edb88182c3423f4bc4d9bf51a"}}
	if r.Method != "GET" || r.URL.Path != "/v1/requstOrderStatus.action" || r.URL.Query().Encode() != want.Encode() {
		t.Errorf("asked %s %s", r.Method, r.URL)
	}
}
