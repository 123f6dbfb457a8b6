package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// ErrNoAnswer is wrapped by every error of Status and Balance: refused, timed
// out, redirected, not HTTP 200, too large or not a strict reply. The error's
// text never holds a key, a token or the query that was sent. An error because
// of ctx or the timeout also wraps context.Canceled or
// context.DeadlineExceeded.
var ErrNoAnswer = errors.New("no usable answer from the gateway")

// The outcomes of a call, as Config.Observe hears them.
const (
	OutcomeOK         = "ok"
	OutcomeError      = "error"       // the gateway reports an error, in a strict reply
	OutcomeRefused    = "refused"     // no connection, no trusted TLS, or it broke
	OutcomeTimeout    = "timeout"     // not answered in full in time
	OutcomeCanceled   = "canceled"    // the caller gave up
	OutcomeRedirect   = "redirect"    // redirects are not followed
	OutcomeHTTPStatus = "http_status" // neither 200 nor a redirect
	OutcomeMalformed  = "malformed"   // not a strict reply
	OutcomeTooLarge   = "too_large"   // over 64 KiB
)

// Outcomes are all outcomes, for those who count them.
var Outcomes = []string{
	OutcomeOK, OutcomeError, OutcomeRefused, OutcomeTimeout, OutcomeCanceled,
	OutcomeRedirect, OutcomeHTTPStatus, OutcomeMalformed, OutcomeTooLarge,
}

// maxReplyBytes bounds the body of a reply, and also its header.
const maxReplyBytes = 64 << 10

// newTransport makes a transport that goes straight to the gateway. It keeps
// no connection: a question sent on a stale one is sent again by package http,
// and the gateway counts questions.
func newTransport() *http.Transport {
	return &http.Transport{
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxReplyBytes,
	}
}

// ask sends one GET and has parse judge the body of the answer, all within the
// timeout. It tells the observer the outcome.
func (c *Client) ask(ctx context.Context, call, path string, query url.Values, parse func(body []byte) (outcome string, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	start := time.Now()
	body, outcome, err := c.get(ctx, c.base+path+"?"+query.Encode())
	if err == nil {
		outcome, err = parse(body)
	}
	c.observe(call, outcome, time.Since(start))
	if err != nil {
		return unanswered(err)
	}
	return nil
}

// get returns the body of a plain HTTP 200, or the outcome and why not.
func (c *Client) get(ctx context.Context, address string) (body []byte, outcome string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, OutcomeRefused, errors.New("gateway address cannot be asked")
	}
	// With this header set, no http.Transport unpacks what it gets.
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "caddy-checkout")
	// An http.Client would follow redirects, and put the URL into its errors.
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		outcome, err = broken(ctx, err)
		return nil, outcome, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return nil, OutcomeRedirect, fmt.Errorf("redirected with HTTP %d", resp.StatusCode)
	case resp.StatusCode != http.StatusOK:
		return nil, OutcomeHTTPStatus, fmt.Errorf("HTTP %d", resp.StatusCode)
	case !plain(resp.Header["Content-Encoding"]):
		return nil, OutcomeMalformed, errors.New("compressed, though not asked to be")
	}
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxReplyBytes+1))
	if len(body) > maxReplyBytes {
		return nil, OutcomeTooLarge, errors.New("reply too large")
	}
	if err != nil {
		outcome, err = broken(ctx, err)
		return nil, outcome, err
	}
	return body, "", nil
}

func plain(encodings []string) bool {
	return len(encodings) == 0 || (len(encodings) == 1 && encodings[0] == "identity")
}

// broken judges a call that failed below HTTP. It keeps the words of the
// network only: those of package http repeat what the other side sent, and
// that may be the key.
func broken(ctx context.Context, err error) (outcome string, reason error) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return OutcomeCanceled, context.Canceled
	}
	// A dialer knows the context's deadline, and may be there first.
	var network net.Error
	if ctx.Err() != nil || (errors.As(err, &network) && network.Timeout()) {
		return OutcomeTimeout, context.DeadlineExceeded
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return OutcomeRefused, op
	}
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) {
		return OutcomeRefused, errors.New("certificate cannot be verified")
	}
	return OutcomeRefused, errors.New("connection broke")
}

// secrets are what must not be repeated after a call that was signed by key.
func (c *Client) secrets(key string) []string {
	return append([]string{key}, c.tokens...)
}

func unanswered(err error) error {
	return fmt.Errorf("%w: %w", ErrNoAnswer, err)
}
