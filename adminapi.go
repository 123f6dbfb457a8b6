package checkout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-checkout/checkout/internal/gateway"
	"github.com/caddy-checkout/checkout/internal/merchant"
	"github.com/caddy-checkout/checkout/internal/payment"
	"github.com/caddy-checkout/checkout/internal/store"
)

func init() {
	caddy.RegisterModule(adminAPI{})
}

// adminAPI serves the merchant on Caddy's admin endpoint, below /checkout/.
//
// Answers are JSON; errors are {"error":"…"}. Times in queries are RFC 3339,
// or days like 2026-03-01 in the server's time zone, which is also that of
// summaries and of the CSV. A parameter or a field that is not known is
// refused. POST bodies are JSON of at most 4 KiB.
//
//	GET  /checkout/orders                     shop state… from to sku text todo cursor limit → merchant.OrderPage
//	GET  /checkout/orders/{id}                → merchant.Detail
//	POST /checkout/orders/{id}/refresh        → merchant.Refreshed
//	POST /checkout/orders/{id}/confirm        merchant.Decision → order.Order
//	POST /checkout/orders/{id}/shipped        merchant.Decision → order.Order
//	POST /checkout/orders/{id}/refunded       merchant.Decision → order.Order
//	GET  /checkout/orders.csv                 shop state… from to sku text todo → CSV, one row for each line of an order
//	GET  /checkout/balance                    → merchant.BalanceList
//	GET  /checkout/summary                    shop from to → merchant.Summary
//	GET  /checkout/deliveries                 shop state cursor limit → merchant.DeliveryPage
//	POST /checkout/deliveries/{id}/redeliver  → merchant.Done
//	GET  /checkout/orphans                    shop cursor limit → merchant.OrphanPage
//	GET  /checkout/feed                       shop → JSON lines, each a merchant.Notice, until the client or the configuration goes
//	POST /checkout/backup                     merchant.BackupFile → merchant.Done
//
// The endpoint knows no users, so decisions say who made them.
type adminAPI struct{}

// CaddyModule returns the Caddy module information.
func (adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.checkout",
		New: func() caddy.Module { return new(adminAPI) },
	}
}

const adminBase = "/checkout/"

// adminRoute is what one route of the API does, and by which method.
type adminRoute struct {
	method, pattern string
	params          []string
	serve           func(d *adminDesk, w http.ResponseWriter, r *http.Request) error
}

var orderParams = slices.Concat(merchant.FilterParams, merchant.PageParams)

var adminRoutes = []adminRoute{
	{http.MethodGet, "orders", orderParams, (*adminDesk).orders},
	{http.MethodGet, "orders.csv", merchant.FilterParams, (*adminDesk).csv},
	{http.MethodGet, "orders/{id}", nil, (*adminDesk).order},
	{http.MethodPost, "orders/{id}/refresh", nil, (*adminDesk).refresh},
	{http.MethodPost, "orders/{id}/confirm", nil, decide(merchant.Confirm)},
	{http.MethodPost, "orders/{id}/shipped", nil, decide(merchant.Ship)},
	{http.MethodPost, "orders/{id}/refunded", nil, decide(merchant.Refund)},
	{http.MethodGet, "balance", nil, (*adminDesk).balance},
	{http.MethodGet, "summary", []string{"shop", "from", "to"}, (*adminDesk).summary},
	{http.MethodGet, "deliveries", append([]string{"shop", "state"}, merchant.PageParams...), (*adminDesk).deliveries},
	{http.MethodPost, "deliveries/{id}/redeliver", nil, (*adminDesk).redeliver},
	{http.MethodGet, "orphans", append([]string{"shop"}, merchant.PageParams...), (*adminDesk).orphans},
	{http.MethodGet, "feed", []string{"shop"}, (*adminDesk).feed},
	{http.MethodPost, "backup", nil, (*adminDesk).backup},
}

// Routes returns the admin routes.
func (adminAPI) Routes() []caddy.AdminRoute {
	routes := []caddy.AdminRoute{{
		Pattern: adminBase,
		Handler: caddy.AdminHandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
			return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: fmt.Errorf("resource not found: %s", r.URL.Path)}
		}),
	}}
	for _, route := range adminRoutes {
		routes = append(routes, caddy.AdminRoute{Pattern: adminBase + route.pattern, Handler: route})
	}
	return routes
}

// ServeHTTP checks the request and serves it from the live app.
func (route adminRoute) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	if r.Method != route.method {
		w.Header().Set("Allow", route.method)
		return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: fmt.Errorf("method not allowed: %s; use %s", r.Method, route.method)}
	}
	return apiError(w, route.answer(w, r))
}

func (route adminRoute) answer(w http.ResponseWriter, r *http.Request) error {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fmt.Errorf("%w: %w", merchant.ErrQuery, err)
	}
	if err := merchant.CheckParams(q, route.params...); err != nil {
		return err
	}
	app, err := liveApp()
	if err != nil {
		return err
	}
	desk, err := app.desk()
	if err != nil {
		return err
	}
	app.requests.begin()
	defer app.requests.end()
	w.Header().Set("Cache-Control", "no-store")
	return route.serve(&adminDesk{Desk: desk, app: app.ctx, query: q}, w, r)
}

// liveApp returns the App that runs now. Routes outlive the configuration that
// they were made for, also when a reload fails, so it is looked up every time.
func liveApp() (*App, error) {
	mod, err := caddy.ActiveContext().AppIfConfigured("checkout")
	if err != nil {
		return nil, fmt.Errorf("%w: the running configuration has no checkout", errNotReady)
	}
	return mod.(*App), nil
}

// errNotReady: there is nothing to serve from, or not yet.
var errNotReady = errors.New("checkout is not ready")

// desk returns the merchant's desk over what is open now, or an error that
// wraps errNotReady.
func (a *App) desk() (*merchant.Desk, error) {
	st := a.store.get()
	if st == nil {
		return nil, fmt.Errorf("%w: the store is not open; the log says why", errNotReady)
	}
	d := &merchant.Desk{Store: st, Shops: make(map[string]*payment.Service), Wake: a.resumeDispatcher}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.shops {
		if service := s.service.Load(); service != nil {
			d.Shops[s.id] = service
		}
	}
	return d, nil
}

// resumeDispatcher makes it look at the outbox at once, for targets that were
// gone as well: a person asks for it.
func (a *App) resumeDispatcher() {
	if d := a.dispatcher.Load(); d != nil {
		d.Resume()
	}
}

// apiError tells Caddy which status an error has.
func apiError(w http.ResponseWriter, err error) error {
	if err == nil {
		return nil
	}
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, errNotReady), errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "5")
	case errors.Is(err, store.ErrNotFound):
		status = http.StatusNotFound
	case errors.Is(err, merchant.ErrQuery), errors.Is(err, merchant.ErrWho), errors.Is(err, payment.ErrNoReason), errors.Is(err, errBody):
		status = http.StatusBadRequest
	case errors.Is(err, payment.ErrNotThat), errors.Is(err, merchant.ErrNoShop), errors.Is(err, fs.ErrExist):
		status = http.StatusConflict
	case errors.Is(err, gateway.ErrNoAnswer):
		status = http.StatusBadGateway
	case errors.Is(err, errors.ErrUnsupported):
		status = http.StatusNotImplemented
	}
	return caddy.APIError{HTTPStatus: status, Err: err}
}

const maxAdminBody = 4 << 10 // bytes

// errBody is wrapped where a POST body is not what the route takes.
var errBody = errors.New("malformed body")

// readJSON reads the body into v. An empty one leaves v as it is, and must be
// where v is nil.
func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAdminBody))
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return fmt.Errorf("%w: more than %d bytes", errBody, tooLarge.Limit)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errBody, err)
	}
	if len(body) == 0 {
		return nil
	}
	if v == nil {
		return fmt.Errorf("%w: this takes none", errBody)
	}
	if !strings.Contains(r.Header.Get("Content-Type"), "/json") {
		return fmt.Errorf("%w: unacceptable content-type: %q; 'application/json' required", errBody, r.Header.Get("Content-Type"))
	}
	if err := caddy.StrictUnmarshalJSON(body, v); err != nil {
		return fmt.Errorf("%w: %w", errBody, err)
	}
	return nil
}

func writeJSON(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(v)
}

// Interface guards
var (
	_ caddy.AdminRouter  = adminAPI{}
	_ caddy.AdminHandler = adminRoute{}
)
