package handlers

import (
	"bytes"
	"crypto/rand"
	"embed"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
)

//go:embed pages
var files embed.FS

// loadPages parses the pages in one language: a template for each file.
func loadPages(l language) (*template.Template, error) {
	set := template.New("")
	err := fs.WalkDir(files, "pages", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := files.ReadFile(path)
		if err != nil {
			return err
		}
		text, err := l.translate(string(content))
		if err != nil {
			return err
		}
		_, err = set.New(d.Name()).Parse(text)
		return err
	})
	return set, err
}

// page is one answer to a person. The exported fields are the template's.
type page struct {
	status     int
	name       string // of the template
	formAction string // CSP sources that its forms may be sent to; empty: none
	images     string // CSP sources of pictures besides the site itself

	Nonce string
	Test  bool
	Body  any
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// buffer returns one of buffers, empty. Nothing of it is used once it is put back.
func buffer() *bytes.Buffer {
	b := buffers.Get().(*bytes.Buffer)
	b.Reset()
	return b
}

// render writes a page. Nothing is sent before all of it is there.
func (s *shop) render(w http.ResponseWriter, r *http.Request, l language, p page) {
	p.Nonce, p.Test = rand.Text(), s.c.Test
	b := buffer()
	defer buffers.Put(b)
	if err := s.pages[l].ExecuteTemplate(b, p.name, &p); err != nil {
		s.c.Log.Error("rendering page", "page", p.name, "error", err)
		http.Error(w, internal.code, internal.status)
		return
	}
	formAction := p.formAction
	if formAction == "" {
		formAction = "'none'"
	}
	h := w.Header()
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	h.Set("Content-Language", l.text("lang"))
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'nonce-"+p.Nonce+"'; script-src 'nonce-"+p.Nonce+
		"'; img-src 'self'"+p.images+"; connect-src 'self'; form-action "+formAction+"; frame-ancestors 'none'; base-uri 'none'")
	// The gateway and checks of Origin see who asks, but nobody sees the path,
	// which holds the order's id.
	h.Set("Referrer-Policy", "strict-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	send(w, r, p.status, "text/html; charset=utf-8", b.Bytes())
}

// sourceOf returns the origin of a link as a CSP source: empty for links
// within the site, and for hosts that would not be one word of a policy.
func sourceOf(link string) string {
	u, err := url.Parse(link)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return ""
	}
	for _, c := range u.Host {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]", c) {
			return ""
		}
	}
	if u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// beijing is where the gateway's clocks and most of its buyers are.
var beijing = time.FixedZone("UTC+8", 8*60*60)

// clock is a time for people and for programs.
type clock struct{ time.Time }

// Machine is the datetime attribute.
func (c clock) Machine() string { return c.UTC().Format(time.RFC3339) }

func (c clock) String() string { return c.In(beijing).Format("2006-01-02 15:04") }

// again is the link to the review page of the same items.
func (s *shop) again(lines []order.Line) string {
	var b strings.Builder
	b.WriteString(s.c.Path)
	for i, l := range lines {
		b.WriteByte("?&"[min(i, 1)])
		b.WriteString("sku=" + url.QueryEscape(l.SKU) + "&qty=" + strconv.Itoa(l.Qty))
	}
	return b.String()
}
