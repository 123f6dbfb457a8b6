package doctor

import (
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-checkout/checkout/internal/gateway"
)

// defaultPath is a shop's path when none is configured.
const defaultPath = "/checkout"

// shop is one checkout block. Its values have their placeholders replaced.
type shop struct {
	where Where
	raw   json.RawMessage
	unset []string // placeholders without a value
	files []string // that placeholders name
	plain []string // settings whose secret is written out, like "token"

	UID            string    `json:"uid"`
	Token          string    `json:"token"`
	PreviousTokens []string  `json:"previous_tokens"`
	Origin         string    `json:"origin"`
	Gateway        string    `json:"gateway"`
	Test           bool      `json:"test"`
	Path           string    `json:"path"`
	Webhooks       []webhook `json:"webhooks"`
	Products       []struct {
		SKU      string    `json:"sku"`
		Webhooks []webhook `json:"webhooks"`
	} `json:"products"`
	Mail mail `json:"mail"`

	origin *url.URL // nil: not known here
}

type webhook struct {
	URL    string `json:"url"`
	Secret string `json:"secret"`
}

// mail is what of a mail block may hold placeholders.
type mail struct {
	Server    string `json:"server"`
	From      string `json:"from"`
	To        string `json:"to"`
	Username  string `json:"username"`
	Password  string `json:"password"`
	Templates string `json:"templates"`
}

// sandbox is one checkout_sandbox block.
type sandbox struct {
	where Where
	bases []string // where its site is reached, as origins
	UID   string   `json:"uid"`
	Token string   `json:"token"`
}

// identity is what makes blocks one shop.
func (s *shop) identity() string { return s.Origin + s.Path }

func (s *shop) name() string { return s.Origin + s.Path }

// tokens returns the shop's tokens, the signing one first.
func (s *shop) tokens() []string { return append([]string{s.Token}, s.PreviousTokens...) }

// rehearses reports whether no real money moves because the gateway is on this
// machine.
func (s *shop) rehearses() bool {
	u, err := url.Parse(s.Gateway)
	return err == nil && gateway.Loopback(u.Hostname())
}

// public reports whether the shop's origin is meant for everyone.
func (s *shop) public() bool { return s.origin != nil && !gateway.Private(s.origin.Hostname()) }

var placeholder = regexp.MustCompile(`\{[^{}]+\}`)

// resolve replaces the placeholders that are known at load. What has no value
// stays, and is returned as unset.
func (x *examination) resolve(v string) (text string, unset []string) {
	text = placeholder.ReplaceAllStringFunc(v, func(p string) string {
		if !strings.HasPrefix(p, "{env.") && !strings.HasPrefix(p, "{file.") {
			return p
		}
		if value, ok := x.options.Lookup(p); ok {
			return value
		}
		unset = append(unset, p)
		return p
	})
	return text, unset
}

// namedRoute begins the name of a place in no site of its own.
const namedRoute = "named route "

// gather finds all shops and sandboxes, wherever they are nested.
func (x *examination) gather() {
	for _, s := range x.config.servers() {
		for i, r := range s.Routes {
			at := "apps/http/servers/" + s.name + "/routes/" + strconv.Itoa(i)
			for j, h := range r.Handle {
				x.gatherFrom(h.raw, Where{Site: s.site(r), Server: s.name, Route: at + "/handle/" + strconv.Itoa(j)}, s, r)
			}
		}
		for name, r := range s.NamedRoutes {
			for j, h := range r.Handle {
				at := fmt.Sprintf("apps/http/servers/%s/named_routes/%s/handle/%d", s.name, name, j)
				x.gatherFrom(h.raw, Where{Site: namedRoute + name, Server: s.name, Route: at}, s, r)
			}
		}
	}
	slices.SortStableFunc(x.shops, func(a, b *shop) int { return strings.Compare(a.where.Route, b.where.Route) })
}

func (x *examination) gatherFrom(raw json.RawMessage, where Where, s *server, r route) {
	var object map[string]json.RawMessage
	if json.Unmarshal(raw, &object) != nil {
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) == nil {
			for i, v := range list {
				x.gatherFrom(v, where.below(strconv.Itoa(i)), s, r)
			}
		}
		return
	}
	switch string(object["handler"]) {
	case `"checkout"`:
		x.addShop(raw, where)
	case `"checkout_sandbox"`:
		x.addSandbox(raw, where, x.config.bases(s, r))
	default:
		for name, v := range object {
			x.gatherFrom(v, where.below(name), s, r)
		}
	}
}

func (w Where) below(part string) Where {
	w.Route += "/" + part
	return w
}

func (x *examination) addShop(raw json.RawMessage, where Where) {
	s := &shop{where: where, raw: raw}
	if err := json.Unmarshal(raw, s); err != nil {
		x.add(Finding{
			Code: "refused", Severity: Error, Where: where,
			Wrong: "Caddy will refuse this checkout block: a value in it is of the wrong kind.",
			Right: "Run caddy validate on the configuration; it names the value.",
		})
		return
	}
	s.plain = plainSecrets(s)
	set := func(v *string) {
		var unset []string
		s.files = append(s.files, namedFiles(*v)...)
		*v, unset = x.resolve(*v)
		s.unset = append(s.unset, unset...)
	}
	set(&s.UID)
	set(&s.Token)
	for i := range s.PreviousTokens {
		set(&s.PreviousTokens[i])
	}
	set(&s.Origin)
	set(&s.Gateway)
	for _, w := range s.webhooks() {
		set(&w.URL)
		set(&w.Secret)
	}
	for _, v := range []*string{&s.Mail.Server, &s.Mail.From, &s.Mail.To, &s.Mail.Username, &s.Mail.Password, &s.Mail.Templates} {
		set(v)
	}
	if s.Path == "" {
		s.Path = defaultPath
	}
	if s.Gateway == "" {
		s.Gateway = gateway.DefaultBase
	}
	if u, err := url.Parse(s.Origin); err == nil && u.Hostname() != "" && !strings.Contains(s.Origin, "{") {
		s.origin = u
	}
	x.shops = append(x.shops, s)
}

// webhooks returns the shop's webhooks and its products'.
func (s *shop) webhooks() []*webhook {
	var list []*webhook
	for i := range s.Webhooks {
		list = append(list, &s.Webhooks[i])
	}
	for i := range s.Products {
		for j := range s.Products[i].Webhooks {
			list = append(list, &s.Products[i].Webhooks[j])
		}
	}
	return list
}

// plainSecrets names the settings of an unresolved shop that hold no
// placeholder.
func plainSecrets(s *shop) []string {
	var list []string
	if slices.ContainsFunc(s.tokens(), isPlain) {
		list = append(list, "token")
	}
	if slices.ContainsFunc(s.webhooks(), func(w *webhook) bool { return isPlain(w.Secret) }) {
		list = append(list, "webhook")
	}
	if isPlain(s.Mail.Password) {
		list = append(list, "mail")
	}
	return list
}

func isPlain(v string) bool { return v != "" && !strings.Contains(v, "{") }

func (x *examination) addSandbox(raw json.RawMessage, where Where, bases []string) {
	b := &sandbox{where: where, bases: bases}
	if json.Unmarshal(raw, b) != nil {
		return // caddy validate says why
	}
	b.UID, _ = x.resolve(b.UID)
	b.Token, _ = x.resolve(b.Token)
	x.boxes = append(x.boxes, b)
}

// bases returns the origins at which a site is reached.
func (c *config) bases(s *server, r route) []string {
	var list []string
	for _, l := range s.Listen {
		a := parseListen(l)
		scheme, usual := "http", 80
		if c.servesTLS(s) && a.low != c.Apps.HTTP.HTTPPort {
			scheme, usual = "https", 443
		}
		hosts := r.hosts()
		if len(hosts) == 0 {
			hosts = []string{a.host}
		}
		for _, h := range hosts {
			if a.low != usual {
				h = net.JoinHostPort(h, strconv.Itoa(a.low))
			}
			list = append(list, scheme+"://"+h)
		}
	}
	return list
}
