package backoffice

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"

	"github.com/caddy-checkout/checkout/internal/merchant"
	"github.com/caddy-checkout/checkout/internal/order"
)

type orderPage struct {
	*merchant.Detail
	Seen    string // what the buttons are pressed on the sight of
	Known   bool   // its shop is in the configuration
	Ship    bool   // which buttons make sense
	Confirm bool
	Refund  bool
	Done    string // message key: what a button did
	Trouble string // message key: why it did not
	Action  string // the button that was pressed in vain
	Reason  string // what was typed there
}

// order is one order with all that is known of it.
func (s *visit) order() error {
	query, err := s.query()
	if err != nil {
		return err
	}
	d, err := s.desk.Order(s.r.Context(), s.route.id)
	if err != nil {
		return err
	}
	return s.orderPage(http.StatusOK, orderPage{Detail: d, Done: doneMessage(d.Order, query.Get("done"))})
}

func (s *visit) orderPage(status int, p orderPage) error {
	o := p.Order
	_, p.Known = s.desk.Shops[o.Shop]
	p.Seen = sight(o)
	p.Ship = o.State == order.Paid && o.ShippedAt.IsZero() && o.RefundedAt.IsZero()
	p.Confirm = o.State == order.Review && o.RefundedAt.IsZero()
	p.Refund = o.RefundedAt.IsZero() && (o.State == order.Paid || len(o.Payments) > 0)
	// A page that answers a POST would be fetched anew as the answer to a GET.
	return s.render(page{Name: "order", Status: status, Order: o.ID, Live: status == http.StatusOK, Body: p})
}

// doneMessage says what a button did, if the order agrees: anybody can write
// a link.
func doneMessage(o *order.Order, done string) string {
	switch {
	case done == string(merchant.Confirm) && o.State == order.Paid,
		done == string(merchant.Ship) && !o.ShippedAt.IsZero(),
		done == string(merchant.Refund) && !o.RefundedAt.IsZero(),
		done == "asked", done == "asked_lately", done == "no_answer", done == "redelivered":
		return "done_" + done
	}
	return ""
}

// sight is a mark of all that a decision about the order may hang on.
func sight(o *order.Order) string {
	h := sha256.New()
	fmt.Fprintf(h, "%d %t %d %d %d %q", o.State, o.Late, o.PaidAt.UnixMilli(), o.ShippedAt.UnixMilli(), o.RefundedAt.UnixMilli(), o.Note)
	for _, p := range o.Payments {
		fmt.Fprintf(h, " %q %q %q %q", p.PayID, p.PayMoney, p.RealPay, p.Verdict)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
