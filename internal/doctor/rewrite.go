package doctor

import (
	"encoding/json"
	"net/url"
	"path"
	"strings"
)

// rewrite changes the request as the handler does, as far as it can be known.
func (w *walk) rewrite(raw json.RawMessage, st state, at string) state {
	var r struct {
		Method     string            `json:"method"`
		URI        string            `json:"uri"`
		Prefix     string            `json:"strip_path_prefix"`
		Suffix     string            `json:"strip_path_suffix"`
		Substrings []json.RawMessage `json:"uri_substring"`
		Regexps    []json.RawMessage `json:"path_regexp"`
		Query      json.RawMessage   `json:"query"`
	}
	if json.Unmarshal(raw, &r) != nil {
		return st
	}
	before := st
	if r.Method != "" {
		st.method = strings.ToUpper(w.orUnknown(r.Method, &before))
	}
	if r.URI != "" {
		uri := w.orUnknown(r.URI, &before)
		p, query, hasQuery := strings.Cut(uri, "?")
		if uri == unknown {
			p, query, hasQuery = unknown, unknown, true
		}
		if p != "" {
			st.path = p
		}
		if hasQuery {
			st.query = query
		}
	}
	if r.Prefix != "" && st.path != unknown {
		prefix := w.orUnknown(r.Prefix, &before)
		if prefix == unknown {
			st.path = unknown
		} else if rest, ok := strings.CutPrefix(st.path, "/"+strings.TrimPrefix(prefix, "/")); ok {
			st.path = path.Join("/", rest)
		}
	}
	if r.Suffix != "" && st.path != unknown {
		st.path = strings.TrimSuffix(st.path, w.orUnknown(r.Suffix, &before))
	}
	if len(r.Substrings)+len(r.Regexps) > 0 {
		st.path, st.query = unknown, unknown
	}
	if r.Query != nil {
		st.query = unknown
	}
	if st.path != before.path || st.method != before.method {
		st.rewriteAt, st.rewriteBy = at, "rewrite or uri"
		switch {
		case r.Prefix != "":
			st.rewriteBy = "handle_path or uri strip_prefix"
		case strings.Contains(r.URI, "{http.matchers.file."):
			st.rewriteBy = "try_files"
		case st.path == before.path:
			st.rewriteBy = "method"
		}
	}
	return st
}

func (w *walk) orUnknown(text string, st *state) string {
	out, ok := w.expand(text, st)
	if !ok {
		return unknown
	}
	return out
}

// expand replaces placeholders; ok is false if one is not known here.
func (w *walk) expand(text string, st *state) (out string, ok bool) {
	ok = true
	out = placeholder.ReplaceAllStringFunc(text, func(p string) string {
		v, has := w.value(p, st)
		if !has || v == unknown {
			ok = false
		}
		return v
	})
	return out, ok
}

func (w *walk) value(p string, st *state) (string, bool) {
	switch p {
	case "{http.request.method}":
		return st.method, true
	case "{http.request.scheme}":
		return w.request.scheme, true
	case "{http.request.host}":
		return w.request.host, true
	case "{http.request.port}":
		return w.request.port, true
	case "{http.request.uri.path}":
		return st.path, true
	case "{http.request.uri.query}":
		return st.query, true
	case "{http.request.uri}":
		if st.path == unknown || st.query == unknown {
			return "", false
		}
		if st.query == "" {
			return st.path, true
		}
		return (&url.URL{Path: st.path, RawQuery: st.query}).RequestURI(), true
	case "{http.request.orig_uri.path}", "{http.request.orig_uri}":
		return w.request.path, true
	case "{http.vars.root}":
		if st.root == "" {
			return ".", true
		}
		return st.root, true
	case "{http.matchers.file.relative}":
		return st.relative, st.relative != ""
	}
	if strings.HasPrefix(p, "{env.") || strings.HasPrefix(p, "{file.") {
		return w.x.options.Lookup(p)
	}
	return "", false
}
