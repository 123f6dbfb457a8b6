package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddy-checkout/checkout/internal/gateway"
	"github.com/caddy-checkout/checkout/sign"
)

// Config of a sandbox gateway. UID and Token are required.
type Config struct {
	UID, Token          string
	SignPay, SignStatus sign.Fields      // nil: sign.Pay, sign.Status
	NotifyRetries       int              // further tries after the first; zero: 3; negative: none
	NotifyInterval      time.Duration    // between tries; zero: 1m
	NotifyTimeout       time.Duration    // of one try as a whole; zero: 10s
	ReturnDelay         time.Duration    // from payment to return, in whole seconds as browsers count; zero: 2s
	PayTimeout          time.Duration    // zero: 5m; then the order is status 1
	StatusInterval      time.Duration    // zero: 1m
	BalanceInterval     time.Duration    // zero: 3m
	MaxOrders           int              // kept in memory; zero: 10000
	MaxMessages         int              // kept in memory; zero: 2000
	Client              *http.Client     // sends notifies, redirects never followed; nil: one of its own
	Now                 func() time.Time // nil: time.Now
	Log                 *slog.Logger     // nil: none
}

func (c *Config) setDefaults() error {
	if c.UID == "" {
		return errors.New("sandbox: uid is empty")
	}
	if c.Token == "" {
		return errors.New("sandbox: token is empty")
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		zero  time.Duration
	}{
		{"notify interval", &c.NotifyInterval, time.Minute},
		{"notify timeout", &c.NotifyTimeout, 10 * time.Second},
		{"return delay", &c.ReturnDelay, 2 * time.Second},
		{"pay timeout", &c.PayTimeout, 5 * time.Minute},
		{"status interval", &c.StatusInterval, gateway.StatusInterval},
		{"balance interval", &c.BalanceInterval, gateway.BalanceInterval},
	} {
		if *d.value < 0 {
			return fmt.Errorf("sandbox: %s is negative: %s", d.name, *d.value)
		}
		if *d.value == 0 {
			*d.value = d.zero
		}
	}
	if c.MaxOrders < 0 || c.MaxMessages < 0 {
		return errors.New("sandbox: a bound on memory is negative")
	}
	if c.MaxOrders == 0 {
		c.MaxOrders = 10_000
	}
	if c.MaxMessages == 0 {
		c.MaxMessages = 2_000
	}
	if c.NotifyRetries == 0 {
		c.NotifyRetries = 3
	}
	if c.SignPay == nil {
		c.SignPay = sign.Pay
	}
	if c.SignStatus == nil {
		c.SignStatus = sign.Status
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Gateway is an http.Handler that plays the payment gateway.
type Gateway struct {
	c       Config
	handler http.Handler
	client  *http.Client
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	notices sync.WaitGroup // the goroutines of deliver

	mu           sync.Mutex
	closed       bool
	sending      int // running deliveries
	book         book
	log          journal
	earned       int64 // fen, all payments ever made
	balanceAsked time.Time
	faults       faults
}

// New starts a sandbox; Close ends its timers and notifies.
func New(c Config) (*Gateway, error) {
	if err := c.setDefaults(); err != nil {
		return nil, err
	}
	for _, list := range []struct {
		name       string
		got, known sign.Fields
	}{{"pay", c.SignPay, sign.Pay}, {"status", c.SignStatus, sign.Status}} {
		if field, ok := firstUnknown(list.got, list.known); ok {
			return nil, fmt.Errorf("sandbox: %q is no field of the %s message", field, list.name)
		}
	}

	g := &Gateway{
		c:      c,
		client: notifyClient(c),
		book:   book{max: c.MaxOrders, byID: make(map[string]*entry)},
		log:    journal{max: c.MaxMessages, changed: make(chan struct{})},
	}
	g.ctx, g.cancel = context.WithCancel(context.Background())

	mux := http.NewServeMux()
	mux.HandleFunc("POST /pay.action", g.servePay)
	mux.HandleFunc("GET /requstOrderStatus.action", g.serveStatus)
	mux.HandleFunc("GET /requstBalance.action", g.serveBalance)
	mux.HandleFunc("GET /cashier", g.serveCashier)
	mux.HandleFunc("POST /cashier", g.serveCashierButton)
	mux.HandleFunc("GET /return", g.serveReturn)
	mux.HandleFunc("GET /{$}", g.serveInspector)
	mux.HandleFunc("GET /inspector", g.serveInspector)
	mux.HandleFunc("GET "+elsewherePath, g.serveElsewhere)
	mux.HandleFunc("POST /sandbox/{command}", g.serveCommand)
	mux.HandleFunc("GET /sandbox/messages", g.serveMessages)
	mux.HandleFunc("GET /sandbox/orders", g.serveOrders)

	// The pay form comes from the shop's site; everything else from here.
	guard := http.NewCrossOriginProtection()
	guard.AddInsecureBypassPattern("POST /pay.action")
	g.handler = guard.Handler(mux)
	return g, nil
}

func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.handler.ServeHTTP(w, r)
}

// Close stops what is under way: notifies end unanswered, requests that wait
// are answered, and no goroutine is left. A second Close does nothing.
func (g *Gateway) Close() error {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()

	g.cancel()
	g.notices.Wait()
	if g.c.Client == nil {
		g.client.CloseIdleConnections()
	}
	return nil
}

// mask hides the token wherever a merchant has sent it by mistake.
func (g *Gateway) mask(s string) string {
	return strings.ReplaceAll(s, g.c.Token, "********")
}

func firstUnknown(got, known sign.Fields) (string, bool) {
	for _, field := range got {
		if !slices.Contains(known, field) {
			return field, true
		}
	}
	return "", false
}

var _ http.Handler = (*Gateway)(nil)
