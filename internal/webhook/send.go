package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-checkout/checkout/internal/store"
)

const (
	webhookTimeout = 15 * time.Second // of a whole attempt, the answer included
	secretPrefix   = "whsec_"
	minSecret      = 24 // bytes, by the Standard Webhooks specification
	maxSecret      = 64
)

// ErrSecret is wrapped by every error of ParseSecret.
var ErrSecret = errors.New("not a webhook secret")

// ParseSecret returns the key of a secret in the form of Standard Webhooks:
// "whsec_" and 24 to 64 bytes in base64. Errors do not contain the secret.
func ParseSecret(secret string) ([]byte, error) {
	const form = `write "whsec_" and then 24 to 64 random bytes in base64`
	encoded, ok := strings.CutPrefix(secret, secretPrefix)
	if !ok {
		return nil, fmt.Errorf(`%w: it does not begin with "whsec_"; %s`, ErrSecret, form)
	}
	key, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("%w: what follows whsec_ is not base64; %s", ErrSecret, form)
	}
	if len(key) < minSecret || len(key) > maxSecret {
		return nil, fmt.Errorf("%w: it has %d bytes; %s", ErrSecret, len(key), form)
	}
	return key, nil
}

// CheckURL reports what is wrong with the URL of a webhook. Plain http is
// allowed, for receivers on the same machine or network: the signature
// protects the event, but anyone on the way can read it.
func CheckURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return errors.New("not a URL; write it like https://hooks.example.com/orders")
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return errors.New("webhook URL must begin with https:// or http://")
	case u.Hostname() == "":
		return errors.New("webhook URL has no host")
	case u.User != nil:
		return errors.New("webhook URL must not hold a user or password; receivers know us by the signature")
	case u.Fragment != "":
		return errors.New("webhook URL must not have a #fragment; it would never be sent")
	}
	return nil
}

// WebhookConfig is one webhook.
type WebhookConfig struct {
	URL     string
	Secrets []string // see ParseSecret; each signs, so that a receiver can change over

	// Transport is used instead of one that verifies TLS by the system's
	// roots, knows no proxy and keeps no connections. For tests.
	Transport http.RoundTripper

	Now func() time.Time // nil: time.Now
}

// Webhook sends events by the Standard Webhooks scheme, version 1.
type Webhook struct {
	url    string
	keys   [][]byte
	client *http.Client
	now    func() time.Time
}

// NewWebhook checks the configuration. It connects to nothing.
func NewWebhook(c WebhookConfig) (*Webhook, error) {
	if err := CheckURL(c.URL); err != nil {
		return nil, err
	}
	if len(c.Secrets) == 0 {
		return nil, fmt.Errorf("%w: there is none", ErrSecret)
	}
	w := &Webhook{url: c.URL, now: c.Now}
	if w.now == nil {
		w.now = time.Now
	}
	for _, s := range c.Secrets {
		key, err := ParseSecret(s)
		if err != nil {
			return nil, err
		}
		w.keys = append(w.keys, key)
	}
	if c.Transport == nil {
		c.Transport = newTransport()
	}
	w.client = &http.Client{
		Transport:     c.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return w, nil
}

// newTransport makes a transport that goes to the configured host and nowhere
// else. Orders are rare: a connection each costs little and leaves nothing
// behind when the configuration is replaced.
func newTransport() *http.Transport {
	http1 := new(http.Protocols)
	http1.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  nil,
		DialContext:            (&net.Dialer{}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		Protocols:              http1,
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// Target is the name of this webhook in store.Event.Targets.
func (w *Webhook) Target() string { return TargetWebhook + w.url }

// Send posts the event. 2xx is delivered, 410 is gone, all else, redirects
// included, is to be tried again.
func (w *Webhook) Send(ctx context.Context, d store.Delivery) (int, string, Outcome) {
	ctx, cancel := context.WithTimeout(ctx, webhookTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(d.Payload))
	if err != nil {
		return 0, "making the request failed", Rejected
	}
	ts := strconv.FormatInt(w.now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "caddy-checkout")
	req.Header.Set("Webhook-Id", d.EventID)
	req.Header.Set("Webhook-Timestamp", ts)
	req.Header.Set("Webhook-Signature", w.sign(d.EventID, ts, d.Payload))

	resp, err := w.client.Do(req)
	if err != nil {
		return 0, reason(err), Retry
	}
	defer resp.Body.Close()
	// The status decides; an answer that breaks off is kept as far as it came.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	answer := string(body)
	switch {
	case resp.StatusCode/100 == 2:
		return resp.StatusCode, answer, Delivered
	case resp.StatusCode == http.StatusGone:
		return resp.StatusCode, answer, Gone
	case resp.StatusCode/100 == 3:
		return resp.StatusCode, "redirects are not followed; " + answer, Retry
	}
	return resp.StatusCode, answer, Retry
}

// sign makes the webhook-signature header: one signature for each key.
func (w *Webhook) sign(id, ts string, payload []byte) string {
	var header []byte
	for i, key := range w.keys {
		if i > 0 {
			header = append(header, ' ')
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + ts + "."))
		mac.Write(payload)
		header = append(header, "v1,"...)
		header = base64.StdEncoding.AppendEncode(header, mac.Sum(nil))
	}
	return string(header)
}

// reason says why there was no answer, without the URL, whose path may be
// secret.
func reason(err error) string {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err
	}
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		return "no answer in time"
	}
	return err.Error()
}

var _ Sender = (*Webhook)(nil)
