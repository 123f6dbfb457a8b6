package doctor

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
)

// config is what matters here of Caddy's JSON.
type config struct {
	Apps struct {
		HTTP struct {
			HTTPPort  int                `json:"http_port"`
			HTTPSPort int                `json:"https_port"`
			Servers   map[string]*server `json:"servers"`
		} `json:"http"`
		TLS      tlsApp `json:"tls"`
		Checkout struct {
			Store json.RawMessage `json:"store"`
		} `json:"checkout"`
	} `json:"apps"`

	names []string // of the servers, sorted
}

type server struct {
	Listen      []string         `json:"listen"`
	Routes      []route          `json:"routes"`
	NamedRoutes map[string]route `json:"named_routes"`
	Policies    []tlsPolicy      `json:"tls_connection_policies"`
	AutoHTTPS   struct {
		Disable      bool     `json:"disable"`
		DisableRedir bool     `json:"disable_redirects"`
		DisableCerts bool     `json:"disable_certificates"`
		Skip         []string `json:"skip"`
	} `json:"automatic_https"`

	name string
}

type tlsPolicy struct {
	Match      map[string]json.RawMessage `json:"match"`
	ClientAuth *struct {
		Mode string `json:"mode"`
	} `json:"client_authentication"`
}

type tlsApp struct {
	Certificates map[string]json.RawMessage `json:"certificates"`
	Automation   struct {
		Policies []struct {
			Subjects []string `json:"subjects"`
			Issuers  []struct {
				Module string `json:"module"`
			} `json:"issuers"`
		} `json:"policies"`
	} `json:"automation"`
}

type matcherSet map[string]json.RawMessage

type route struct {
	Group    string       `json:"group"`
	Match    []matcherSet `json:"match"`
	Handle   []handler    `json:"handle"`
	Terminal bool         `json:"terminal"`

	auto bool // Caddy's own redirect from http to https
}

// handler is one handler: its name, and the rest for who knows the name.
type handler struct {
	name string
	raw  json.RawMessage
}

// UnmarshalJSON keeps the whole object.
func (h *handler) UnmarshalJSON(b []byte) error {
	var named struct {
		Handler string `json:"handler"`
	}
	if err := json.Unmarshal(b, &named); err != nil {
		return err
	}
	h.name, h.raw = named.Handler, slices.Clone(b)
	return nil
}

func parse(raw []byte) (*config, error) {
	c := new(config)
	if err := json.Unmarshal(raw, c); err != nil {
		// The text of a wrong value may be a secret.
		if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
			return nil, fmt.Errorf("reading configuration: %s cannot be what it is", wrong.Field)
		}
		return nil, fmt.Errorf("reading configuration: %w", err)
	}
	app := &c.Apps.HTTP
	if app.HTTPPort == 0 {
		app.HTTPPort = 80
	}
	if app.HTTPSPort == 0 {
		app.HTTPSPort = 443
	}
	for name, s := range app.Servers {
		if s == nil {
			return nil, fmt.Errorf("reading configuration: server %s is null", name)
		}
		s.name = name
	}
	c.names = slices.Sorted(maps.Keys(app.Servers))
	return c, nil
}

// servers returns the servers, sorted by name.
func (c *config) servers() []*server {
	list := make([]*server, 0, len(c.names))
	for _, name := range c.names {
		list = append(list, c.Apps.HTTP.Servers[name])
	}
	return list
}

// hosts returns the hosts that a server's routes match.
func (s *server) hosts() []string {
	var list []string
	for _, r := range s.Routes {
		list = append(list, r.hosts()...)
	}
	return list
}

// hosts returns the hosts that a route matches; none means any.
func (r route) hosts() []string {
	var list []string
	for _, set := range r.Match {
		var hosts []string
		if json.Unmarshal(set["host"], &hosts) == nil {
			list = append(list, hosts...)
		}
	}
	return list
}

// site says in the merchant's words which site a route is.
func (s *server) site(r route) string {
	if hosts := r.hosts(); len(hosts) > 0 {
		return strings.Join(hosts, ", ")
	}
	if len(s.Listen) > 0 {
		return strings.Join(s.Listen, ", ")
	}
	return s.name
}

// servesTLS reports whether a server encrypts, on every port but Caddy's http
// port.
func (c *config) servesTLS(s *server) bool {
	if len(s.Policies) > 0 {
		return true
	}
	if s.AutoHTTPS.Disable || !s.usesOther(c.Apps.HTTP.HTTPPort) {
		return false
	}
	return !s.usesOther(c.Apps.HTTP.HTTPSPort) || len(s.automatic()) > 0
}

// automatic returns the hosts that automatic HTTPS is about.
func (s *server) automatic() []string {
	return slices.DeleteFunc(s.hosts(), func(h string) bool { return slices.Contains(s.AutoHTTPS.Skip, h) })
}

// usesOther reports whether a server listens on any port but this.
func (s *server) usesOther(port int) bool {
	return slices.ContainsFunc(s.Listen, func(l string) bool {
		a := parseListen(l)
		return a.low != port || a.high != port
	})
}

// listen is a network address with a range of ports.
type listen struct {
	host      string // empty: every interface
	low, high int    // zero: no port, as of a unix socket
}

// parseListen reads an address like tcp/127.0.0.1:8000-8010. One that cannot
// be read has no port.
func parseListen(text string) listen {
	if network, rest, ok := strings.Cut(text, "/"); ok {
		if strings.HasPrefix(network, "unix") || strings.HasPrefix(network, "fd") {
			return listen{host: text}
		}
		text = rest
	}
	host, ports, err := net.SplitHostPort(text)
	if err != nil {
		return listen{host: text}
	}
	first, last, isRange := strings.Cut(ports, "-")
	a := listen{host: host}
	if a.low, err = strconv.Atoi(first); err != nil {
		return listen{host: text}
	}
	a.high = a.low
	if isRange {
		if a.high, err = strconv.Atoi(last); err != nil {
			return listen{host: text}
		}
	}
	return a
}

// httpsRedirects adds to a server's routes the redirects that automatic HTTPS
// will put there, after the routes with hosts, and a last one for all hosts.
// That last one is there only if any site has automatic HTTPS.
func (c *config) httpsRedirects(routes []route) []route {
	var hosts []string
	active := false
	for _, s := range c.servers() {
		if s.AutoHTTPS.Disable || s.AutoHTTPS.DisableRedir || !c.servesTLS(s) || !s.usesOther(c.Apps.HTTP.HTTPPort) {
			continue
		}
		active = true
		hosts = append(hosts, s.automatic()...)
	}
	if !active {
		return routes
	}
	last := 0
	for i, r := range routes {
		if len(r.hosts()) > 0 {
			last = i + 1
		}
	}
	redirect := func(match matcherSet) route {
		return route{Match: []matcherSet{match}, Handle: []handler{{name: "static_response", raw: json.RawMessage(`{"status_code":308}`)}}, auto: true}
	}
	out := slices.Clone(routes[:last])
	if len(hosts) > 0 {
		// Strings always marshal.
		list, _ := json.Marshal(hosts)
		out = append(out, redirect(matcherSet{"host": list}))
	}
	out = append(out, routes[last:]...)
	return append(out, redirect(matcherSet{}))
}
