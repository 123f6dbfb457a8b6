package doctor

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// unknown stands for a value that only a real request would show.
const unknown = "\x00"

// request is what is sent through the routes.
type request struct {
	method, scheme, host, port, path string

	fromServer bool // the gateway's server, no browser
	fromPublic bool // from outside this network
}

// state is a request on its way: what the routes made of it so far.
type state struct {
	method, path, query string

	root      string // the site's root, as directive root sets it
	relative  string // the file that a matcher found
	groups    string // that matched, each between bars
	limit     int64  // bytes of the body, 0 for none
	limitAt   string
	rewriteAt string // where the path or the method was last changed
	rewriteBy string // the directive
	doubt     string // what first may have decided otherwise, in words
	skipped   string // the matcher that kept it from the shop's block
	failed    string // why the request ends as an error
	entered   bool   // a route matched
}

// outcome is one way in which a request ends, or is refused.
type outcome struct {
	kind string // see the constants
	at   string // the path in the JSON
	site string
	what string // the handler, as in a Caddyfile
	st   state
}

const (
	reached    = "reached"
	authAsked  = "auth"
	redirected = "redirect"
	answered   = "answered"
	otherShop  = "other shop"
	strange    = "strange" // a handler that is not known may answer
	emptied    = "emptied" // the body is replaced
	fellOff    = "nothing"
)

// walk follows one request through the routes of one server. Where a matcher
// cannot be judged, it goes both ways.
type walk struct {
	x        *examination
	server   *server
	shop     *shop // that is looked for
	request  request
	file     string // that is looked for, absolute; may be empty
	outcomes []outcome
	site     string
	depth    int
	invoked  []string // named routes that the request is in
}

func (w *walk) run(routes []route) {
	in := []state{{method: w.request.method, path: w.request.path}}
	for _, st := range w.routes(routes, in, "apps/http/servers/"+w.server.name+"/routes") {
		w.end(fellOff, "", "", st)
	}
}

// end records an outcome; of one that may happen and does happen, the latter.
func (w *walk) end(kind, at, what string, st state) {
	o := outcome{kind: kind, at: at, site: w.site, what: what, st: st}
	i := slices.IndexFunc(w.outcomes, func(p outcome) bool { return p.kind == kind && p.at == at })
	switch {
	case i < 0:
		w.outcomes = append(w.outcomes, o)
	case st.doubt == "":
		w.outcomes[i] = o
	}
}

func (w *walk) routes(routes []route, in []state, at string) []state {
	w.depth++
	defer func() { w.depth-- }()
	for i, r := range routes {
		here := at + "/" + strconv.Itoa(i)
		if w.depth == 1 {
			w.site = w.server.site(r)
		}
		var out []state
		for _, st := range in {
			out = union(out, w.route(r, st, here))
		}
		in = out
	}
	return in
}

// route returns the states in which a request goes on after a route.
func (w *walk) route(r route, st state, at string) []state {
	group := "|" + r.Group + "|"
	if r.Group != "" && strings.Contains(st.groups, group) {
		return []state{st}
	}
	v, reason, matched := w.match(r.Match, st)
	if v == no {
		return []state{w.missing(r, st, reason)}
	}
	matched.entered = true
	if r.Group != "" {
		matched.groups += group
	}
	missed := st
	if v == maybe {
		missed = w.missing(r, st, reason)
		if st.doubt == "" {
			missed.doubt = "the matcher " + reason
			matched.doubt = missed.doubt
		}
	}
	if matched.failed != "" {
		w.end(answered, at, matched.failed, matched)
		return nil
	}
	out := []state{matched}
	for i, h := range r.Handle {
		var next []state
		for _, s := range out {
			next = union(next, w.handler(r, h, s, at+"/handle/"+strconv.Itoa(i)))
		}
		out = next
	}
	if r.Terminal {
		for _, s := range out {
			w.end(fellOff, "", "", s)
		}
		out = nil
	}
	if v == yes {
		return out
	}
	// A route that changes nothing leaves no doubt.
	for i := range out {
		same := out[i]
		same.doubt, same.relative, same.entered, same.groups = st.doubt, st.relative, st.entered, st.groups
		if same == st {
			out[i] = st
			missed = st
		}
	}
	return union(out, []state{missed})
}

// missing returns the state in which a request goes past a route because of a
// matcher.
func (w *walk) missing(r route, st state, reason string) state {
	otherSite := !st.entered && strings.HasPrefix(reason, "host ")
	if st.skipped == "" && !otherSite && w.holdsShop(r.Handle) {
		st.skipped = reason
	}
	return st
}

func union(a, b []state) []state {
	for _, st := range b {
		if !slices.Contains(a, st) {
			a = append(a, st)
		}
	}
	return a
}

// handler returns the states in which a request goes on after a handler.
func (w *walk) handler(r route, h handler, st state, at string) []state {
	pass := []state{st}
	switch h.name {
	case "checkout":
		return w.checkout(h, st, at)
	case "subroute":
		var sub struct {
			Routes []route `json:"routes"`
		}
		if json.Unmarshal(h.raw, &sub) != nil {
			return pass
		}
		return w.routes(sub.Routes, pass, at+"/routes")
	case "invoke":
		var invoke struct {
			Name string `json:"name"`
		}
		named, ok := route{}, false
		if json.Unmarshal(h.raw, &invoke) == nil {
			named, ok = w.server.NamedRoutes[invoke.Name]
		}
		if !ok || slices.Contains(w.invoked, invoke.Name) {
			return pass
		}
		w.invoked = append(w.invoked, invoke.Name)
		out := w.routes([]route{named}, pass, "apps/http/servers/"+w.server.name+"/named_routes/"+invoke.Name)
		w.invoked = w.invoked[:len(w.invoked)-1]
		return out
	case "authentication":
		w.end(authAsked, at, "basic_auth", st)
		return pass
	case "reverse_proxy":
		if isForwardAuth(h.raw) {
			w.end(authAsked, at, "forward_auth", st)
			return pass
		}
		w.end(answered, at, "reverse_proxy", st)
		return nil
	case "static_response":
		w.staticResponse(r, h, st, at)
		return nil
	case "file_server":
		if w.fetches(h.raw, &st) {
			w.end(exposed, at, "file_server", st)
			return nil
		}
		var files struct {
			PassThru bool `json:"pass_thru"`
		}
		if json.Unmarshal(h.raw, &files) == nil && files.PassThru {
			return pass
		}
		w.end(answered, at, "file_server", st)
		return nil
	case "error", "metrics", "checkout_sandbox", "copy_response":
		w.end(answered, at, h.name, st)
		return nil
	case "rewrite":
		return []state{w.rewrite(h.raw, st, at)}
	case "request_body":
		return []state{w.requestBody(h.raw, st, at)}
	case "vars":
		var vars struct {
			Root *string `json:"root"`
		}
		if json.Unmarshal(h.raw, &vars) == nil && vars.Root != nil {
			root, ok := w.expand(*vars.Root, &st)
			if !ok {
				root = unknown
			}
			st.root = root
		}
		return []state{st}
	case "headers", "encode", "templates", "map", "tracing", "push", "log_append", "intercept",
		"copy_response_headers", "acme_server", "timeouts":
		return pass
	}
	w.end(strange, at, h.name, st)
	return pass
}

// checkout passes on what is not below the block's path, as the handler does.
func (w *walk) checkout(h handler, st state, at string) []state {
	i := slices.IndexFunc(w.x.shops, func(s *shop) bool { return string(s.raw) == string(h.raw) })
	if i < 0 {
		return []state{st}
	}
	s := w.x.shops[i]
	if st.path != unknown && st.path != s.Path && !strings.HasPrefix(st.path, s.Path+"/") {
		return []state{st}
	}
	if s.identity() != w.shop.identity() {
		w.end(otherShop, at, s.name(), st)
		return nil
	}
	if st.path == unknown {
		passed := st
		if passed.doubt == "" {
			passed.doubt = "the rewrite"
		}
		w.end(reached, at, "checkout", passed)
		return []state{passed}
	}
	w.end(reached, at, "checkout", st)
	return nil
}

func (w *walk) staticResponse(r route, h handler, st state, at string) {
	var response struct {
		Status json.RawMessage `json:"status_code"`
		Abort  bool            `json:"abort"`
	}
	what := "respond"
	if json.Unmarshal(h.raw, &response) == nil {
		status := strings.Trim(string(response.Status), `"`)
		switch {
		case r.auto:
			w.end(redirected, "", "automatic HTTPS", st)
			return
		case strings.HasPrefix(status, "3"):
			w.end(redirected, at, "redir", st)
			return
		case response.Abort:
			what = "abort"
		}
	}
	w.end(answered, at, what, st)
}

func (w *walk) requestBody(raw json.RawMessage, st state, at string) state {
	var body struct {
		MaxSize int64  `json:"max_size"`
		Set     string `json:"set"`
	}
	if json.Unmarshal(raw, &body) != nil {
		return st
	}
	if body.MaxSize > 0 && (st.limit == 0 || body.MaxSize < st.limit) {
		st.limit, st.limitAt = body.MaxSize, at
	}
	if body.Set != "" {
		w.end(emptied, at, "request_body set", st)
	}
	return st
}

// isForwardAuth knows a proxy that only asks whether to go on: it sends a GET
// of its own, and goes on if the answer is 2xx.
func isForwardAuth(raw json.RawMessage) bool {
	var proxy struct {
		Rewrite *struct {
			Method string `json:"method"`
		} `json:"rewrite"`
		HandleResponse []struct {
			Match *struct {
				StatusCode []int `json:"status_code"`
			} `json:"match"`
		} `json:"handle_response"`
	}
	if json.Unmarshal(raw, &proxy) != nil || proxy.Rewrite == nil || proxy.Rewrite.Method != "GET" {
		return false
	}
	for _, hr := range proxy.HandleResponse {
		if hr.Match != nil && slices.Contains(hr.Match.StatusCode, 2) {
			return true
		}
	}
	return false
}

// holdsShop reports whether handlers hold the block that is looked for.
func (w *walk) holdsShop(list []handler) bool {
	return slices.ContainsFunc(list, func(h handler) bool {
		return strings.Contains(string(h.raw), string(w.shop.raw))
	})
}
