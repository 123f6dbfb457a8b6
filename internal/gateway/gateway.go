// Package gateway speaks the payment gateway's wire protocol.
package gateway

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/caddy-checkout/checkout/sign"
)

// DefaultBase is the gateway's address when none is configured.
const DefaultBase = "https://sun.jings.wang"

// The limits on asking (protocol sections 4 and 5).
const (
	StatusInterval  = time.Minute
	BalanceInterval = 3 * time.Minute
)

// The values of a status reply (protocol section 4).
const (
	StatusError   = "-2"
	StatusWaiting = "-1"
	StatusPaid    = "0"
	StatusTimeout = "1"
)

var (
	// ErrMalformed: a notify that is not what the protocol says.
	ErrMalformed = errors.New("malformed notify")
	// ErrTooLarge: a notify body over MaxNotifyBytes.
	ErrTooLarge = errors.New("notify too large")
	// ErrNoAnswer is wrapped by every error of Status and Balance: refused,
	// timed out, redirected, not HTTP 200, too large or not a strict reply.
	ErrNoAnswer = errors.New("no usable answer from the gateway")
)

// MaxNotifyBytes bounds the body of a notify.
const MaxNotifyBytes = 16 << 10

// Config is what a Client needs. Base, UID and Tokens are required.
type Config struct {
	Base       string // http(s)://host[:port][/prefix], without a slash at the end
	UID        string
	Tokens     []string                                       // the first signs, all verify
	SignPay    sign.Fields                                    // nil: sign.Pay
	SignStatus sign.Fields                                    // nil: sign.Status
	Timeout    time.Duration                                  // of one call as a whole; zero: 10 s
	Transport  http.RoundTripper                              // nil: one with verified TLS, no proxy surprises, bounded idle connections
	Observe    func(call, outcome string, took time.Duration) // may be nil; call: "status", "balance"; outcome: "ok", "refused", "timeout", "redirect", "http_status", "malformed", "too_large"
}

// Client speaks for one merchant.
type Client struct{ c Config }

// New makes a Client. It reports a Config that cannot work.
func New(c Config) (*Client, error) { panic("unwritten") }

// Field is a named value of a form, in the order of the protocol's table.
type Field struct{ Name, Value string }

// PayForm is the form that the buyer's browser posts (protocol section 1).
type PayForm struct {
	Action string  // <base>/pay.action
	Fields []Field // the nine fields and key
}

// PayRequest is what a pay form says besides uid, paytype and key.
type PayRequest struct {
	OrderID, OrderName, PayMoney, OrderUID, NotifyURL, ReturnURL, OrderInfo string
}

// PayForm signs p. It refuses a value over its limit in bytes or that cannot be signed.
func (c *Client) PayForm(p PayRequest) (*PayForm, error) { panic("unwritten") }

// Title makes text fit for ordername or orderinfo: what cannot be signed is replaced ('&' by
// '＆') or dropped, and the rest cut at limit bytes on a character boundary.
func Title(text string, limit int) string { panic("unwritten") }

// Notify is the gateway's message that an order was paid (protocol section 2).
type Notify struct {
	PayID, OrderID, OrderUID, PayMoney, RealPay, Key string
}

// ParseNotify reads a notify from a request: POST body only, form content
// type, at most MaxNotifyBytes, every field exactly once, valid UTF-8. It does not verify the key.
// Unknown further fields are ignored. Errors wrap ErrMalformed or ErrTooLarge.
func ParseNotify(r *http.Request) (Notify, error) { panic("unwritten") }

// VerifyNotify checks the key. Errors are those of package sign.
func (c *Client) VerifyNotify(n Notify) error { panic("unwritten") }

// StatusReply is the gateway's strict answer about an order (protocol section 4).
type StatusReply struct {
	Msg, OrderID, PayID, PayMoney, RealPay, Status string
}

// Status asks about an order. The caller keeps StatusInterval.
func (c *Client) Status(ctx context.Context, orderid string) (StatusReply, error) { panic("unwritten") }

// Balance asks for the merchant's balance in yuan at the time now. The caller
// keeps BalanceInterval.
func (c *Client) Balance(ctx context.Context, now time.Time) (string, error) { panic("unwritten") }
