package checkout

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-checkout/checkout/internal/sandbox"
)

func init() {
	caddy.RegisterModule(Sandbox{})
	httpcaddyfile.RegisterHandlerDirective("checkout_sandbox", parseSandbox)
	httpcaddyfile.RegisterDirectiveOrder("checkout_sandbox", httpcaddyfile.After, "encode")
}

// Sandbox plays the payment gateway, for tests and first steps: it takes no
// real money. Give it a site of its own that only you can reach, and point a
// shop's gateway at it. Its front page lists every message that it received
// and sent. What it knows is kept in memory, and across reloads that leave its
// settings as they are.
//
// uid and token may hold the placeholders {env.*} and {file.*}.
type Sandbox struct {
	// The merchant's id that it accepts. Required.
	UID string `json:"uid"`

	// The merchant's token, at least 16 bytes. Required.
	Token string `json:"token"`

	// How often an unanswered notify is sent again. Negative: never.
	// Default: 3.
	NotifyRetries int `json:"notify_retries,omitempty"`

	// The time between these. Default: 1m.
	NotifyInterval caddy.Duration `json:"notify_interval,omitempty"`

	// The time from payment until the browser is sent back, in whole
	// seconds. Default: 2s.
	ReturnDelay caddy.Duration `json:"return_delay,omitempty"`

	// How long an order may be paid; then its status is 1. Default: 5m.
	PayTimeout caddy.Duration `json:"pay_timeout,omitempty"`

	// The least time between two queries about one order. Default: 1m.
	StatusInterval caddy.Duration `json:"status_interval,omitempty"`

	// The least time between two queries for the balance. Default: 3m.
	BalanceInterval caddy.Duration `json:"balance_interval,omitempty"`

	gateway *sandboxGateway
	key     any // that it was acquired with, nil before
}

// sandboxes holds the running sandboxes, so that a reload keeps their orders.
var sandboxes = caddy.NewUsagePool()

type sandboxGateway struct{ *sandbox.Gateway }

// sandboxKey is what makes two sandboxes one.
type sandboxKey struct {
	uid, token                                                               string
	notifyRetries                                                            int
	notifyInterval, returnDelay, payTimeout, statusInterval, balanceInterval caddy.Duration
}

// Destruct ends the sandbox.
func (g *sandboxGateway) Destruct() error { return g.Close() }

// CaddyModule returns the Caddy module information.
func (Sandbox) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.checkout_sandbox",
		New: func() caddy.Module { return new(Sandbox) },
	}
}

// Provision checks the configuration and takes up the sandbox.
func (s *Sandbox) Provision(ctx caddy.Context) error {
	repl := caddy.NewReplacer()
	uid, err := resolve(repl, s.UID)
	if err != nil {
		return named("uid", err)
	}
	token, err := resolve(repl, s.Token)
	if err != nil {
		return named("token", err)
	}
	if err := checkUID(uid); err != nil {
		return named("uid", err)
	}
	if err := checkToken(token); err != nil {
		return named("token", err)
	}
	key := sandboxKey{
		uid, token, s.NotifyRetries,
		s.NotifyInterval, s.ReturnDelay, s.PayTimeout, s.StatusInterval, s.BalanceInterval,
	}
	g, _, err := sandboxes.LoadOrNew(key, func() (caddy.Destructor, error) {
		g, err := sandbox.New(sandbox.Config{
			UID:             uid,
			Token:           token,
			NotifyRetries:   s.NotifyRetries,
			NotifyInterval:  time.Duration(s.NotifyInterval),
			ReturnDelay:     time.Duration(s.ReturnDelay),
			PayTimeout:      time.Duration(s.PayTimeout),
			StatusInterval:  time.Duration(s.StatusInterval),
			BalanceInterval: time.Duration(s.BalanceInterval),
			Log:             ctx.Slogger(),
		})
		return &sandboxGateway{g}, err
	})
	if err != nil {
		return err
	}
	s.gateway, s.key = g.(*sandboxGateway), key
	return nil
}

// Cleanup lets the sandbox go.
func (s *Sandbox) Cleanup() error {
	if s.key == nil {
		return nil
	}
	_, err := sandboxes.Delete(s.key)
	s.key = nil
	return err
}

// ServeHTTP answers every request as the gateway would.
func (s *Sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	s.gateway.ServeHTTP(w, r)
	return nil
}

func parseSandbox(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	s := new(Sandbox)
	return s, s.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile sets up the sandbox from Caddyfile tokens. Syntax:
//
//	checkout_sandbox [<matcher>] {
//	    uid              <uid>
//	    token            <token>
//	    notify_retries   <n>|off
//	    notify_interval  <duration>
//	    return_delay     <duration>
//	    pay_timeout      <duration>
//	    status_interval  <duration>
//	    balance_interval <duration>
//	}
func (s *Sandbox) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	block := d.Token()
	if d.NextArg() {
		return d.Errf("unexpected %q; open a block with { and write the settings in it", d.Val())
	}
	durations := map[string]*caddy.Duration{
		"notify_interval":  &s.NotifyInterval,
		"return_delay":     &s.ReturnDelay,
		"pay_timeout":      &s.PayTimeout,
		"status_interval":  &s.StatusInterval,
		"balance_interval": &s.BalanceInterval,
	}
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		if seen[name] {
			return d.Errf("%s is set twice", name)
		}
		seen[name] = true
		var err error
		switch name {
		case "uid":
			err = word(d, &s.UID, "the merchant's id", checkUID)
		case "token":
			err = s.unmarshalToken(d)
		case "notify_retries":
			err = limit(d, &s.NotifyRetries)
		default:
			to, ok := durations[name]
			if !ok {
				return d.Errf("unrecognized subdirective %q; use uid, token, notify_retries, %s", name, strings.Join(sandboxDurations, ", "))
			}
			err = duration(d, to, "1m", checkPositive)
		}
		if err != nil {
			return err
		}
	}
	for _, required := range []string{"uid", "token"} {
		if !seen[required] {
			return at(block).Errf("checkout_sandbox needs %s, the same as the shop's", required)
		}
	}
	return nil
}

func (s *Sandbox) unmarshalToken(d *caddyfile.Dispenser) error {
	if !d.AllArgs(&s.Token) {
		return d.Errf("token needs one token, the same as the shop's")
	}
	if hasPlaceholder(s.Token) {
		return nil
	}
	if err := checkToken(s.Token); err != nil {
		return d.WrapErr(named("token", err))
	}
	return nil
}

var sandboxDurations = []string{"notify_interval", "return_delay", "pay_timeout", "status_interval", "balance_interval"}

func checkPositive(d time.Duration) error {
	if d <= 0 {
		return fmt.Errorf("%s must be more than nothing", d)
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Sandbox)(nil)
	_ caddy.CleanerUpper          = (*Sandbox)(nil)
	_ caddyhttp.MiddlewareHandler = (*Sandbox)(nil)
	_ caddyfile.Unmarshaler       = (*Sandbox)(nil)
)
