package backoffice

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-checkout/checkout/internal/gateway"
	"github.com/caddy-checkout/checkout/internal/merchant"
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/payment"
)

// maxForm bounds a form, in bytes.
const maxForm = 16 << 10

// decide does what a button of an order's page asks for. What the person saw
// must still be so: else the order is shown again instead.
func (s *visit) decide() error {
	form, err := s.form()
	if err != nil {
		return err
	}
	if s.route.action == "refresh" {
		return s.refresh()
	}
	ctx, action := s.r.Context(), merchant.Action(s.route.action)
	d, err := s.desk.Order(ctx, s.route.id)
	if err != nil {
		return err
	}
	p := orderPage{Detail: d, Action: s.route.action, Reason: form.Get("reason")}
	switch {
	case decided(d.Order, action):
		return s.redirect("orders/" + d.ID + "?done=" + url.QueryEscape(s.route.action))
	case form.Get("seen") != sight(d.Order):
		p.Trouble = "changed"
		return s.orderPage(http.StatusConflict, p)
	case strings.TrimSpace(p.Reason) == "":
		p.Trouble = "no_reason"
		return s.orderPage(http.StatusUnprocessableEntity, p)
	case action != merchant.Ship && form.Get("sure") == "":
		p.Trouble = "not_sure"
		return s.orderPage(http.StatusUnprocessableEntity, p)
	}
	_, err = s.desk.Decide(ctx, action, d.ID, s.user, p.Reason)
	switch {
	case err == nil:
		s.c.Log.Info("merchant decided", "order_id", d.ID, "action", s.route.action, "who", s.user)
		return s.redirect("orders/" + d.ID + "?done=" + url.QueryEscape(s.route.action))
	case errors.Is(err, payment.ErrNotThat):
		p.Trouble = "changed"
	case errors.Is(err, payment.ErrNoReason):
		p.Trouble = "no_reason"
	case errors.Is(err, merchant.ErrNoShop):
		p.Trouble = "no_shop"
	case errors.Is(err, merchant.ErrWho):
		p.Trouble = "who"
	default:
		return err
	}
	if p.Detail, err = s.desk.Order(ctx, s.route.id); err != nil {
		return err
	}
	return s.orderPage(http.StatusConflict, p)
}

// decided reports whether the order is already as the action leaves it, as
// after a second click.
func decided(o *order.Order, a merchant.Action) bool {
	switch a {
	case merchant.Confirm:
		return o.State == order.Paid
	case merchant.Ship:
		return !o.ShippedAt.IsZero()
	case merchant.Refund:
		return !o.RefundedAt.IsZero()
	}
	return false
}

// refresh asks the gateway about the order.
func (s *visit) refresh() error {
	_, asked, err := s.desk.Refresh(s.r.Context(), s.route.id)
	done := "asked"
	switch {
	case errors.Is(err, merchant.ErrNoShop):
		d, err := s.desk.Order(s.r.Context(), s.route.id)
		if err != nil {
			return err
		}
		return s.orderPage(http.StatusConflict, orderPage{Detail: d, Trouble: "no_shop"})
	case errors.Is(err, gateway.ErrNoAnswer):
		done = "no_answer"
	case err != nil:
		return err
	case !asked:
		done = "asked_lately"
	}
	return s.redirect("orders/" + s.route.id + "?done=" + done)
}

// form reads the form that is the body.
func (s *visit) form() (url.Values, error) {
	media, _, err := mime.ParseMediaType(s.r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return nil, errMalformed
	}
	body, err := io.ReadAll(http.MaxBytesReader(s.w, s.r.Body, maxForm))
	if tooBig := (*http.MaxBytesError)(nil); errors.As(err, &tooBig) {
		return nil, errTooLarge
	}
	if err != nil {
		return nil, errors.Join(errMalformed, err)
	}
	return values(string(body))
}
