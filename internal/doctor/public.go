package doctor

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/caddy-checkout/checkout/internal/gateway"
)

// private is a file that nobody but the merchant may read.
type private struct {
	file  string // absolute
	code  string
	shop  string
	what  string // it is, in words
	right string
}

// exposed is how a walk ends that fetches the file it looks for.
const exposed = "exposed"

// checkPublic looks for private files that the sites hand out to everyone.
func (x *examination) checkPublic() {
	files := x.privateFiles()
	for _, srv := range x.config.servers() {
		for _, r := range srv.Routes {
			f := new(fileSites)
			for _, h := range r.Handle {
				f.gather(x, h.raw)
			}
			if !f.served {
				continue
			}
			for _, p := range files {
				x.checkExposed(srv, r, f, p)
			}
		}
	}
}

func (x *examination) privateFiles() []private {
	var list []private
	if len(x.shops) > 0 && x.options.StoreFile != nil {
		if file := x.options.StoreFile(x.config.Apps.Checkout.Store); file != "" {
			list = append(list, private{
				file: file, code: "store-public",
				what:  "the file with all orders of all shops, and so the names and addresses of all buyers",
				right: "Keep it where no site has its root, and move it while Caddy is stopped (with its -wal and -shm files, if there are any):\n\n{\n\tcheckout {\n\t\tstore sqlite /var/lib/checkout/orders.db\n\t}\n}",
			})
		}
	}
	if dir := x.options.DataDir; dir != "" && len(x.shops) > 0 {
		list = append(list, private{
			file: filepath.Join(dir, "certificates"), code: "secret-public",
			what:  "Caddy's data directory, where the keys of the certificates are",
			right: "Serve another directory, or let Caddy keep its data elsewhere: set XDG_DATA_HOME for it, like /var/lib/caddy.",
		})
	}
	secrets := func(shop string, names []string) {
		for _, name := range names {
			file, err := filepath.Abs(name)
			if err != nil {
				continue
			}
			list = append(list, private{
				file: file, code: "secret-public", shop: shop,
				what:  "the secret of {file." + name + "}",
				right: "Take a new secret, since this one may be known, and keep it where no site has its root, as in\n\ntoken {file./run/secrets/checkout_token}",
			})
		}
	}
	for _, s := range x.distinct() {
		secrets(s.name(), s.files)
	}
	var store struct {
		DSN string `json:"dsn"`
	}
	if raw := x.config.Apps.Checkout.Store; raw != nil && json.Unmarshal(raw, &store) == nil {
		secrets("", namedFiles(store.DSN))
	}
	return list
}

// namedFiles returns the files that the placeholders of a value name.
func namedFiles(v string) []string {
	var names []string
	for _, p := range placeholder.FindAllString(v, -1) {
		if name, ok := strings.CutPrefix(p, "{file."); ok {
			names = append(names, strings.TrimSuffix(name, "}"))
		}
	}
	return names
}

// checkExposed asks a site for a file, in every way in which its path may be
// written.
func (x *examination) checkExposed(srv *server, r route, f *fileSites, p private) {
	for _, target := range f.targets(p.file) {
		req := request{method: http.MethodGet, scheme: "https", host: "localhost", port: "443", path: target, fromPublic: true}
		if hosts := r.hosts(); len(hosts) > 0 {
			req.host = strings.Replace(x.listenText(hosts[0]), "*", "any", 1)
			req.fromPublic = !gateway.Private(req.host)
		}
		w := &walk{x: x, server: srv, shop: new(shop), request: req, file: p.file}
		if !x.config.servesTLS(srv) {
			w.request.scheme = "http"
		}
		w.run(srv.Routes)
		for _, o := range w.outcomes {
			if o.kind != exposed {
				continue
			}
			f := Finding{Code: p.code, Severity: Error, Shop: p.shop, Where: Where{Site: o.site, Server: srv.name, Route: o.at}, Right: p.right}
			f.Wrong = "Anyone can download " + p.what + ": file_server answers GET " + (&url.URL{Path: target}).EscapedPath() + " with it."
			if o.st.doubt != "" {
				f.Severity = Warning
				f.Wrong += " Whether it comes to that depends on " + o.st.doubt + "; doctor cannot tell without a real request."
			}
			x.add(f)
		}
	}
}

// fileSites is what the handlers of a site say of files.
type fileSites struct {
	served   bool
	roots    []string // absolute
	prefixes []string // that are taken off paths
}

func (f *fileSites) gather(x *examination, raw json.RawMessage) {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) == nil {
		for _, v := range list {
			f.gather(x, v)
		}
		return
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(raw, &object) != nil {
		return
	}
	text := func(name string) string {
		var v string
		_ = json.Unmarshal(object[name], &v) // not a string: not of a handler
		v, _ = x.resolve(v)
		return v
	}
	switch text("handler") {
	case "file_server":
		f.served = true
		f.add(text("root"))
	case "vars":
		f.add(text("root"))
	case "rewrite":
		f.prefixes = append(f.prefixes, text("strip_path_prefix"))
	default:
		for _, name := range slices.Sorted(maps.Keys(object)) {
			f.gather(x, object[name])
		}
	}
}

// add adds a root; none is the working directory.
func (f *fileSites) add(root string) {
	if strings.Contains(root, "{") {
		return
	}
	if root, err := filepath.Abs(root); err == nil && !slices.Contains(f.roots, root) {
		f.roots = append(f.roots, root)
	}
}

// targets returns the paths of URLs that may lead to a file.
func (f *fileSites) targets(file string) []string {
	var list []string
	for _, root := range f.roots {
		below, err := filepath.Rel(root, file)
		if err != nil || !filepath.IsLocal(below) {
			continue
		}
		for _, prefix := range append([]string{""}, f.prefixes...) {
			target := "/" + strings.Trim(prefix, "/") + "/" + filepath.ToSlash(below)
			if target = strings.ReplaceAll(target, "//", "/"); !slices.Contains(list, target) {
				list = append(list, target)
			}
		}
	}
	return list
}

// fetches reports whether a file server finds the file that is looked for. A
// site without a root serves the directory that Caddy is started in, which
// need not be that of doctor.
func (w *walk) fetches(raw json.RawMessage, st *state) bool {
	s := struct {
		FS   string   `json:"fs"`
		Root string   `json:"root"`
		Hide []string `json:"hide"`
	}{Root: "{http.vars.root}"}
	if w.file == "" || st.path == unknown || json.Unmarshal(raw, &s) != nil || s.FS != "" {
		return false
	}
	root, ok := w.expand(s.Root, st)
	if !ok {
		return false
	}
	file, err := filepath.Abs(filepath.Join(root, filepath.FromSlash(st.path)))
	if err != nil || file != w.file {
		return false
	}
	if slices.ContainsFunc(s.Hide, func(h string) bool { return w.hides(h, file) }) {
		return false
	}
	if s.Root == "{http.vars.root}" && st.root == "" && st.doubt == "" {
		st.doubt = "the directory that Caddy is started in, for the site has no root"
	}
	return true
}

// hides reports whether a pattern of hide is for the file, as Caddy has it: one
// without a separator is for every part of the path.
func (w *walk) hides(pattern, file string) bool {
	pattern, _ = w.x.resolve(pattern)
	separator := string(filepath.Separator)
	if !strings.Contains(pattern, separator) {
		return slices.ContainsFunc(strings.Split(file, separator), func(part string) bool {
			hidden, err := filepath.Match(pattern, part)
			return hidden && err == nil
		})
	}
	pattern, err := filepath.Abs(pattern)
	if err != nil {
		return false
	}
	hidden, err := filepath.Match(pattern, file)
	return strings.HasPrefix(file, pattern+separator) || (hidden && err == nil)
}
