package backoffice

import (
	"net/url"
	"slices"

	"github.com/caddy-checkout/checkout/internal/merchant"
	"github.com/caddy-checkout/checkout/internal/store"
)

var deliveryStates = []string{store.DeliveryPending, store.DeliveryDone, store.DeliveryFailed, store.DeliveryDisabled}

type deliveriesPage struct {
	State       string
	States      []string // to choose from
	Deliveries  []store.Delivery
	First, Next string
	Done        string // message key
}

// deliveries is a page of the list of what the merchant was told.
func (s *visit) deliveries() error {
	query, err := s.query()
	if err != nil {
		return err
	}
	state, cursor := query.Get("state"), query.Get("cursor")
	if state != "" && !slices.Contains(deliveryStates, state) {
		return errMalformed
	}
	list, next, err := s.desk.Deliveries(s.r.Context(), "", state, cursor, merchant.DefaultPage)
	if err != nil {
		return err
	}
	p := deliveriesPage{State: state, States: deliveryStates, Deliveries: list}
	filter := make(url.Values)
	if state != "" {
		filter.Set("state", state)
	}
	p.First, p.Next = s.pager("deliveries", filter, cursor, next)
	if query.Get("done") == "redelivered" {
		p.Done = "done_redelivered"
	}
	return s.render(page{Name: "deliveries", Body: p})
}

// redeliver makes a delivery due now, and goes back to where the button was.
func (s *visit) redeliver() error {
	form, err := s.form()
	if err != nil {
		return err
	}
	if err := s.desk.Redeliver(s.r.Context(), s.route.id, s.c.Now()); err != nil {
		return err
	}
	s.c.Log.Info("merchant redelivers", "delivery", s.route.id, "who", s.user)
	if back := parseRoute("/orders/" + form.Get("order")); back.name == "order" {
		return s.redirect("orders/" + back.id + "?done=redelivered#deliveries")
	}
	return s.redirect("deliveries?done=redelivered")
}

type orphansPage struct {
	Orphans     []store.Orphan
	First, Next string
}

// orphans is a page of the list of payments without an order.
func (s *visit) orphans() error {
	query, err := s.query()
	if err != nil {
		return err
	}
	cursor := query.Get("cursor")
	list, next, err := s.desk.Orphans(s.r.Context(), "", cursor, merchant.DefaultPage)
	if err != nil {
		return err
	}
	p := orphansPage{Orphans: list}
	p.First, p.Next = s.pager("orphans", make(url.Values), cursor, next)
	return s.render(page{Name: "orphans", Body: p})
}
