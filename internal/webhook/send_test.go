package webhook

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/caddy-checkout/checkout/internal/store"
)

var (
	secretA = secretPrefix + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xa5}, 24))
	secretB = secretPrefix + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0x5a}, 64))
)

// request is what a receiver saw.
type request struct {
	method, uri string
	header      http.Header
	body        []byte
}

// receive runs a receiver that answers by its handler and reports requests.
func receive(t *testing.T, answer http.HandlerFunc) (url string, requests <-chan request) {
	t.Helper()
	seen := make(chan request, 100)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		seen <- request{r.Method, r.RequestURI, r.Header, body}
		answer(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv.URL, seen
}

// next waits for the next value of c.
func next[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(failsafe):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func hook(t *testing.T, c WebhookConfig) *Webhook {
	t.Helper()
	if c.Secrets == nil {
		c.Secrets = []string{secretA}
	}
	w, err := NewWebhook(c)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func TestRequestIsVerifiedByTheStandardWebhooksLibrary(t *testing.T) {
	url, requests := receive(t, status(http.StatusNoContent))
	w := hook(t, WebhookConfig{URL: url + "/orders?x=1", Secrets: []string{secretA, secretB}})
	payload := []byte(`{"type":"checkout.paid","data":{"name":"杯子"}}`)
	if code, answer, outcome := w.Send(t.Context(), store.Delivery{EventID: "01EVENT", Payload: payload}); outcome != Delivered || code != 204 {
		t.Fatalf("Send = %d, %q, %v", code, answer, outcome)
	}
	r := next(t, requests)
	if r.method != http.MethodPost || r.uri != "/orders?x=1" || !bytes.Equal(r.body, payload) {
		t.Errorf("got %s %s %s", r.method, r.uri, r.body)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "User-Agent": "caddy-checkout", "Webhook-Id": "01EVENT",
	} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for _, secret := range []string{secretA, secretB} {
		wh, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := wh.Verify(r.body, r.header); err != nil {
			t.Error(err)
		}
		if err := wh.Verify(append(r.body, ' '), r.header); err == nil {
			t.Error("another body verifies")
		}
	}
	other, err := standardwebhooks.NewWebhookRaw(bytes.Repeat([]byte{1}, 24))
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Verify(r.body, r.header); err == nil {
		t.Error("another secret verifies")
	}
}

func TestOutcomesOfStatuses(t *testing.T) {
	for code, want := range map[int]Outcome{
		200: Delivered, 201: Delivered, 204: Delivered, 299: Delivered,
		300: Retry, 304: Retry, 400: Retry, 401: Retry, 404: Retry, 410: Gone, 429: Retry, 500: Retry, 503: Retry,
	} {
		url, _ := receive(t, status(code))
		got, _, outcome := hook(t, WebhookConfig{URL: url}).Send(t.Context(), store.Delivery{})
		if got != code || outcome != want {
			t.Errorf("status %d: %d, %v, want %v", code, got, outcome, want)
		}
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	for _, code := range []int{301, 302, 303, 307, 308} {
		inner, reached := receive(t, status(200))
		url, _ := receive(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, inner+"/admin", code)
		})
		got, answer, outcome := hook(t, WebhookConfig{URL: url}).Send(t.Context(), store.Delivery{})
		if got != code || outcome != Retry || !strings.Contains(answer, "not followed") {
			t.Errorf("redirect %d: %d, %q, %v", code, got, answer, outcome)
		}
		if len(reached) != 0 {
			t.Errorf("redirect %d was followed", code)
		}
	}
}

func TestAnswerIsKeptToOneKiB(t *testing.T) {
	url, _ := receive(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, strings.Repeat("y", 1<<20))
	})
	_, answer, outcome := hook(t, WebhookConfig{URL: url}).Send(t.Context(), store.Delivery{})
	if len(answer) != maxAnswer || outcome != Delivered {
		t.Errorf("%d bytes kept, %v", len(answer), outcome)
	}
}

func TestNoAnswer(t *testing.T) {
	untrusted := httptest.NewUnstartedServer(status(200))
	untrusted.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	untrusted.StartTLS()
	defer untrusted.Close()
	for name, url := range map[string]string{
		"refused":               "http://127.0.0.1:0/secret-path", // nothing can listen on port 0
		"certificate not known": untrusted.URL + "/secret-path",
	} {
		code, answer, outcome := hook(t, WebhookConfig{URL: url}).Send(t.Context(), store.Delivery{})
		if code != 0 || outcome != Retry || answer == "" || strings.Contains(answer, "secret-path") {
			t.Errorf("%s: %d, %q, %v", name, code, answer, outcome)
		}
	}

	hung := make(chan struct{})
	url, _ := receive(t, func(http.ResponseWriter, *http.Request) { <-hung })
	defer close(hung)
	w := hook(t, WebhookConfig{URL: url})
	w.client.Timeout = time.Millisecond
	if code, answer, outcome := w.Send(t.Context(), store.Delivery{}); code != 0 || outcome != Retry || answer != "no answer in time" {
		t.Errorf("hanging: %d, %q, %v", code, answer, outcome)
	}
}

func TestTransport(t *testing.T) {
	srv := httptest.NewTLSServer(status(200))
	defer srv.Close()
	tr := newTransport()
	if tr.Proxy != nil || tr.TLSClientConfig.InsecureSkipVerify {
		t.Error("transport knows a proxy or does not verify TLS")
	}
	tr.TLSClientConfig.RootCAs = x509.NewCertPool()
	tr.TLSClientConfig.RootCAs.AddCert(srv.Certificate())
	if code, answer, outcome := hook(t, WebhookConfig{URL: srv.URL, Transport: tr}).Send(t.Context(), store.Delivery{}); outcome != Delivered {
		t.Errorf("with a known certificate: %d, %q, %v", code, answer, outcome)
	}
}

// A crash between the receiver's answer and the record of it: the event comes
// again, under the same webhook-id, and verifies with its new time.
func TestSentButNotRecordedIsSentAgainWithTheSameID(t *testing.T) {
	url, requests := receive(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "thanks") })
	c := &clock{t: epoch}
	w := hook(t, WebhookConfig{URL: url + "/secret-path", Now: c.now})
	m := newMemory()
	m.fail(nil, store.ErrUnavailable)
	event := m.add("shop", "o", TypePaid, []byte(`{"buyer":"alice"}`), w.Target())
	var log bytes.Buffer
	conf := Config{
		Store: m, Targets: []Target{{"shop", w.Target(), w}}, Now: c.now,
		Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	m.mu.Lock()
	recorded := m.changed
	m.mu.Unlock()
	_, stop := start(t, conf)
	first := next(t, requests)
	next(t, recorded)
	if err := stop(); err != nil {
		t.Fatal(err)
	}

	m.fail(nil, nil)
	c.advance(lease)
	_, stop = start(t, conf)
	second := next(t, requests)
	d := m.await(t, event, w.Target(), 1)
	stop()
	if d.State != store.DeliveryDone || d.Log[0].Answer != "thanks" || d.Log[0].Status != 200 || !d.Log[0].At.Equal(c.now()) {
		t.Errorf("recorded %+v", d)
	}
	for _, r := range []request{first, second} {
		if id := r.header.Get("Webhook-Id"); id != event {
			t.Errorf("webhook-id %q, want %q", id, event)
		}
	}
	if a, b := first.header.Get("Webhook-Timestamp"), second.header.Get("Webhook-Timestamp"); a == b {
		t.Errorf("both attempts say they were made at %s", a)
	}
	for _, secret := range []string{"alice", "secret-path", "thanks", secretA, first.header.Get("Webhook-Signature")} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("log holds %q:\n%s", secret, &log)
		}
	}
}

// A receiver that never answers delays nobody, over real connections.
func TestHangingReceiverDelaysNobody(t *testing.T) {
	hung := make(chan struct{})
	badURL, _ := receive(t, func(http.ResponseWriter, *http.Request) { <-hung })
	goodURL, requests := receive(t, status(200))
	bad, good := hook(t, WebhookConfig{URL: badURL}), hook(t, WebhookConfig{URL: goodURL})
	m := newMemory()
	const orders = 20
	for i := range orders {
		m.add("shop", fmt.Sprint(i), TypePaid, nil, bad.Target(), good.Target())
	}
	_, stop := start(t, Config{
		Store: m, Grace: time.Millisecond,
		Targets: []Target{{"shop", bad.Target(), bad}, {"shop", good.Target(), good}},
	})
	for range orders {
		next(t, requests)
	}
	if err := stop(); !errors.Is(err, ErrCutOff) {
		t.Errorf("Run returned %v", err)
	}
	close(hung)
}

func TestParseSecret(t *testing.T) {
	b64 := func(n int) string { return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xfb}, n)) }
	for _, tc := range []struct {
		secret string
		want   int // bytes; 0: an error
	}{
		{secretPrefix + b64(24), 24},
		{secretPrefix + b64(32), 32},
		{secretPrefix + b64(64), 64},
		{secretPrefix + b64(23), 0},
		{secretPrefix + b64(65), 0},
		{b64(32), 0},
		{"whsk_" + b64(32), 0},
		{secretPrefix, 0},
		{"", 0},
		{secretPrefix + strings.TrimRight(b64(25), "="), 0},
		{secretPrefix + strings.NewReplacer("+", "-", "/", "_").Replace(b64(32)), 0},
		{secretPrefix + "\n" + b64(32)[:20], 0},
		{"{env.WEBHOOK_SECRET}", 0},
	} {
		key, err := ParseSecret(tc.secret)
		if tc.want > 0 {
			if err != nil || len(key) != tc.want {
				t.Errorf("ParseSecret(%q) = %d bytes, %v", tc.secret, len(key), err)
			}
			continue
		}
		if !errors.Is(err, ErrSecret) {
			t.Errorf("ParseSecret(%q) = %v, want ErrSecret", tc.secret, err)
		}
		if body := strings.TrimPrefix(tc.secret, secretPrefix); err != nil && body != "" && strings.Contains(err.Error(), body) {
			t.Errorf("the error holds the secret: %v", err)
		}
	}
}

func TestNewWebhookRefuses(t *testing.T) {
	for _, tc := range []struct {
		url, secret, want string
	}{
		{"ftp://example.com", secretA, "https://"},
		{"hooks.example.com/orders", secretA, "https://"},
		{"https://", secretA, "no host"},
		{"https:///orders", secretA, "no host"},
		{"https://u:p@example.com", secretA, "password"},
		{"https://example.com/#x", secretA, "fragment"},
		{"https://exa mple.com", secretA, "not a URL"},
		{"https://example.com", "whsec_short", "secret"},
	} {
		_, err := NewWebhook(WebhookConfig{URL: tc.url, Secrets: []string{tc.secret}})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want one with %q", tc.url, err, tc.want)
		}
	}
	if _, err := NewWebhook(WebhookConfig{URL: "https://example.com"}); !errors.Is(err, ErrSecret) {
		t.Errorf("without a secret: %v", err)
	}
}
