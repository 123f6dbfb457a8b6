package checkout

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-checkout/checkout/internal/catalog"
	"github.com/caddy-checkout/checkout/internal/gateway"
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/payment"
)

// hasPlaceholder reports whether v is known only when the configuration is
// loaded.
func hasPlaceholder(v string) bool { return strings.Contains(v, "{") }

var placeholder = regexp.MustCompile(`\{(env|file)\.[^{}]+\}`)

// resolve replaces the placeholders of v. Its errors name placeholders only:
// anything else in v may be a secret.
func resolve(repl *caddy.Replacer, v string) (string, error) {
	if !strings.ContainsAny(v, "{}") {
		return v, nil
	}
	out, err := repl.ReplaceOrErr(v, true, true)
	if err == nil && !strings.ContainsAny(out, "{}") {
		return out, nil
	}
	named := placeholder.FindAllString(v, -1)
	switch {
	case len(named) == 0:
		return "", errors.New("holds a brace, but no placeholder like {env.NAME} or {file./path/to/file}")
	case err == nil:
		return "", fmt.Errorf("%s gives a value that holds a brace itself, like a placeholder that was not expanded", strings.Join(named, " "))
	}
	for _, p := range named {
		if out, err := repl.ReplaceOrErr(p, true, true); err != nil || out == "" {
			return "", fmt.Errorf("%s is empty; set it in the environment of Caddy, or make the file readable for it", p)
		}
	}
	return "", errors.New("holds a placeholder that is neither {env.NAME} nor {file./path/to/file}")
}

// resolve returns a copy of h with its placeholders resolved, its defaults
// filled in and everything checked that does not depend on other blocks. The
// copy is never shown: it holds secrets.
func (h *Handler) resolve(repl *caddy.Replacer) (*Handler, error) {
	c := *h
	c.PreviousTokens = slices.Clone(h.PreviousTokens)
	c.Webhooks = slices.Clone(h.Webhooks)
	c.Products = slices.Clone(h.Products)
	for i := range c.Products {
		c.Products[i].Webhooks = slices.Clone(c.Products[i].Webhooks)
	}
	if h.Mail != nil {
		mail := *h.Mail
		c.Mail = &mail
	}
	for _, s := range c.resolvable() {
		var err error
		if *s.value, err = resolve(repl, *s.value); err != nil {
			return nil, named(s.name, err)
		}
	}
	if c.Gateway == "" {
		c.Gateway = gateway.DefaultBase
	}
	if c.Path == "" {
		c.Path = defaultPath
	}
	if c.Expire == 0 {
		c.Expire = caddy.Duration(payment.DefaultExpire)
	}
	if c.Catalog != "" {
		file, err := filepath.Abs(c.Catalog)
		if err != nil {
			return nil, fmt.Errorf("catalog: %w", err)
		}
		c.Catalog = file
	}
	limits := c.Limits.effective()
	c.Limits = &limits
	if err := c.check(); err != nil {
		return nil, err
	}
	c.Test = c.Test || gateway.Loopback(hostOf(c.Gateway))
	return &c, nil
}

// setting is one value that may hold placeholders.
type setting struct {
	name  string
	value *string
}

// resolvable returns the settings that may hold placeholders.
func (h *Handler) resolvable() []setting {
	r := []setting{{"uid", &h.UID}, {"token", &h.Token}}
	for i := range h.PreviousTokens {
		r = append(r, setting{"token", &h.PreviousTokens[i]})
	}
	r = append(r, setting{"origin", &h.Origin}, setting{"gateway", &h.Gateway}, setting{"catalog", &h.Catalog})
	hooks := func(list []Webhook) {
		for i := range list {
			r = append(r, setting{"webhook", &list[i].URL}, setting{"webhook", &list[i].Secret})
		}
	}
	hooks(h.Webhooks)
	for i := range h.Products {
		hooks(h.Products[i].Webhooks)
	}
	if h.Mail != nil {
		r = append(r, h.Mail.resolvable()...)
	}
	return r
}

// check refuses a resolved configuration that cannot work.
func (h *Handler) check() error {
	checks := []error{
		named("uid", checkUID(h.UID)),
		named("token", checkTokens(h.Token, h.PreviousTokens)),
		named("origin", checkOrigin(h.Origin)),
		named("gateway", checkGateway(h.Gateway)),
		named("path", checkPath(h.Path)),
		named("orderuid", checkOrderUID(h.OrderUID)),
		named("success", checkSuccess(h.Success)),
		named("expire", checkExpire(time.Duration(h.Expire))),
		named("limits", h.Limits.check()),
	}
	for _, origin := range h.AllowOrigins {
		checks = append(checks, named("allow_origin", checkOrigin(origin)))
	}
	for _, w := range h.allWebhooks() {
		checks = append(checks, named("webhook", w.check()))
	}
	if f := h.SignFields; f != nil && f.Pay != nil {
		checks = append(checks, named("sign_fields pay", gateway.CheckSignPay(f.Pay)))
	}
	if f := h.SignFields; f != nil && f.Status != nil {
		checks = append(checks, named("sign_fields status", gateway.CheckSignStatus(f.Status)))
	}
	if h.Mail != nil {
		checks = append(checks, h.Mail.check(), h.Mail.checkReceipt(h.Fields))
	}
	if !h.Test {
		checks = append(checks, named("gateway", checkPlain(h.Gateway)))
	}
	seen := make(map[string]bool)
	for _, f := range h.Fields {
		checks = append(checks, named("field", checkField(f.Name, seen[f.Name])))
		seen[f.Name] = true
	}
	for _, err := range checks {
		if err != nil {
			return err
		}
	}
	if len(h.Products) == 0 && h.Catalog == "" {
		return errNoProducts
	}
	return checkReach(h.Origin, h.Path)
}

var errNoProducts = errors.New(`nothing is for sale; add a line like: product mug 39.00 "Coffee mug", or catalog products.json`)

// allWebhooks returns the shop's webhooks and its products'.
func (h *Handler) allWebhooks() []Webhook {
	all := slices.Clone(h.Webhooks)
	for _, p := range h.Products {
		all = append(all, p.Webhooks...)
	}
	return all
}

// inline returns the inline products as the catalog takes them.
func (h *Handler) inline() ([]catalog.Product, error) {
	products := make([]catalog.Product, 0, len(h.Products))
	for _, p := range h.Products {
		c, err := p.parse()
		if err != nil {
			return nil, err
		}
		products = append(products, c)
	}
	return products, nil
}

func (p Product) parse() (catalog.Product, error) {
	price, err := order.ParsePrice(p.Price)
	if err != nil {
		return catalog.Product{}, fmt.Errorf("product %q: price: %w", p.SKU, err)
	}
	c := catalog.Product{SKU: p.SKU, Name: p.Name, Price: price, Image: p.Image, URL: p.URL}
	for _, w := range p.Webhooks {
		c.Webhooks = append(c.Webhooks, w.URL)
	}
	if err := c.Check(); err != nil {
		return catalog.Product{}, fmt.Errorf("product %q: %w", p.SKU, err)
	}
	return c, nil
}

// differs names the first setting in which two resolved configurations of one
// shop differ, or "".
func (h *Handler) differs(other *Handler) string {
	a, b := reflect.ValueOf(h).Elem(), reflect.ValueOf(other).Elem()
	for i := range a.NumField() {
		f := a.Type().Field(i)
		if f.IsExported() && !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			return name
		}
	}
	return ""
}
