package checkout

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("checkout", parseApp)
}

// parseApp sets up the app from the global option. Syntax:
//
//	checkout {
//	    store sqlite [<file>]
//	    store postgres <dsn>
//	    keep_unpaid <duration>|forever
//	}
func parseApp(d *caddyfile.Dispenser, existing any) (any, error) {
	d.Next() // consume option name
	if existing != nil {
		return nil, d.Errf("the global option checkout is there twice")
	}
	if d.NextArg() {
		return nil, d.Errf("unexpected %q; the global option checkout takes a block", d.Val())
	}
	app := new(App)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		var err error
		switch name := d.Val(); name {
		case "store":
			err = app.unmarshalStore(d)
		case "keep_unpaid":
			err = app.unmarshalKeepUnpaid(d)
		default:
			err = d.Errf("unrecognized option %q; use store, keep_unpaid", name)
		}
		if err != nil {
			return nil, err
		}
	}
	return httpcaddyfile.App{Name: "checkout", Value: caddyconfig.JSON(app, nil)}, nil
}

func (a *App) unmarshalStore(d *caddyfile.Dispenser) error {
	if a.Store != nil {
		return d.Errf("store is set twice")
	}
	a.Store = new(Store)
	if !d.NextArg() {
		return d.Errf("store needs a kind; use sqlite [<file>] or postgres <dsn>")
	}
	switch a.Store.Kind = d.Val(); a.Store.Kind {
	case kindSQLite:
		if d.NextArg() {
			a.Store.File = d.Val()
		}
	case kindPostgres:
		if !d.NextArg() {
			return d.Errf("store postgres needs a dsn, like {env.CHECKOUT_DSN}")
		}
		a.Store.DSN = d.Val()
	default:
		return d.Errf("%q is not a kind of store; use sqlite or postgres", a.Store.Kind)
	}
	return noMore(d)
}

func (a *App) unmarshalKeepUnpaid(d *caddyfile.Dispenser) error {
	if a.KeepUnpaid != 0 {
		return d.Errf("keep_unpaid is set twice")
	}
	if !d.NextArg() {
		return d.Errf("keep_unpaid needs a duration like 30d, or forever")
	}
	if d.Val() == "forever" {
		a.KeepUnpaid = -1
		return noMore(d)
	}
	v, err := caddy.ParseDuration(d.Val())
	if err != nil {
		return d.Errf("keep_unpaid %q is not a duration like 30d", d.Val())
	}
	if err := checkKeepUnpaid(v); err != nil || v < 0 {
		return d.Errf("keep_unpaid %q must be at least 7d, for payments that come late, or forever", d.Val())
	}
	a.KeepUnpaid = caddy.Duration(v)
	return noMore(d)
}
