package checkout

import (
	"context"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-checkout/checkout/backoffice"
)

func init() {
	caddy.RegisterModule(BackOffice{})
	httpcaddyfile.RegisterHandlerDirective("checkout_backoffice", parseBackOffice)
	httpcaddyfile.RegisterDirectiveOrder("checkout_backoffice", httpcaddyfile.After, "encode")
}

// BackOffice serves the merchant's pages for all shops of the configuration:
// orders with search, history and buttons, deliveries, unmatched payments,
// charts and a CSV export. It answers every request that reaches it, and works
// below any path prefix: the address of its first page ends with a slash.
//
// Requests that no authentication handler in front of it has marked with a
// user (`{http.auth.user.id}`) are answered with 403. That user is who stands
// in the history of the orders.
type BackOffice struct {
	// Serve people who have not signed in as well. Everybody who reaches the
	// pages can then act on orders, as "backoffice". Default: false.
	AllowUnprotected bool `json:"allow_unprotected,omitempty"`

	// What stands over every page. Default: "Back office", or its Chinese
	// name, as the browser asks.
	Title string `json:"title,omitempty"`

	app     *App
	office  *backoffice.Office
	endLive context.CancelFunc
}

// CaddyModule returns the Caddy module information.
func (BackOffice) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.checkout_backoffice",
		New: func() caddy.Module { return new(BackOffice) },
	}
}

// Provision sets up the pages. It opens no database.
func (b *BackOffice) Provision(ctx caddy.Context) error {
	mod, err := ctx.App("checkout")
	if err != nil {
		return err
	}
	b.app = mod.(*App)
	live, end := context.WithCancel(ctx)
	b.endLive = end
	if server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok {
		// A server that shuts down waits for its requests, streams included.
		server.RegisterOnShutdown(end)
	}
	if b.AllowUnprotected {
		ctx.Slogger().Warn("the back office is open to everybody who reaches it: allow_unprotected is set")
	}
	b.office, err = backoffice.New(backoffice.Config{
		Desk:             b.app.desk,
		Title:            b.Title,
		AllowUnprotected: b.AllowUnprotected,
		End:              live.Done(),
		Log:              ctx.Slogger(),
	})
	return err
}

// Cleanup ends the live updates.
func (b *BackOffice) Cleanup() error {
	if b.endLive != nil {
		b.endLive()
	}
	return nil
}

// ServeHTTP answers every request.
func (b *BackOffice) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	b.app.requests.begin()
	defer b.app.requests.end()
	v := backoffice.Visitor{Path: r.URL.Path}
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		v.User, _ = repl.GetString("http.auth.user.id")
	}
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		v.Path = original.URL.Path
	}
	b.office.Serve(w, r, v)
	return nil
}

func parseBackOffice(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	b := new(BackOffice)
	return b, b.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile sets up the back office from Caddyfile tokens. Syntax:
//
//	checkout_backoffice [<matcher>] {
//	    allow_unprotected
//	    title <text>
//	}
func (b *BackOffice) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	if d.NextArg() {
		return d.Errf("unexpected %q; a path goes into a route around it, like handle_path /admin* { … }, settings go into a block", d.Val())
	}
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		if seen[name] {
			return d.Errf("%s is set twice", name)
		}
		seen[name] = true
		switch name {
		case "allow_unprotected":
			if d.NextArg() {
				return d.Errf("unexpected %q; allow_unprotected stands alone", d.Val())
			}
			b.AllowUnprotected = true
		case "title":
			if !d.AllArgs(&b.Title) || b.Title == "" {
				return d.Errf(`title needs one text, like "My shop"`)
			}
		default:
			return d.Errf("unrecognized subdirective %q; use allow_unprotected or title", name)
		}
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*BackOffice)(nil)
	_ caddy.CleanerUpper          = (*BackOffice)(nil)
	_ caddyhttp.MiddlewareHandler = (*BackOffice)(nil)
	_ caddyfile.Unmarshaler       = (*BackOffice)(nil)
)
