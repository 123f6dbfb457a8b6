// Package gateway speaks the payment gateway's wire protocol: the pay form
// that the buyer's browser posts, the notify that the gateway posts, and the
// questions about an order and about the balance. It keeps nothing, and trusts
// nothing that comes over the wire.
package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddy-checkout/checkout/sign"
)

// DefaultBase is the gateway's address when none is configured.
const DefaultBase = "https://sun.jings.wang"

// MinTokenBytes is the length of the shortest token that is taken for a secret.
const MinTokenBytes = 16

// defaultTimeout bounds one call when Config.Timeout is zero.
const defaultTimeout = 10 * time.Second

// Config is what a Client needs. Base, UID and Tokens are required.
type Config struct {
	Base       string                                         // http(s)://host[:port][/prefix], without a slash at the end
	UID        string                                         // the merchant's id at the gateway
	Tokens     []string                                       // the first signs, all verify; each at least MinTokenBytes
	SignPay    sign.Fields                                    // nil: sign.Pay
	SignStatus sign.Fields                                    // nil: sign.Status
	Timeout    time.Duration                                  // of one call as a whole; zero: 10 s
	Transport  http.RoundTripper                              // nil: verified TLS 1.2 or later, no proxy, one connection a call
	Observe    func(call, outcome string, took time.Duration) // may be nil; hears every call that went out: "status" or "balance", and one of the outcomes
}

// Client speaks for one merchant. It is safe for concurrent use.
type Client struct {
	base      string
	action    string // of the pay form
	uid       string
	tokens    []string
	pay       sign.Fields
	status    sign.Fields
	timeout   time.Duration
	transport http.RoundTripper
	observe   func(call, outcome string, took time.Duration)
}

// New makes a Client. It reports a Config that cannot work, without the tokens.
func New(c Config) (*Client, error) {
	if err := checkBase(c.Base); err != nil {
		return nil, err
	}
	if c.UID == "" {
		return nil, errors.New("uid is empty")
	}
	if err := (sign.Fields{"uid"}).Check(c.UID); err != nil {
		return nil, err
	}
	if err := checkTokens(c.Tokens); err != nil {
		return nil, err
	}
	if c.SignPay == nil {
		c.SignPay = sign.Pay
	}
	if err := CheckSignPay(c.SignPay); err != nil {
		return nil, fmt.Errorf("signed fields of pay: %w", err)
	}
	if c.SignStatus == nil {
		c.SignStatus = sign.Status
	}
	if err := CheckSignStatus(c.SignStatus); err != nil {
		return nil, fmt.Errorf("signed fields of status: %w", err)
	}
	if c.Timeout < 0 {
		return nil, fmt.Errorf("timeout %s is negative", c.Timeout)
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Transport == nil {
		c.Transport = newTransport()
	}
	if c.Observe == nil {
		c.Observe = func(string, string, time.Duration) {}
	}
	return &Client{
		base:      c.Base,
		action:    c.Base + "/pay.action",
		uid:       c.UID,
		tokens:    slices.Clone(c.Tokens),
		pay:       slices.Clone(c.SignPay),
		status:    slices.Clone(c.SignStatus),
		timeout:   c.Timeout,
		transport: c.Transport,
		observe:   c.Observe,
	}, nil
}

func checkBase(base string) error {
	u, err := url.Parse(base)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return fmt.Errorf("gateway address %q must be http(s)://host[:port][/prefix]", base)
	}
	if u.User != nil {
		return fmt.Errorf("gateway address of %s must not hold a user name or password", u.Host)
	}
	if strings.ContainsAny(base, "?#") {
		return fmt.Errorf("gateway address %q must not hold a query or fragment", base)
	}
	if strings.HasSuffix(base, "/") {
		return fmt.Errorf("gateway address %q must not end in a slash", base)
	}
	return nil
}

func checkTokens(tokens []string) error {
	if len(tokens) == 0 {
		return errors.New("no token")
	}
	for i, token := range tokens {
		if len(token) < MinTokenBytes {
			return fmt.Errorf("token %d has %d bytes; a secret has at least %d", i+1, len(token), MinTokenBytes)
		}
		for _, r := range token {
			if r != '&' && !sign.Signable(r) {
				return fmt.Errorf("token %d holds a control character", i+1)
			}
		}
	}
	return nil
}

// CheckSignPay refuses a list of signed fields of the pay request that has a
// field twice, one that the message does not have, or not uid, orderid and
// paymoney.
func CheckSignPay(fields sign.Fields) error {
	return checkFields(fields, sign.Pay, "uid", "orderid", "paymoney")
}

// CheckSignStatus is CheckSignPay for the status query, which needs orderid.
func CheckSignStatus(fields sign.Fields) error {
	return checkFields(fields, sign.Status, "orderid")
}

// checkFields holds an overriding list of signed fields to the message's own.
func checkFields(fields, known sign.Fields, required ...string) error {
	for i, name := range fields {
		if !slices.Contains(known, name) {
			return fmt.Errorf("%q is not a field of this message; use %s", name, strings.Join(known, ", "))
		}
		if slices.Contains(fields[:i], name) {
			return fmt.Errorf("field %q is there twice", name)
		}
	}
	for _, name := range required {
		if !slices.Contains(fields, name) {
			return fmt.Errorf("field %q is missing", name)
		}
	}
	return nil
}
