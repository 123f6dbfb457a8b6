package backoffice

import (
	"encoding/xml"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

func checkHeaders(t *testing.T, p string, h http.Header) {
	t.Helper()
	csp := h.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'nonce-", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(csp, want) {
			t.Errorf("%s: policy %q has no %s", p, csp, want)
		}
	}
	if h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Vary") != "Accept-Language" {
		t.Errorf("%s: headers %v", p, h)
	}
}

var (
	idAttr     = regexp.MustCompile(` id="([^"]+)"`)
	refAttr    = regexp.MustCompile(` (?:for|aria-labelledby|aria-describedby)="([^"]+)"`)
	heading    = regexp.MustCompile(`<h([1-6])`)
	headCell   = regexp.MustCompile(`<th[ >][^>]*>?`)
	control    = regexp.MustCompile(`<(?:input|select)[^>]*>`)
	forbidden  = regexp.MustCompile(`(?i) (?:style|on[a-z]+)="|src="http|href="http`)
	hiddenType = `type="hidden"`
)

// checkStructure holds a page to what people who do not see it rely on.
func checkStructure(t *testing.T, p, body string) {
	t.Helper()
	ids := make(map[string]int)
	for _, m := range idAttr.FindAllStringSubmatch(body, -1) {
		if ids[m[1]]++; ids[m[1]] > 1 {
			t.Errorf("%s: id %q is there twice", p, m[1])
		}
	}
	labelled := make(map[string]bool)
	for _, m := range refAttr.FindAllStringSubmatch(body, -1) {
		for id := range strings.FieldsSeq(m[1]) {
			if labelled[id] = true; ids[id] == 0 {
				t.Errorf("%s: nothing has the id %q", p, id)
			}
		}
	}
	for _, c := range control.FindAllString(body, -1) {
		m := idAttr.FindStringSubmatch(c)
		if !strings.Contains(c, hiddenType) && (m == nil || !labelled[m[1]]) {
			t.Errorf("%s: no label for %s", p, c)
		}
	}
	last := 0
	for _, m := range heading.FindAllStringSubmatch(body, -1) {
		level := int(m[1][0] - '0')
		if level > last+1 || level == 1 && last != 0 {
			t.Errorf("%s: heading %d follows %d", p, level, last)
		}
		last = level
	}
	for _, c := range headCell.FindAllString(body, -1) {
		if !strings.Contains(c, `scope="`) {
			t.Errorf("%s: no scope: %s", p, c)
		}
	}
	if n := strings.Count(body, "<main id="); n != 1 {
		t.Errorf("%s: %d main landmarks", p, n)
	}
	if n, captions := strings.Count(body, "<table"), strings.Count(body, "<caption"); n != captions {
		t.Errorf("%s: %d tables, %d captions", p, n, captions)
	}
	if found := forbidden.FindString(body); found != "" {
		t.Errorf("%s: holds %s", p, found)
	}
}

var svg = regexp.MustCompile(`(?s)<svg.*?</svg>`)

// checkDrawings parses every drawing of a page and returns how many bars of a
// class it has.
func checkDrawings(t *testing.T, name, body, class string) (bars int) {
	t.Helper()
	drawings := svg.FindAllString(body, -1)
	if len(drawings) < 3 {
		t.Errorf("%s: %d drawings", name, len(drawings))
	}
	for _, d := range drawings {
		if strings.Contains(d, "NaN") || strings.Contains(d, "Inf") {
			t.Errorf("%s: %s", name, d)
		}
		if strings.Contains(d, `role="img"`) {
			bars += strings.Count(d, `<rect class="`+class+`"`)
			if !strings.Contains(d, "<title id=") || !strings.Contains(d, "<desc id=") {
				t.Errorf("%s: a drawing without title and desc", name)
			}
		}
		dec := xml.NewDecoder(strings.NewReader(d))
		for {
			if _, err := dec.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Errorf("%s: %v in %s", name, err, d)
				break
			}
		}
	}
	return bars
}
