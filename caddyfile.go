package checkout

import (
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-checkout/checkout/internal/gateway"
	"github.com/caddy-checkout/checkout/sign"
)

// After encode means before templates, which never see what a buyer wrote, and
// before handle, so that no catch-all swallows a notify.
func init() {
	httpcaddyfile.RegisterHandlerDirective("checkout", parseHandler)
	httpcaddyfile.RegisterDirectiveOrder("checkout", httpcaddyfile.After, "encode")
}

func parseHandler(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(Handler)
	return handler, handler.UnmarshalCaddyfile(h.Dispenser)
}

// subdirectives are the lines of a checkout block; once holds those that may
// be there only once.
var (
	subdirectives = []string{
		"uid", "token", "origin", "gateway", "test", "path", "product", "catalog", "require", "ask", "orderuid",
		"success", "expire", "allow_origin", "sign_fields", "limits", "webhook", "mail",
	}
	repeatable = []string{"product", "require", "ask", "allow_origin", "sign_fields", "webhook"}
)

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	checkout [<matcher>] {
//	    uid          <uid>
//	    token        <token> [<previous>...]
//	    origin       <http(s)://host[:port]>
//	    gateway      <url>
//	    test
//	    path         <prefix>
//	    product      <sku> <price> <name> {
//	        image   <path|url>
//	        url     <path|url>
//	        webhook <url> <secret>
//	    }
//	    catalog      <file>
//	    require      <name|email|tel|address|note>...
//	    ask          <name|email|tel|address|note>...
//	    orderuid     <placeholder>
//	    success      <path|url>
//	    expire       <duration>
//	    allow_origin <origin>...
//	    sign_fields  pay|status <field>...
//	    limits       off
//	    limits {
//	        pending_per_client   <n>|off
//	        pending_total        <n>|off
//	        checkouts_per_client <n>|off [<duration>]
//	        waits_per_client     <n>|off
//	        waits_total          <n>|off
//	        gateway_rate         <questions per second>
//	    }
//	    webhook      <url> <secret>
//	    mail {
//	        server    <host:port>
//	        from      <address>
//	        to        <address>
//	        username  <name>
//	        password  <password>
//	        tls       starttls|implicit|none
//	        receipt   on|off
//	        language  zh|en
//	        templates <directory>
//	    }
//	}
//
// Values that are written out are checked here, where their line is known;
// those of placeholders when the configuration is loaded.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	block := d.Token()
	if d.NextArg() {
		return d.Errf("unexpected %q; open a block with { and write the settings in it", d.Val())
	}
	lines := make(map[string]caddyfile.Token) // of every subdirective the first
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		if first, ok := lines[name]; ok && !slices.Contains(repeatable, name) {
			return d.Errf("%s is set twice, first in line %d", name, first.Line)
		} else if !ok {
			lines[name] = d.Token()
		}
		if err := h.unmarshalLine(d, name); err != nil {
			return err
		}
	}
	return h.checkBlock(block, lines)
}

func (h *Handler) unmarshalLine(d *caddyfile.Dispenser, name string) error {
	switch name {
	case "uid":
		return word(d, &h.UID, "the merchant's id at the gateway", checkUID)
	case "token":
		return h.unmarshalToken(d)
	case "origin":
		return word(d, &h.Origin, "where buyers reach the shop, like https://shop.example.com", checkOrigin)
	case "gateway":
		return word(d, &h.Gateway, "the gateway's URL", checkGateway)
	case "test":
		h.Test = true
		return noMore(d)
	case "path":
		return word(d, &h.Path, "a prefix like /checkout", checkPath)
	case "product":
		return h.unmarshalProduct(d)
	case "catalog":
		return word(d, &h.Catalog, "a JSON file of products", nil)
	case "require", "ask":
		return h.unmarshalFields(d, name == "require")
	case "orderuid":
		if err := word(d, &h.OrderUID, "a placeholder like {http.auth.user.id}", nil); err != nil {
			return err
		}
		if err := checkOrderUID(h.OrderUID); err != nil {
			return d.WrapErr(named(name, err))
		}
		return nil
	case "success":
		return word(d, &h.Success, "a path like /thanks.html", checkSuccess)
	case "expire":
		return duration(d, &h.Expire, "2h", checkExpire)
	case "allow_origin":
		return h.unmarshalAllowOrigins(d)
	case "sign_fields":
		return h.unmarshalSignFields(d)
	case "limits":
		h.Limits = new(Limits)
		return h.Limits.unmarshal(d)
	case "webhook":
		return unmarshalWebhook(d, &h.Webhooks)
	case "mail":
		return h.unmarshalMail(d)
	}
	return d.Errf("unrecognized subdirective %q; use %s", name, strings.Join(subdirectives, ", "))
}

// checkBlock checks what no single line says.
func (h *Handler) checkBlock(block caddyfile.Token, lines map[string]caddyfile.Token) error {
	for _, required := range []struct{ name, example string }{
		{"uid", "uid 10000001400000"},
		{"token", "token {env.CHECKOUT_TOKEN}"},
		{"origin", "origin https://shop.example.com"},
	} {
		if _, ok := lines[required.name]; !ok {
			return at(block).Errf("checkout needs %s; add a line like: %s", required.name, required.example)
		}
	}
	if len(h.Products) == 0 && h.Catalog == "" {
		return at(block).WrapErr(errNoProducts)
	}
	if h.Mail != nil {
		if err := h.Mail.checkReceipt(h.Fields); err != nil {
			return at(lines["mail"]).WrapErr(err)
		}
	}
	if !h.Test && h.Gateway != "" && !hasPlaceholder(h.Gateway) {
		if err := checkPlain(h.Gateway); err != nil {
			return at(lines["gateway"]).WrapErr(named("gateway", err))
		}
	}
	if hasPlaceholder(h.Origin) {
		return nil
	}
	path, where := h.Path, lines["origin"]
	if line, ok := lines["path"]; ok {
		where = line
	} else {
		path = defaultPath
	}
	if err := checkReach(h.Origin, path); err != nil {
		return at(where).WrapErr(err)
	}
	return nil
}

// at returns a dispenser whose errors name the place of t.
func at(t caddyfile.Token) *caddyfile.Dispenser {
	d := caddyfile.NewDispenser([]caddyfile.Token{t})
	d.Next()
	return d
}

// word reads the one argument of a line. check, if any, sees it unless it
// holds a placeholder.
func word(d *caddyfile.Dispenser, to *string, what string, check func(string) error) error {
	name := d.Val()
	if !d.NextArg() {
		return d.Errf("%s needs %s", name, what)
	}
	*to = d.Val()
	if check != nil && !hasPlaceholder(*to) {
		if err := check(*to); err != nil {
			return d.WrapErr(named(name, err))
		}
	}
	if *to == "" {
		return d.Errf("%s is empty; write %s", name, what)
	}
	return noMore(d)
}

// noMore refuses further arguments and a block.
func noMore(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Errf("unexpected %q; put values with spaces in quotes", d.Val())
	}
	if d.NextBlock(d.Nesting()) {
		return d.Errf("unexpected block at %q", d.Val())
	}
	return nil
}

func duration(d *caddyfile.Dispenser, to *caddy.Duration, example string, check func(time.Duration) error) error {
	name := d.Val()
	if !d.NextArg() {
		return d.Errf("%s needs a duration like %s", name, example)
	}
	v, err := caddy.ParseDuration(d.Val())
	if err != nil {
		return d.Errf("%s %q is not a duration like %s", name, d.Val(), example)
	}
	if err := check(v); err != nil {
		return d.WrapErr(named(name, err))
	}
	*to = caddy.Duration(v)
	return noMore(d)
}

func (h *Handler) unmarshalToken(d *caddyfile.Dispenser) error {
	tokens := d.RemainingArgs()
	if len(tokens) == 0 {
		tokens = []string{""}
	}
	for _, t := range tokens {
		if !hasPlaceholder(t) {
			if err := checkToken(t); err != nil {
				return d.WrapErr(named("token", err))
			}
		}
	}
	h.Token, h.PreviousTokens = tokens[0], tokens[1:]
	return noMore(d)
}

func (h *Handler) unmarshalProduct(d *caddyfile.Dispenser) error {
	var p Product
	if !d.Args(&p.SKU, &p.Price, &p.Name) {
		return d.Errf(`product needs a sku, a price and a name, like: product mug 39.00 "Coffee mug"`)
	}
	line := d.Token()
	if d.NextArg() {
		return d.Errf("unexpected %q after the name; put names with spaces in quotes", d.Val())
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		var err error
		switch name := d.Val(); name {
		case "image":
			err = word(d, &p.Image, "a path like /mug.jpg or an http(s) URL", nil)
		case "url":
			err = word(d, &p.URL, "a path like /mug/ or an http(s) URL", nil)
		case "webhook":
			err = unmarshalWebhook(d, &p.Webhooks)
		default:
			err = d.Errf("unrecognized product option %q; use image, url, webhook", name)
		}
		if err != nil {
			return err
		}
	}
	if _, err := p.parse(); err != nil {
		return at(line).WrapErr(err)
	}
	for _, other := range h.Products {
		if other.SKU == p.SKU {
			return at(line).Errf("product %q is there twice; every sku must be there once", p.SKU)
		}
	}
	h.Products = append(h.Products, p)
	return nil
}

func (h *Handler) unmarshalFields(d *caddyfile.Dispenser, required bool) error {
	line := d.Val()
	names := d.RemainingArgs()
	if len(names) == 0 {
		return d.Errf("%s needs buyer fields; use %s", line, strings.Join(fieldNames, ", "))
	}
	for _, name := range names {
		twice := slices.ContainsFunc(h.Fields, func(f Field) bool { return f.Name == name })
		if err := checkField(name, twice); err != nil {
			return d.WrapErr(named(line, err))
		}
		h.Fields = append(h.Fields, Field{Name: name, Required: required})
	}
	return noMore(d)
}

func (h *Handler) unmarshalAllowOrigins(d *caddyfile.Dispenser) error {
	origins := d.RemainingArgs()
	if len(origins) == 0 {
		return d.Errf("allow_origin needs an origin like https://www.example.com")
	}
	for _, origin := range origins {
		if err := checkOrigin(origin); err != nil {
			return d.WrapErr(named("allow_origin", err))
		}
	}
	h.AllowOrigins = append(h.AllowOrigins, origins...)
	return noMore(d)
}

func (h *Handler) unmarshalSignFields(d *caddyfile.Dispenser) error {
	message := ""
	if d.NextArg() {
		message = d.Val()
	}
	if h.SignFields == nil {
		h.SignFields = new(SignFields)
	}
	to, known, check := &h.SignFields.Pay, sign.Pay, gateway.CheckSignPay
	switch message {
	case "pay":
	case "status":
		to, known, check = &h.SignFields.Status, sign.Status, gateway.CheckSignStatus
	default:
		return d.Errf("sign_fields is for the message pay or status, not %q; write: sign_fields pay %s", message, strings.Join(sign.Pay, " "))
	}
	if *to != nil {
		return d.Errf("sign_fields %s is set twice", message)
	}
	*to = d.RemainingArgs()
	if len(*to) == 0 {
		return d.Errf("sign_fields %s needs fields; use %s", message, strings.Join(known, ", "))
	}
	if err := check(*to); err != nil {
		return d.WrapErr(named("sign_fields "+message, err))
	}
	return noMore(d)
}

func unmarshalWebhook(d *caddyfile.Dispenser, to *[]Webhook) error {
	var w Webhook
	if !d.AllArgs(&w.URL, &w.Secret) {
		return d.Errf("webhook needs a URL and a secret, like: webhook https://hooks.example.com/orders {env.CHECKOUT_WEBHOOK_SECRET}")
	}
	if !hasPlaceholder(w.URL) && !hasPlaceholder(w.Secret) {
		if err := w.check(); err != nil {
			return d.WrapErr(named("webhook", err))
		}
	}
	*to = append(*to, w)
	return noMore(d)
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Handler)(nil)
