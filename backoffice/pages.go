package backoffice

import (
	"bytes"
	"crypto/rand"
	"embed"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
)

//go:embed pages
var files embed.FS

func loadPages(l lang) (*template.Template, error) {
	return template.New("").Funcs(template.FuncMap{
		"t":       l.text,
		"known":   l.known,
		"state":   func(s order.State) string { return l.say("state_" + s.String()) },
		"clock":   func(t time.Time) string { return t.In(beijing).Format("2006-01-02 15:04") },
		"seconds": func(t time.Time) string { return t.In(beijing).Format("2006-01-02 15:04:05") },
		"machine": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"took":    func(d time.Duration) string { return d.Round(time.Millisecond).String() },
		"yuan":    yuan,
		"short":   func(id string) string { return "…" + id[max(0, len(id)-8):] },
		"shop":    shopName,
		"items":   items,
		"target":  l.target,
		"listed":  listed,
	}).ParseFS(files, "pages/*")
}

// listed gives a table in a page what it needs besides its rows.
func listed(up, caption string, rows any) map[string]any {
	return map[string]any{"Up": up, "Caption": caption, "Rows": rows}
}

// known is the message for a word of the program that is kept in the store,
// or the word itself, which may be a person's name.
func (l lang) known(kind, word string) string {
	if m, ok := messages[kind+"_"+word]; ok {
		return m[l]
	}
	return word
}

// target names where a delivery goes.
func (l lang) target(target string) string {
	if url, ok := strings.CutPrefix(target, "webhook:"); ok {
		return url
	}
	return l.known("target", target)
}

// beijing is where the gateway's clocks and most of its merchants are.
var beijing = time.FixedZone("UTC+8", 8*60*60)

// yuan writes money with commas for the eye.
func yuan(m order.Money) string {
	s := m.String()
	whole, cents, _ := strings.Cut(s, ".")
	var b strings.Builder
	b.WriteString("¥")
	for i, c := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 && whole[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return b.String() + "." + cents
}

// shopName is a shop's identity without what people need not read: its address
// alone.
func shopName(id string) string {
	_, address, found := strings.Cut(id, "@")
	if !found {
		return id
	}
	address, _, _ = strings.Cut(address, " via ")
	if _, bare, ok := strings.Cut(address, "://"); ok {
		return bare
	}
	return address
}

// items is a line about what an order holds.
func items(lines []order.Line) string {
	var parts []string
	for i, l := range lines {
		if i == 3 {
			parts = append(parts, "…")
			break
		}
		parts = append(parts, l.Name+"\u00a0×\u00a0"+strconv.Itoa(l.Qty))
	}
	return strings.Join(parts, ", ")
}

// page is one answer to a person. The exported fields are the template's.
type page struct {
	Name   string // of the template, without its ending
	Status int
	Nonce  string
	Lang   string
	Title  string // of the office
	Up     string // the relative link to the overview; empty: unknown
	User   string
	Open   bool   // everybody is let in
	Order  string // the order that live updates are about; empty: all
	Live   bool   // the page follows the feed
	Body   any
}

// render writes a page. Nothing is sent before all of it is there.
func (s *visit) render(p page) error {
	p.Nonce, p.Lang, p.Up, p.User = rand.Text(), s.lang.say("lang"), s.route.up, s.user
	p.Open = s.c.AllowUnprotected && s.user == nobody
	if p.Title = s.c.Title; p.Title == "" {
		p.Title = s.lang.say("title")
	}
	if p.Status == 0 {
		p.Status = http.StatusOK
	}
	var b bytes.Buffer
	if err := s.pages[s.lang].ExecuteTemplate(&b, p.Name+".html", &p); err != nil {
		return err
	}
	h := s.w.Header()
	s.guard()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", p.Lang)
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	h.Add("Vary", "Accept-Language")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'nonce-"+p.Nonce+"'; script-src 'nonce-"+p.Nonce+
		"'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	s.w.WriteHeader(p.Status)
	if s.r.Method != http.MethodHead {
		_, _ = s.w.Write(b.Bytes()) // a client that has gone misses it
	}
	return nil
}

// guard sets the headers of every answer: it is for this reader alone.
func (s *visit) guard() {
	h := s.w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	// The check of POSTs needs an Origin in the office's own.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// redirect sends the browser from a POST to a page of the office.
func (s *visit) redirect(page string) error {
	s.guard()
	s.w.Header().Set("Location", s.route.up+page)
	s.w.WriteHeader(http.StatusSeeOther)
	return nil
}
