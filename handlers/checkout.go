package handlers

import (
	"errors"
	"html"
	"html/template"
	"net/http"

	"github.com/caddy-checkout/checkout/internal/gateway"
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/payment"
)

// checkout creates an order and answers the form that sends the buyer to the
// gateway.
func (s *shop) checkout(w http.ResponseWriter, r *http.Request) {
	if s.cross.Check(r) != nil {
		s.refuse(w, r, crossSite)
		return
	}
	svc := s.c.Service()
	if svc == nil {
		s.refuse(w, r, unavailable)
		return
	}
	client := s.c.Client(r)
	if s.c.CheckoutRate != nil {
		if seconds, ok := s.c.CheckoutRate(client); !ok {
			refusal := tooManyOrders
			refusal.retryAfter = max(seconds, 1)
			s.refuse(w, r, refusal)
			return
		}
	}
	pairs, err := readForm(w, r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	items, err := wishes(pairs)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	buyer, err := s.buyer(pairs)
	if err != nil {
		s.fail(w, r, err)
		return
	}

	l := languageOf(r, english)
	purchase := payment.Purchase{Items: items, Buyer: buyer, Client: client, Language: l.String()}
	if s.c.OrderUID != nil {
		purchase.OrderUID = s.c.OrderUID(r)
	}
	o, form, err := svc.Begin(r.Context(), purchase)
	if wrong := (payment.FieldError)(nil); errors.As(err, &wrong) {
		s.wrongFields(w, r, svc, purchase, wrong)
		return
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}

	s.c.Seen(r, o.ID, o)
	w.Header().Add("Vary", "Accept, Accept-Language")
	if wantsJSON(r) {
		b := buffer()
		defer buffers.Put(b)
		b.Write(appendForm(b.AvailableBuffer(), o, form))
		writeJSON(w, r, http.StatusOK, b.Bytes())
		return
	}
	s.render(w, r, l, page{
		status: http.StatusOK,
		name:   "pay.html",
		// Chromium holds redirects of a sent form to this, too, and the
		// gateway's next step may be on another host of its or at Alipay.
		formAction: s.c.GatewayOrigin + " https:",
		Body: struct {
			Order          *order.Order
			Action, Return string
			Inputs         template.HTML
		}{o, form.Action, s.c.Path + "/return/" + o.ID, inputs(form)},
	})
}

// wrongFields answers the review page again, with what the buyer typed.
func (s *shop) wrongFields(w http.ResponseWriter, r *http.Request, svc *payment.Service, p payment.Purchase, wrong payment.FieldError) {
	if wantsJSON(r) {
		w.Header().Add("Vary", "Accept, Accept-Language")
		refuseJSON(w, r, badFields, wrong)
		return
	}
	quote, err := svc.Quote(p.Items)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.reviewPage(w, r, badFields.status, quote, p.Buyer, wrong)
}

// inputs are the hidden fields of the form. Written by the template they would
// be most of what the page costs.
func inputs(form *gateway.PayForm) template.HTML {
	b := make([]byte, 0, 1024)
	for _, f := range form.Fields {
		b = append(b, `<input type="hidden" name="`...)
		b = append(b, html.EscapeString(f.Name)...)
		b = append(b, `" value="`...)
		b = append(b, html.EscapeString(f.Value)...)
		b = append(b, "\">\n"...)
	}
	return template.HTML(b)
}

// appendForm appends the signed form for a script, which sends the buyer there.
func appendForm(b []byte, o *order.Order, form *gateway.PayForm) []byte {
	b = append(b, `{"orderid":`...)
	b = appendString(b, o.ID)
	b = append(b, `,"action":`...)
	b = appendString(b, form.Action)
	b = append(b, `,"method":"POST","fields":{`...)
	for i, f := range form.Fields {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, f.Name)
		b = append(b, ':')
		b = appendString(b, f.Value)
	}
	return append(b, "}}"...)
}
