package handlers

import (
	"fmt"
	"net/http"

	"github.com/caddy-checkout/checkout/internal/order"
)

var returnPages = map[order.State]string{
	order.Pending: "wait.html",
	order.Paid:    "receipt.html",
	order.Expired: "expired.html",
	order.Review:  "contact.html",
}

// back is where the gateway sends the buyer. That proves nothing: it only
// reads the order.
func (s *shop) back(w http.ResponseWriter, r *http.Request, id string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		s.refuse(w, r, wrongMethod)
		return
	}
	svc := s.c.Service()
	if svc == nil {
		s.refuse(w, r, unavailable)
		return
	}
	o, err := svc.Order(r.Context(), id)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.c.Seen(r, o.ID, o)
	if o.State == order.Paid && s.c.Success != "" {
		h := w.Header()
		h.Set("Location", escaped(s.c.Success))
		h.Set("Cache-Control", "no-store")
		h.Set("Referrer-Policy", "strict-origin")
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	w.Header().Add("Vary", "Accept, Accept-Language")
	s.render(w, r, languageOf(r, orderLanguage(o.Language)), page{
		status: http.StatusOK,
		name:   returnPages[o.State],
		Body: struct {
			Order            *order.Order
			Created, Paid    clock
			Again, StatusURL string
		}{
			o, clock{o.CreatedAt}, clock{o.PaidAt},
			s.again(o.Lines), s.c.Path + "/status?orderid=" + o.ID + "&wait=25",
		},
	})
}

// escaped writes a link as a header may hold it: a page of the site may have
// any name.
func escaped(link string) string {
	b := make([]byte, 0, len(link))
	for i := range len(link) {
		if c := link[i]; c > ' ' && c < 0x7f {
			b = append(b, c)
		} else {
			b = fmt.Appendf(b, "%%%02X", c)
		}
	}
	return string(b)
}
