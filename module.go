// Package checkout is a Caddy plugin that lets a static site take payments
// without an application server. It holds the modules http.handlers.checkout
// ([Handler]), http.handlers.checkout_sandbox ([Sandbox]) and the app checkout
// ([App]); what they do with orders and money is below it, in packages that
// know no Caddy.
package checkout

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	caddy.RegisterModule(Handler{})
}

// Handler sells the products of one shop: it shows the order page, signs the
// order form, answers the payment gateway's notifies and the buyers' questions,
// all below one path prefix. Every other request goes on to the next handler.
//
// The smallest working configuration is uid, token, origin and one product.
// The values of uid, token, previous_tokens, origin, gateway, catalog, webhooks
// and mail may hold the placeholders {env.*} and {file.*}, which are resolved
// when the configuration is loaded.
//
// Requests that it answers have these placeholders:
//
// Placeholder | Description
// ------------|------------
// `{http.checkout.shop}` | The identity of the shop, as in the orders
// `{http.checkout.route}` | `review`, `checkout`, `notify`, `return`, `status` or `other`
// `{http.checkout.order_id}` | The order that a `checkout` request made, a `return` or `status` request asks about, or a `notify` whose key fits tells of; after the last three it need not exist
// `{http.checkout.state}` | The state of that order: `pending`, `paid`, `expired` or `review`, if it is known
//
// They have their values once the request is answered, as in access logs:
// `log_append order {http.checkout.order_id}`.
type Handler struct {
	// The merchant's id at the gateway. Required.
	UID string `json:"uid"`

	// The secret that the merchant shares with the gateway, at least 16
	// bytes. Required. Write a placeholder like `{env.CHECKOUT_TOKEN}` or
	// `{file./run/secrets/checkout_token}`: what is written out here can be
	// read by whoever reads the configuration.
	Token string `json:"token"`

	// Former tokens, which still verify what the gateway signed with them.
	// Nothing new is signed with them. Default: none.
	PreviousTokens []string `json:"previous_tokens,omitempty"`

	// Where buyers and the gateway reach the shop: `http(s)://host[:port]`.
	// The URLs that the gateway is given are built from it, never from a
	// request. Required.
	Origin string `json:"origin"`

	// The gateway's base URL. Default: `https://sun.jings.wang`. Plain http is
	// for a gateway on this machine or its network, and for tests: anyone on
	// the way can forge that an order is paid.
	Gateway string `json:"gateway,omitempty"`

	// Marks pages and orders as a test, in which no real money moves. A
	// gateway on this machine (localhost or a loopback address) always is
	// one. Default: false.
	Test bool `json:"test,omitempty"`

	// The prefix of every route. Default: `/checkout`.
	Path string `json:"path,omitempty"`

	// Products. Either these or a catalog are required.
	Products []Product `json:"products,omitempty"`

	// A JSON file of more products:
	// `[{"sku":"mug","name":"Coffee mug","price":"39.00","image":"/mug.jpg","url":"/mug/"}]`,
	// where image and url may be left out. It is read again when it changes;
	// a broken new file is reported and the old prices stay. A relative path
	// starts from Caddy's working directory. Default: none.
	Catalog string `json:"catalog,omitempty"`

	// What the buyer is asked, in the order of the form. Default: nothing.
	Fields []Field `json:"fields,omitempty"`

	// A placeholder or text that is sent to the gateway as `orderuid` and
	// kept with the order, like `{http.auth.user.id}`; evaluated for every
	// order. Default: empty.
	OrderUID string `json:"orderuid,omitempty"`

	// The page to which a buyer who has paid is sent: a path or an http(s)
	// URL. Default: the built-in receipt.
	Success string `json:"success,omitempty"`

	// How long an order may be paid. One that never is then expires; a late
	// payment still pays it. Default: 2h.
	Expire caddy.Duration `json:"expire,omitempty"`

	// Other origins whose pages may post to checkout, each
	// `http(s)://host[:port]`. Default: none.
	AllowOrigins []string `json:"allow_origins,omitempty"`

	// The signed fields, for a gateway that signs other ones than this
	// plugin's reading of the protocol. Default: that reading.
	SignFields *SignFields `json:"sign_fields,omitempty"`

	// Limits against floods. Default: see there.
	Limits *Limits `json:"limits,omitempty"`

	// Receivers of signed webhooks about every order of the shop that is
	// paid, expires or needs a decision. Default: none.
	Webhooks []Webhook `json:"webhooks,omitempty"`

	// Mail about orders, to the merchant and to buyers. Default: none.
	Mail *Mail `json:"mail,omitempty"`

	shop *shop
	path string // of the shop, for ServeHTTP
}

// Product is a product that is configured inline.
type Product struct {
	// What links and forms call it: 1 to 64 bytes, unique in the shop. Required.
	SKU string `json:"sku"`

	// Its price in yuan with at most two decimals, like `39.00`. Required.
	Price string `json:"price"`

	// Its name for people, 1 to 200 bytes. Required.
	Name string `json:"name"`

	// Path or http(s) URL of a picture. Default: none.
	Image string `json:"image,omitempty"`

	// Path or http(s) URL of its page. Default: none.
	URL string `json:"url,omitempty"`

	// Receivers of webhooks about orders with this product, besides the
	// shop's. Default: none.
	Webhooks []Webhook `json:"webhooks,omitempty"`
}

// Field is one thing that the buyer is asked.
type Field struct {
	// `name`, `email`, `tel`, `address` or `note`. Required.
	Name string `json:"name"`

	// Whether an order without it is refused. Default: false.
	Required bool `json:"required,omitempty"`
}

// SignFields are the names of signed fields, in the order of signing.
type SignFields struct {
	// Of the pay request. Default: `uid`, `orderid`, `ordername`, `paymoney`,
	// `orderuid`, `paytype`, `notifyurl`, `returnurl`, `orderinfo`.
	Pay []string `json:"pay,omitempty"`

	// Of the status query. Default: `orderid`, `uid`.
	Status []string `json:"status,omitempty"`
}

// Webhook is a receiver of webhooks by the Standard Webhooks scheme.
type Webhook struct {
	// The http(s) URL that events are posted to. Required.
	URL string `json:"url"`

	// The secret that signs them: `whsec_` and 24 to 64 bytes in base64.
	// Required. Write a placeholder, as for the token.
	Secret string `json:"secret"`
}

// CaddyModule returns the Caddy module information.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.checkout",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision checks the configuration, with its placeholders resolved, and
// announces the shop to the app. It opens no database.
func (h *Handler) Provision(ctx caddy.Context) error {
	mod, err := ctx.App("checkout")
	if err != nil {
		return err
	}
	c, err := h.resolve(caddy.NewReplacer())
	if err != nil {
		return err
	}
	h.shop, err = mod.(*App).register(c, ctx.Slogger())
	if err != nil {
		return fmt.Errorf("shop %s%s: %w", c.Origin, c.Path, err)
	}
	h.path = c.Path
	return nil
}

// ServeHTTP answers what is below the shop's path. It returns no error of its
// own, since handle_errors must not replace what the gateway is answered.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	rest, ok := strings.CutPrefix(r.URL.Path, h.path)
	if !ok || (rest != "" && rest[0] != '/') {
		return next.ServeHTTP(w, r)
	}
	h.shop.serve(w, r, rest)
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
