package handlers

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/payment"
)

// review shows what an order would be. It creates nothing.
func (s *shop) review(w http.ResponseWriter, r *http.Request) {
	svc := s.c.Service()
	if svc == nil {
		s.refuse(w, r, unavailable)
		return
	}
	pairs, err := parsePairs(r.URL.RawQuery)
	if err != nil {
		s.fail(w, r, errMalformed)
		return
	}
	items, err := wishes(pairs)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	quote, err := svc.Quote(items)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.reviewPage(w, r, http.StatusOK, quote, order.Buyer{}, nil)
}

// field is a buyer field on the review page.
type field struct {
	Name, Label, Type, Autocomplete, Value, Error string
	Required, Multiline, Focus                    bool
	MaxLength                                     int
}

// reviewPage shows a quote with what the buyer typed, and what is wrong with
// it, if anything.
func (s *shop) reviewPage(w http.ResponseWriter, r *http.Request, status int, quote *payment.Quote, buyer order.Buyer, wrong payment.FieldError) {
	l := languageOf(r, english)
	fields := make([]field, len(s.c.Fields))
	focused := false
	for i, f := range s.c.Fields {
		fields[i] = field{
			Name:         f.Name,
			Label:        l.text("field_" + f.Name),
			Type:         inputType[f.Name],
			Autocomplete: autocomplete[f.Name],
			Value:        *buyer.Field(f.Name),
			Required:     f.Required,
			Multiline:    f.Name == "address" || f.Name == "note",
			MaxLength:    payment.BuyerFields[f.Name],
		}
		if reason := wrong[f.Name]; reason != "" {
			fields[i].Error = l.text(reason)
			fields[i].Focus = !focused
			focused = true
		}
	}
	w.Header().Add("Vary", "Accept, Accept-Language")
	s.render(w, r, l, page{
		status:     status,
		name:       "review.html",
		formAction: "'self' " + s.c.GatewayOrigin,
		images:     imageSources(quote.Lines),
		Body: struct {
			Path   string
			Quote  *payment.Quote
			Fields []field
			Wrong  bool
		}{s.c.Path, quote, fields, wrong != nil},
	})
}

var inputType = map[string]string{"name": "text", "email": "email", "tel": "tel"}

var autocomplete = map[string]string{
	"name":    "name",
	"email":   "email",
	"tel":     "tel",
	"address": "street-address",
	"note":    "off",
}

// imageSources lists the other origins that the products' pictures are on.
func imageSources(lines []payment.QuoteLine) string {
	var sources []string
	for _, l := range lines {
		if source := sourceOf(l.Product.Image); source != "" && !slices.Contains(sources, source) {
			sources = append(sources, source)
		}
	}
	if len(sources) == 0 {
		return ""
	}
	return " " + strings.Join(sources, " ")
}
