package doctor

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"
)

// verdict is what can be said of a match without a real request.
type verdict int

const (
	no verdict = iota
	maybe
	yes
)

// match judges a route's matchers, of which one set must match. reason names
// the matcher that decided, if the verdict is not yes. The state returned is
// the one after a match.
func (w *walk) match(sets []matcherSet, st state) (v verdict, reason string, after state) {
	if len(sets) == 0 {
		return yes, "", st
	}
	v, after = no, st
	for _, set := range sets {
		sv, why, sa := w.matchSet(set, st)
		switch {
		case sv == yes:
			return yes, "", sa
		case sv > v:
			v, reason, after = sv, why, sa
		case v == no && reason == "":
			reason = why
		}
	}
	return v, reason, after
}

func (w *walk) matchSet(set matcherSet, st state) (v verdict, reason string, after state) {
	v, after = yes, st
	for _, name := range slices.Sorted(maps.Keys(set)) {
		mv := w.matchOne(name, set[name], &after)
		if mv < v {
			v, reason = mv, describe(name, set[name])
		}
	}
	return v, reason, after
}

// describe names a matcher as in a Caddyfile. Only values that hold no secret
// are written out.
func describe(name string, raw json.RawMessage) string {
	var values []string
	switch name {
	case "path", "host", "method":
		if json.Unmarshal(raw, &values) == nil {
			return name + " " + strings.Join(values, " ")
		}
	case "file":
		return "file, whose files doctor may not find here"
	case "not":
		var sets []matcherSet
		if json.Unmarshal(raw, &sets) == nil && len(sets) == 1 && len(sets[0]) == 1 {
			for inner, v := range sets[0] {
				return "not " + describe(inner, v)
			}
		}
	}
	return name
}

// matchOne judges one matcher as Caddy would; one that is not known may match.
func (w *walk) matchOne(name string, raw json.RawMessage, st *state) verdict {
	judge, ok := matchers[name]
	if !ok {
		return maybe
	}
	return judge(w, raw, st)
}

var matchers map[string]func(w *walk, raw json.RawMessage, st *state) verdict

func init() {
	matchers = map[string]func(*walk, json.RawMessage, *state) verdict{
		"path":        (*walk).matchPath,
		"path_regexp": (*walk).matchPathRegexp,
		"host":        (*walk).matchHost,
		"method":      (*walk).matchMethod,
		"not":         (*walk).matchNot,
		"header":      (*walk).matchHeader,
		"query":       (*walk).matchQuery,
		"protocol":    (*walk).matchProtocol,
		"remote_ip":   (*walk).matchAddress,
		"client_ip":   (*walk).matchAddress,
		"file":        (*walk).matchFile,
	}
}

// anyOf judges a list of which one must match.
func anyOf[T any](list []T, judge func(T) verdict) verdict {
	v := no
	for _, one := range list {
		v = max(v, judge(one))
	}
	return v
}

func known(ok bool) verdict {
	if ok {
		return yes
	}
	return no
}

// patterns decodes a list of strings with their placeholders replaced, and
// judges each.
func (w *walk) patterns(raw json.RawMessage, st *state, judge func(pattern string) bool) verdict {
	var list []string
	if json.Unmarshal(raw, &list) != nil {
		return maybe
	}
	return anyOf(list, func(p string) verdict {
		text, ok := w.expand(p, st)
		if !ok {
			return maybe
		}
		return known(judge(text))
	})
}

func (w *walk) matchPath(raw json.RawMessage, st *state) verdict {
	if st.path == unknown {
		return maybe
	}
	have := strings.ToLower(st.path)
	return w.patterns(raw, st, func(p string) bool {
		p = strings.ToLower(p)
		switch stars := strings.Count(p, "*"); {
		case p == "*":
			return true
		case stars == 2 && strings.HasPrefix(p, "*") && strings.HasSuffix(p, "*"):
			return strings.Contains(have, p[1:len(p)-1])
		case stars == 1 && strings.HasPrefix(p, "*"):
			return strings.HasSuffix(have, p[1:])
		case stars == 1 && strings.HasSuffix(p, "*"):
			return strings.HasPrefix(have, p[:len(p)-1])
		}
		ok, err := path.Match(p, have)
		return err == nil && ok
	})
}

func (w *walk) matchPathRegexp(raw json.RawMessage, st *state) verdict {
	var m struct {
		Pattern string `json:"pattern"`
	}
	if json.Unmarshal(raw, &m) != nil || st.path == unknown {
		return maybe
	}
	re, err := regexp.Compile(m.Pattern)
	if err != nil {
		return maybe
	}
	return known(re.MatchString(st.path))
}

func (w *walk) matchHost(raw json.RawMessage, st *state) verdict {
	return w.patterns(raw, st, func(p string) bool { return hostMatches(p, w.request.host) })
}

// hostMatches reports whether a host matches a pattern, in which * stands for
// one label.
func hostMatches(pattern, host string) bool {
	want, have := strings.Split(strings.ToLower(pattern), "."), strings.Split(strings.ToLower(host), ".")
	return slices.EqualFunc(want, have, func(w, h string) bool { return w == h || w == "*" })
}

func (w *walk) matchMethod(raw json.RawMessage, st *state) verdict {
	return w.patterns(raw, st, func(p string) bool { return strings.EqualFold(p, st.method) })
}

func (w *walk) matchNot(raw json.RawMessage, st *state) verdict {
	var sets []matcherSet
	if json.Unmarshal(raw, &sets) != nil {
		return maybe
	}
	inner := *st
	return yes - anyOf(sets, func(set matcherSet) verdict {
		v, _, _ := w.matchSet(set, inner)
		return v
	})
}

// matchHeader knows the headers that a gateway's server certainly sends, and
// those that only browsers do.
func (w *walk) matchHeader(raw json.RawMessage, _ *state) verdict {
	var fields map[string][]string
	if json.Unmarshal(raw, &fields) != nil {
		return maybe
	}
	v := yes
	for field, values := range fields {
		v = min(v, w.headerMatches(http.CanonicalHeaderKey(field), values))
	}
	return v
}

func (w *walk) headerMatches(field string, values []string) verdict {
	if !w.request.fromServer {
		return maybe
	}
	switch field {
	case "Cookie", "Authorization", "Origin", "Referer", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Upgrade", "X-Requested-With":
		return known(values == nil) // null: must not be there
	case "Content-Type":
		if values != nil && len(values) == 0 {
			return yes
		}
		return anyOf(values, func(want string) verdict {
			ok, err := path.Match(strings.ReplaceAll(want, "/", "|"), "application|x-www-form-urlencoded")
			if err != nil || strings.Contains(want, "charset") {
				return maybe
			}
			return known(ok)
		})
	}
	return maybe
}

func (w *walk) matchQuery(raw json.RawMessage, st *state) verdict {
	var keys map[string][]string
	if json.Unmarshal(raw, &keys) != nil || st.query == unknown || st.query != "" {
		return maybe
	}
	return known(len(keys) == 0)
}

func (w *walk) matchProtocol(raw json.RawMessage, _ *state) verdict {
	var protocol string
	if json.Unmarshal(raw, &protocol) != nil {
		return maybe
	}
	switch protocol {
	case "http", "https":
		return known(protocol == w.request.scheme)
	case "grpc":
		return no
	}
	return maybe
}

// matchAddress cannot know the gateway's address, but that it is a public one.
func (w *walk) matchAddress(raw json.RawMessage, _ *state) verdict {
	var m struct {
		Ranges []string `json:"ranges"`
	}
	if json.Unmarshal(raw, &m) != nil {
		return maybe
	}
	return anyOf(m.Ranges, func(r string) verdict {
		prefix, err := netip.ParsePrefix(r)
		if err != nil {
			addr, err := netip.ParseAddr(r)
			if err != nil {
				return maybe
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		a := prefix.Addr()
		if (a.IsPrivate() || a.IsLoopback()) && prefix.Bits() > 0 && w.request.fromPublic {
			return no
		}
		return maybe
	})
}
