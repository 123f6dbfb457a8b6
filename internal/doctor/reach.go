package doctor

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-checkout/checkout/internal/gateway"
)

// checkReach follows requests for the shop's origin to the shop.
func (x *examination) checkReach(s *shop) {
	if s.origin == nil {
		return
	}
	if s.public() && s.origin.Scheme == "http" {
		x.find(s, Error, "origin-http",
			"The origin is plain http on a public host: anyone on the way can read what buyers enter and change whom they pay, and where Caddy redirects http to https the gateway's notify is lost.",
			"origin https://"+s.origin.Host)
	}
	direct := x.listening(s)
	w := x.reachThrough(s, direct)
	if w != nil {
		x.checkListener(s, w.server)
	} else if w = x.reachBehind(s, direct); w == nil {
		return
	}
	x.judgeNotify(w)
	for _, o := range w.outcomes {
		if o.kind == reached {
			x.checkFiles(s, o.st.root)
		}
	}
	for _, r := range []request{s.request("POST", ""), s.request("GET", "/return/01BX5ZZKBKACTAV9WEVGEMMVRZ")} {
		r.host = w.request.host
		x.judgeBuyer(x.follow(s, w.server, r), w)
	}
}

// notify is what the gateway sends.
func (s *shop) notify() request {
	r := s.request("POST", "/notify")
	r.fromServer = true
	return r
}

func (s *shop) request(method, route string) request {
	return request{
		method: method, scheme: s.origin.Scheme, host: s.origin.Hostname(), port: s.port(), path: s.Path + route,
		fromPublic: s.public() && !s.rehearses(),
	}
}

func (s *shop) port() string {
	if p := s.origin.Port(); p != "" {
		return p
	}
	if s.origin.Scheme == "https" {
		return "443"
	}
	return "80"
}

// listening returns the servers that listen where the origin is, or would
// through the redirects of automatic HTTPS. Those that only this machine
// reaches come last.
func (x *examination) listening(s *shop) []*server {
	app := &x.config.Apps.HTTP
	port, _ := strconv.Atoi(s.port())
	ports := []int{port}
	switch port {
	case 80:
		ports = append(ports, app.HTTPPort)
	case 443:
		ports = append(ports, app.HTTPSPort)
	}
	var far, near []*server
	for _, srv := range x.config.servers() {
		var local, remote bool
		for _, l := range srv.Listen {
			a := parseListen(x.listenText(l))
			fits := slices.ContainsFunc(ports, func(p int) bool { return a.low <= p && p <= a.high })
			encrypted := x.config.servesTLS(srv) && a.low != app.HTTPPort
			if fits && encrypted == (s.origin.Scheme == "https") {
				local, remote = local || gateway.Loopback(a.host), remote || !gateway.Loopback(a.host)
			}
		}
		switch {
		case remote:
			far = append(far, srv)
		case local:
			near = append(near, srv)
		}
	}
	list := slices.Concat(far, near)
	if len(list) == 0 && s.origin.Scheme == "http" && port == 80 {
		return []*server{{name: "automatic HTTPS"}}
	}
	return list
}

func (x *examination) listenText(l string) string {
	text, _ := x.resolve(l)
	return text
}

// follow sends a request through the routes of a server.
func (x *examination) follow(s *shop, srv *server, r request) *walk {
	if !x.config.servesTLS(srv) {
		r.scheme = "http"
	}
	w := &walk{x: x, server: srv, shop: s, request: r}
	routes := srv.Routes
	if r.scheme == "http" && r.port == "80" {
		routes = x.config.httpsRedirects(routes)
	}
	w.run(routes)
	return w
}

func (w *walk) entered() bool {
	return slices.ContainsFunc(w.outcomes, func(o outcome) bool { return o.st.entered })
}

func (w *walk) reaches() bool {
	return slices.ContainsFunc(w.outcomes, func(o outcome) bool { return o.kind == reached })
}

// reachThrough follows the notify through the servers at the origin. It returns
// the walk that reached the shop, or else the first that found a site, or nil.
func (x *examination) reachThrough(s *shop, servers []*server) *walk {
	var first *walk
	for _, srv := range servers {
		w := x.follow(s, srv, s.notify())
		if w.reaches() {
			return w
		}
		if first == nil && w.entered() {
			first = w
		}
	}
	return first
}

// reachBehind follows the notify through the other servers, as a proxy in
// front would send it.
func (x *examination) reachBehind(s *shop, direct []*server) *walk {
	origin := s.origin.String()
	right := fmt.Sprintf("Write the address of the site as origin, or serve it:\n\n%s {\n\tcheckout {\n\t\torigin %s\n\t\t…\n\t}\n}", origin, origin)
	var others []*server
	for _, srv := range x.config.servers() {
		if !slices.Contains(direct, srv) {
			others = append(others, srv)
		}
	}
	w := x.reachThrough(s, others)
	if w != nil && !w.reaches() && !slices.ContainsFunc(w.outcomes, func(o outcome) bool { return x.standsIn(s, o.site) }) {
		w = nil
	}
	if w == nil {
		w = x.reachPrivate(s, others)
	}
	if w == nil {
		x.find(s, Error, "origin-unserved",
			fmt.Sprintf("No site of this configuration serves %s, where the gateway sends its notifies: the block stands in %s.", origin, s.where.Site), right)
		return nil
	}
	if len(direct) > 0 {
		x.find(s, Error, "origin-unserved",
			fmt.Sprintf("No site serves %s, where the gateway sends its notifies: the block stands in %s, which listens on %s, and other sites have the origin's port.", origin, s.where.Site, joined(w.server.Listen)), right)
		return w
	}
	x.find(s, Note, "origin-proxied",
		fmt.Sprintf("Caddy itself does not serve %s: the block stands in %s, which listens on %s. That is right if a proxy in front serves it and passes on the path as it is, with Host: %s.",
			origin, s.where.Site, joined(w.server.Listen), w.request.host),
		"Otherwise let Caddy serve it:\n\n"+origin+" {\n\t…\n}")
	return w
}

// reachPrivate follows the notify as a proxy would send it that writes the
// address of the site that it proxies to into the Host header.
func (x *examination) reachPrivate(s *shop, servers []*server) *walk {
	for _, srv := range servers {
		for _, h := range srv.hosts() {
			r := s.notify()
			if r.host = h; !gateway.Private(h) {
				continue
			}
			if w := x.follow(s, srv, r); w.reaches() {
				return w
			}
		}
	}
	return nil
}

// standsIn reports whether a block of the shop is in a site.
func (x *examination) standsIn(s *shop, site string) bool {
	return slices.ContainsFunc(x.shops, func(b *shop) bool {
		return b.identity() == s.identity() && (b.where.Site == site || strings.HasPrefix(b.where.Site, namedRoute))
	})
}

// checkListener judges whether the gateway gets through to a server at all.
func (x *examination) checkListener(s *shop, srv *server) {
	if !s.public() || srv.Listen == nil {
		return
	}
	if !slices.ContainsFunc(srv.Listen, func(l string) bool { return !gateway.Loopback(parseListen(x.listenText(l)).host) }) {
		x.find(s, Note, "origin-bound",
			fmt.Sprintf("The site listens on %s only, which the gateway cannot reach. That is right if something on this machine passes the traffic on.", joined(srv.Listen)),
			"Otherwise leave out the line bind.")
	}
	if s.origin.Scheme == "https" {
		x.checkCertificate(s, srv)
	}
}

func (x *examination) checkCertificate(s *shop, srv *server) {
	tls, host := &x.config.Apps.TLS, s.origin.Hostname()
	if (srv.AutoHTTPS.Disable || srv.AutoHTTPS.DisableCerts) && len(tls.Certificates) == 0 && len(tls.Automation.Policies) == 0 {
		x.find(s, Error, "certificate-none",
			"auto_https is off and no certificate is configured, so no TLS connection to the shop succeeds.",
			"Leave out auto_https off, or name a certificate:\n\ntls /etc/ssl/shop.pem /etc/ssl/shop.key")
	}
	covers := func(names []string) bool {
		return len(names) == 0 || slices.ContainsFunc(names, func(n string) bool { return hostMatches(n, host) })
	}
	for _, p := range tls.Automation.Policies {
		if !covers(p.Subjects) {
			continue
		}
		if len(p.Issuers) > 0 && !slices.ContainsFunc(p.Issuers, func(i struct {
			Module string `json:"module"`
		}) bool {
			return i.Module != "internal"
		}) {
			x.find(s, Warning, "certificate-internal",
				"The certificate of this public site comes from Caddy's own authority, which neither buyers' browsers nor the gateway trust.",
				"Leave out tls internal and local_certs; Caddy then gets a public certificate by itself.")
		}
		break
	}
	for _, p := range srv.Policies {
		var names []string
		if json.Unmarshal(p.Match["sni"], &names) == nil && !covers(names) {
			continue
		}
		if a := p.ClientAuth; a != nil && a.Mode != "request" && a.Mode != "verify_if_given" {
			x.find(s, Error, "notify-auth",
				"The site demands a client certificate, which the gateway does not have: its notifies never arrive.",
				"Give the shop a site without client_auth, or:\n\ntls {\n\tclient_auth {\n\t\tmode verify_if_given\n\t}\n}")
		}
		break
	}
}
