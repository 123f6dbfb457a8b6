package checkout

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-checkout/checkout/handlers"
	"github.com/caddy-checkout/checkout/internal/catalog"
	"github.com/caddy-checkout/checkout/internal/gateway"
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/payment"
	"github.com/caddy-checkout/checkout/internal/store"
	"github.com/caddy-checkout/checkout/internal/webhook"
)

// shop is one shop of a configuration. Checkout blocks that say the same of
// it share it.
type shop struct {
	id      string
	config  *Handler // resolved
	payment payment.Config
	targets []webhook.Target
	routes  http.Handler
	log     *slog.Logger
	app     *App
	metrics *metrics

	service atomic.Pointer[payment.Service] // nil until the store is ready
}

// register makes the shop of a resolved configuration, or returns the one that
// another block has made of the same. Two shops at one address, or one that
// two blocks describe differently, cannot be told apart by a notify.
func (a *App) register(c *Handler, log *slog.Logger) (*shop, error) {
	address := c.Origin + c.Path
	a.mu.Lock()
	defer a.mu.Unlock()
	if s, ok := a.shops[address]; ok {
		if setting := s.config.differs(c); setting != "" {
			return nil, fmt.Errorf("two checkout blocks differ in %q; blocks with one origin and path are one shop and must say the same, so give one of them another origin or path", setting)
		}
		return s, nil
	}
	s, err := a.newShop(c, log)
	if err != nil {
		return nil, err
	}
	a.shops[address] = s
	if st := a.store.get(); st != nil {
		s.open(st) // for requests that come before Start
	}
	return s, nil
}

func (a *App) newShop(c *Handler, log *slog.Logger) (*shop, error) {
	s := &shop{
		id:      payment.ShopID(c.UID, c.Origin, c.Path, c.Gateway),
		config:  c,
		app:     a,
		metrics: a.metrics,
	}
	s.log = log.With("shop", s.id)
	a.metrics.expect(s.id)

	client, err := gateway.New(c.gatewayConfig(s.observeGateway))
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	inline, err := c.inline()
	if err != nil {
		return nil, err
	}
	products, err := catalog.Open(catalog.Config{Inline: inline, File: c.Catalog, OnReload: s.catalogRead})
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	if len(products.All()) == 0 {
		s.log.Warn("nothing is for sale: the catalog is empty", "catalog", c.Catalog)
	}
	if s.targets, err = c.webhookTargets(s.id); err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	if c.Mail != nil {
		mail, err := c.mailTargets(s.id)
		if err != nil {
			return nil, err
		}
		s.targets = append(s.targets, mail...)
	}
	s.payment = payment.Config{
		UID:              c.UID,
		Gateway:          client,
		GatewayBase:      c.Gateway,
		Origin:           c.Origin,
		Path:             c.Path,
		Catalog:          products,
		Expire:           time.Duration(c.Expire),
		Limits:           store.PendingLimits{PerClient: c.Limits.PendingPerClient, Total: c.Limits.PendingTotal},
		QueriesPerSecond: c.Limits.GatewayRate,
		MailMerchant:     c.Mail != nil,
		MailBuyer:        c.Mail != nil && c.Mail.receipt(c.Fields),
		Test:             c.Test,
		Observer:         &observer{s},
	}
	for _, f := range c.Fields {
		s.payment.Fields = append(s.payment.Fields, payment.BuyerField{Name: f.Name, Required: f.Required})
	}
	for _, w := range c.Webhooks {
		s.payment.Webhooks = append(s.payment.Webhooks, w.URL)
	}
	if s.routes, err = handlers.New(s.handlersConfig()); err != nil {
		return nil, err
	}
	if strings.HasPrefix(c.Gateway, "http://") && !c.Test {
		s.log.Warn("the gateway is reached by plain http: anyone on the network can forge its answers", "gateway", c.Gateway)
	}
	return s, nil
}

func (h *Handler) gatewayConfig(observe func(call, outcome string, took time.Duration)) gateway.Config {
	c := gateway.Config{
		Base:    h.Gateway,
		UID:     h.UID,
		Tokens:  append([]string{h.Token}, h.PreviousTokens...),
		Observe: observe,
	}
	if h.SignFields != nil {
		c.SignPay, c.SignStatus = h.SignFields.Pay, h.SignFields.Status
	}
	return c
}

// webhookTargets returns where the shop's events may go. A URL with several
// secrets is one target that all of them sign, so that a receiver can change over.
func (h *Handler) webhookTargets(shopID string) ([]webhook.Target, error) {
	var urls []string
	secrets := make(map[string][]string)
	for _, w := range h.allWebhooks() {
		if secrets[w.URL] == nil {
			urls = append(urls, w.URL)
		}
		secrets[w.URL] = append(secrets[w.URL], w.Secret)
	}
	var targets []webhook.Target
	for _, u := range urls {
		sender, err := webhook.NewWebhook(webhook.WebhookConfig{URL: u, Secrets: secrets[u]})
		if err != nil {
			return nil, err
		}
		targets = append(targets, webhook.Target{Shop: shopID, Name: sender.Target(), Sender: sender})
	}
	return targets, nil
}

func (s *shop) handlersConfig() handlers.Config {
	c := s.config
	hc := handlers.Config{
		Service:       s.service.Load,
		Origin:        c.Origin,
		Path:          c.Path,
		Fields:        s.payment.Fields,
		GatewayOrigin: originOf(c.Gateway),
		Success:       c.Success,
		AllowOrigins:  c.AllowOrigins,
		Client:        clientOf,
		Test:          c.Test,
		Waits:         handlers.NewWaits(c.Limits.WaitsPerClient, c.Limits.WaitsTotal),
		Log:           s.log,
		Seen:          seen,
	}
	if c.OrderUID != "" {
		hc.OrderUID = func(r *http.Request) string {
			repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
			if !ok {
				return ""
			}
			return repl.ReplaceAll(c.OrderUID, "")
		}
	}
	if c.Limits.CheckoutsPerClient > 0 && c.Limits.CheckoutsWindow > 0 {
		hc.CheckoutRate = newRateLimit(c.Limits.CheckoutsPerClient, time.Duration(c.Limits.CheckoutsWindow)).allow
	}
	return hc
}

// originOf cuts a base URL down to scheme and host.
func originOf(base string) string {
	scheme, rest, _ := strings.Cut(base, "://")
	host, _, _ := strings.Cut(rest, "/")
	return scheme + "://" + host
}

// open lets the shop serve from st, if it does not already.
func (s *shop) open(st store.Store) *payment.Service {
	if s.service.Load() == nil {
		s.service.Store(payment.New(s.payment, st))
	}
	return s.service.Load()
}

// serve answers a request for what comes after the shop's path.
func (s *shop) serve(w http.ResponseWriter, r *http.Request, rest string) {
	s.app.requests.begin()
	defer s.app.requests.end()
	start := time.Now()
	route := routeOf(r.Method, rest)
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Map(s.placeholders(r, repl, route, rest))
	}
	if s.service.Load() == nil {
		s.awaitStore(r.Context())
	}
	sw := &statusWriter{ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: w}, status: http.StatusOK}
	s.routes.ServeHTTP(sw, r)
	s.metrics.requests.WithLabelValues(s.id, route, strconv.Itoa(sw.status)).Observe(time.Since(start).Seconds())
}

// awaitStore gives the store a moment to open: Caddy's servers may be there
// before the app has started, and a notify that is refused costs a minute.
func (s *shop) awaitStore(ctx context.Context) {
	timer := time.NewTimer(firstAttempt)
	defer timer.Stop()
	select {
	case <-s.app.tried:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// placeholders are those that the doc of Handler lists.
func (s *shop) placeholders(r *http.Request, repl *caddy.Replacer, route, rest string) caddy.ReplacerFunc {
	return func(key string) (any, bool) {
		switch key {
		case "http.checkout.shop":
			return s.id, true
		case "http.checkout.route":
			return route, true
		case placeholderState:
			if state := caddyhttp.GetVar(r.Context(), placeholderState); state != nil {
				return state, true
			}
			return s.notified(r, repl, route), true
		case placeholderOrderID:
			if id := caddyhttp.GetVar(r.Context(), placeholderOrderID); id != nil {
				return id, true
			}
			id := strings.TrimPrefix(rest, "/return/")
			if route == "status" {
				id = r.URL.Query().Get("orderid")
			}
			if !order.ValidID(id) {
				return "", true
			}
			return id, true
		}
		return nil, false
	}
}

// Placeholders, and variables that a request gets when its order is known.
const (
	placeholderOrderID = "http.checkout.order_id"
	placeholderState   = "http.checkout.state"
)

// seen is [handlers.Config].Seen.
func seen(r *http.Request, id string, o *order.Order) {
	if !order.ValidID(id) {
		return
	}
	caddyhttp.SetVar(r.Context(), placeholderOrderID, id)
	if o != nil {
		caddyhttp.SetVar(r.Context(), placeholderState, o.State.String())
	}
}

// notified returns the state of the order that a notify is about. It is read
// only for who wants to know: the gateway must not wait for it.
func (s *shop) notified(r *http.Request, repl *caddy.Replacer, route string) string {
	service := s.service.Load()
	id, _ := repl.GetString(placeholderOrderID)
	if route != "notify" || service == nil {
		return ""
	}
	o, err := service.Order(r.Context(), id)
	if err != nil {
		return ""
	}
	return o.State.String()
}

// routeOf names the route, as metrics and placeholders do.
func routeOf(method, rest string) string {
	switch {
	case rest == "" && method == http.MethodPost:
		return "checkout"
	case rest == "" && (method == http.MethodGet || method == http.MethodHead):
		return "review"
	case rest == "/notify":
		return "notify"
	case rest == "/status":
		return "status"
	case strings.HasPrefix(rest, "/return/"):
		return "return"
	}
	return "other"
}

// statusWriter remembers the status that was answered.
type statusWriter struct {
	*caddyhttp.ResponseWriterWrapper
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if status >= http.StatusOK {
		w.status = status
	}
	w.ResponseWriterWrapper.WriteHeader(status)
}
