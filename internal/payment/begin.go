package payment

import (
	"context"

	"github.com/caddy-checkout/checkout/internal/gateway"
	"github.com/caddy-checkout/checkout/internal/order"
)

// Purchase is an order as the buyer sends it.
type Purchase struct {
	Items    []Item
	Buyer    order.Buyer
	OrderUID string // made fit for the gateway's 40 bytes
	Client   string // network address, as the pending limits count it
	Language string // "zh" or "en"
}

// Begin writes the order durably and returns it with the signed form. Besides
// those of [Service.Quote] its errors are FieldError, *store.LimitError and
// what wraps store.ErrUnavailable.
func (s *Service) Begin(ctx context.Context, p Purchase) (*order.Order, *gateway.PayForm, error) {
	q, err := s.Quote(p.Items)
	if err != nil {
		return nil, nil, err
	}
	buyer, err := checkBuyer(s.c.Fields, p.Buyer)
	if err != nil {
		return nil, nil, err
	}
	now := s.c.Now()
	o := &order.Order{
		ID:        order.NewID(now),
		Shop:      s.id,
		State:     order.Pending,
		Lines:     make([]order.Line, len(q.Lines)),
		Total:     q.Total,
		Title:     q.title(),
		Buyer:     buyer,
		OrderUID:  gateway.Title(p.OrderUID, gateway.MaxOrderUID),
		Language:  p.Language,
		Client:    p.Client,
		Test:      s.c.Test,
		CreatedAt: now,
		ExpiresAt: now.Add(s.c.Expire),
		History:   []order.Entry{{At: now, Who: order.SourceBuyer, What: "created"}},
	}
	for i, l := range q.Lines {
		o.Lines[i] = l.Line
	}
	form, err := s.c.Gateway.PayForm(gateway.PayRequest{
		OrderID:   o.ID,
		OrderName: o.Title,
		PayMoney:  o.Total.String(),
		OrderUID:  o.OrderUID,
		NotifyURL: s.notifyURL,
		ReturnURL: ReturnURL(s.c.Origin, s.c.Path, o.ID),
	})
	if err != nil {
		return nil, nil, err
	}
	if err := s.st.Create(ctx, o, s.firstQuery(o), s.c.Limits); err != nil {
		return nil, nil, err
	}
	s.c.Observer.OrderCreated(o)
	return o, form, nil
}
