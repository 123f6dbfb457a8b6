package sandbox

import (
	"bytes"
	"crypto/rand"
	"embed"
	"html/template"
	"net/http"
	"time"

	"golang.org/x/text/language"
)

//go:embed pages
var pageFiles embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"clock": func(t time.Time) string { return t.In(beijing).Format("15:04:05") },
	"iso":   func(t time.Time) string { return t.In(beijing).Format(time.RFC3339) },
	"other": otherAmount,
}).ParseFS(pageFiles, "pages/*.html", "pages/style.css"))

// page is what the templates see; each uses its own members.
type page struct {
	T     *texts
	name  string
	lang  lang
	Nonce string

	Error    error       // excuse
	Message  *message    // refused
	Signed   []string    // refused: the signed fields in order
	Order    *orderView  // cashier
	Next     string      // where the browser goes next
	Refresh  string      // after how many seconds it does so by itself; empty: never
	Orders   []orderView // inspector
	Messages []*message  // inspector
	Before   int64       // inspector: where the next page of messages begins
	Live     bool        // inspector: it reloads itself
	Settings []setting   // inspector
}

// setting is a choice of misbehaviours.
type setting struct {
	Name, Title, Now string
	Choices          []string
}

// Say is r in the page's language.
func (p *page) Say(r reason) string { return r.in(p.lang) }

// Excuse is what kind of error Error is.
func (p *page) Excuse() string { return p.T.excuses[statusOfError(p.Error)] }

// Kind is the name of a kind of message.
func (p *page) Kind(kind string) string { return p.T.kinds[kind] }

// State is the name of an order's state.
func (p *page) State(state string) string { return p.T.states[state] }

// lang is an index into texts.
type lang int

const (
	english lang = iota
	chinese
	languages
)

var matcher = language.NewMatcher([]language.Tag{english: language.English, chinese: language.SimplifiedChinese})

func (g *Gateway) page(r *http.Request, name string) *page {
	_, i := language.MatchStrings(matcher, r.Header.Get("Accept-Language"))
	return &page{T: &allTexts[i], name: name, lang: lang(i), Nonce: rand.Text()}
}

func (g *Gateway) render(w http.ResponseWriter, status int, p *page) {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, p.name+".html", p); err != nil {
		g.c.Log.Error("rendering sandbox page", "page", p.name, "error", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", p.T.Lang)
	h.Set("Vary", "Accept-Language")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	// The guard against foreign pages needs an Origin in the sandbox's own posts.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'nonce-"+p.Nonce+
		"'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// excuse is the page for a button that cannot be done.
func (g *Gateway) excuse(w http.ResponseWriter, r *http.Request, err error) {
	p := g.page(r, "excuse")
	p.Error = err
	g.render(w, statusOfError(err), p)
}

// Title is the page's name in the browser.
func (p *page) Title() string {
	switch p.name {
	case "cashier":
		return p.T.Cashier
	case "refused":
		return p.T.Refused
	case "excuse":
		return p.T.CannotDo
	}
	return p.T.Inspector
}
