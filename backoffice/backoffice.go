// Package backoffice is the merchant's pages: see, search, decide, export.
// They are drawn on the server, work without JavaScript and load nothing from
// elsewhere; a script only keeps open pages up to date. Links are relative, so
// that the pages work below any path prefix.
package backoffice

import (
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/caddy-checkout/checkout/internal/merchant"
	"github.com/caddy-checkout/checkout/internal/store"
)

// nobody is who decides where everybody is let in.
const nobody = "backoffice"

// Config is what the back office needs. Desk is required.
type Config struct {
	Desk             func() (*merchant.Desk, error) // an error: not ready, answered with 503
	Title            string                         // over every page; empty: "Back office" in the reader's language
	AllowUnprotected bool                           // serve requests of nobody in particular
	End              <-chan struct{}                // closed when live streams must end; nil: never
	Log              *slog.Logger                   // nil: silent
	Now              func() time.Time               // nil: time.Now
}

// Visitor is what the server in front knows of a request.
type Visitor struct {
	// User is who the request was authenticated as. Empty: nobody, which is
	// answered with 403 unless Config.AllowUnprotected.
	User string
	// Path is the path that the browser asked for, before any prefix was
	// stripped.
	Path string
}

// Office serves the pages. It is safe for concurrent use.
type Office struct {
	c     Config
	cross *http.CrossOriginProtection
	pages [languages]*template.Template
}

// New makes an Office.
func New(c Config) (*Office, error) {
	if c.Desk == nil {
		return nil, errors.New("a back office needs a desk")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	o := &Office{c: c, cross: http.NewCrossOriginProtection()}
	for l := range o.pages {
		pages, err := loadPages(lang(l))
		if err != nil {
			return nil, fmt.Errorf("loading pages: %w", err)
		}
		o.pages[l] = pages
	}
	return o, nil
}

// visit is a request on its way through the office.
type visit struct {
	*Office
	w     http.ResponseWriter
	r     *http.Request
	route route
	lang  lang
	user  string
	desk  *merchant.Desk
}

// Serve answers a request of v.
func (o *Office) Serve(w http.ResponseWriter, r *http.Request, v Visitor) {
	s := &visit{Office: o, w: w, r: r, route: parseRoute(r.URL.Path), lang: langOf(r), user: strings.TrimSpace(v.User)}
	if s.user == "" {
		if !o.c.AllowUnprotected {
			s.refuse(unprotected)
			return
		}
		s.user = nobody
	}
	serve, method := s.handler()
	switch {
	case serve == nil:
		s.refuse(notFound)
	case !allows(method, r.Method):
		w.Header().Set("Allow", strings.Replace(method, http.MethodGet, "GET, HEAD", 1))
		s.refuse(wrongMethod)
	case method == http.MethodPost && !s.sameOrigin():
		s.refuse(crossSite)
	case s.route.name == "overview" && !strings.HasSuffix(v.Path, "/"):
		// Without the slash, the browser would look for the links elsewhere.
		w.Header().Set("Location", "./"+url.PathEscape(path.Base(v.Path))+"/")
		w.WriteHeader(http.StatusPermanentRedirect)
	default:
		desk, err := o.c.Desk()
		if err != nil {
			s.fail(fmt.Errorf("%w: %w", store.ErrUnavailable, err))
			return
		}
		s.desk = desk
		if err := serve(); err != nil {
			s.fail(err)
		}
	}
}

// handler returns what serves the route, and its method.
func (s *visit) handler() (serve func() error, method string) {
	switch s.route.name {
	case "overview":
		return s.overview, http.MethodGet
	case "orders":
		return s.orders, http.MethodGet
	case "csv":
		return s.csv, http.MethodGet
	case "order":
		return s.order, http.MethodGet
	case "decide":
		return s.decide, http.MethodPost
	case "deliveries":
		return s.deliveries, http.MethodGet
	case "redeliver":
		return s.redeliver, http.MethodPost
	case "orphans":
		return s.orphans, http.MethodGet
	case "charts":
		return s.charts, http.MethodGet
	case "live":
		return s.live, http.MethodGet
	}
	return nil, ""
}

func allows(method, got string) bool {
	return method == got || method == http.MethodGet && got == http.MethodHead
}

// sameOrigin reports whether a POST comes from a page of this site. Beyond
// what the standard library refuses, a request that tells nothing of where it
// comes from is refused: programs have the admin API.
func (s *visit) sameOrigin() bool {
	h := s.r.Header
	if h.Get("Sec-Fetch-Site") == "" && h.Get("Origin") == "" {
		return false
	}
	return s.cross.Check(s.r) == nil
}
