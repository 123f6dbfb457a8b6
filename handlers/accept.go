package handlers

import (
	"iter"
	"net/http"
	"strconv"
	"strings"
)

// ranges yields the elements of an Accept or Accept-Language header, in lower
// case, with their weights.
func ranges(header []string) iter.Seq2[string, float64] {
	return func(yield func(string, float64) bool) {
		for _, line := range header {
			for element := range strings.SplitSeq(line, ",") {
				value, params, _ := strings.Cut(element, ";")
				if !yield(strings.ToLower(strings.TrimSpace(value)), weightOf(params)) {
					return
				}
			}
		}
	}
}

// weightOf is the q among the parameters of an element, 1 without one. A weight
// that is not between 0 and 1 counts as 0.
func weightOf(params string) float64 {
	weight := 1.0
	for param := range strings.SplitSeq(params, ";") {
		name, q, _ := strings.Cut(strings.TrimSpace(param), "=")
		if !strings.EqualFold(name, "q") {
			continue
		}
		var err error
		if weight, err = strconv.ParseFloat(q, 64); err != nil || !(weight >= 0 && weight <= 1) {
			weight = 0
		}
	}
	return weight
}

// preference is how much a client wants a media type: by the most exact range
// that covers it.
type preference struct {
	exact  int
	weight float64
}

func (p *preference) offer(exact int, weight float64) {
	if exact >= p.exact {
		*p = preference{exact, weight}
	}
}

// wantsJSON reports whether the client is a program. Browsers name text/html,
// and who names nothing gets the page.
func wantsJSON(r *http.Request) bool {
	var json, html preference
	for media, weight := range ranges(r.Header["Accept"]) {
		switch media {
		case "application/json":
			json.offer(3, weight)
		case "application/*":
			json.offer(2, weight)
		case "text/html":
			html.offer(3, weight)
		case "text/*":
			html.offer(2, weight)
		case "*/*":
			json.offer(1, weight)
			html.offer(1, weight)
		}
	}
	if json.weight != html.weight {
		return json.weight > html.weight
	}
	return json.weight > 0 && json.exact > html.exact
}

// languageOf picks the page's language, or fallback if the client names none
// that there is.
func languageOf(r *http.Request, fallback language) language {
	best, found := 0.0, fallback
	for tag, weight := range ranges(r.Header["Accept-Language"]) {
		if weight <= best {
			continue
		}
		primary, _, _ := strings.Cut(tag, "-")
		switch primary {
		case "zh":
			best, found = weight, chinese
		case "en":
			best, found = weight, english
		}
	}
	return found
}
