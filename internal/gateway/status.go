package gateway

import (
	"context"
	"errors"
	"net/url"
	"time"
)

// StatusInterval is the least time between two questions about one order
// (protocol section 4).
const StatusInterval = time.Minute

// The values of a status reply (protocol section 4).
const (
	StatusError   = "-2"
	StatusWaiting = "-1"
	StatusPaid    = "0"
	StatusTimeout = "1"
)

// StatusReply is the gateway's strict answer about an order (protocol section
// 4). Status is one of the four. PayMoney and RealPay are not empty if it is
// StatusPaid; whether they fit the order is not checked. Msg is cut and
// cleaned, so that it can be logged.
type StatusReply struct {
	Msg, OrderID, PayID, PayMoney, RealPay, Status string
}

// Status asks about an order. The caller keeps StatusInterval. Errors wrap
// ErrNoAnswer.
func (c *Client) Status(ctx context.Context, orderid string) (StatusReply, error) {
	fields := []Field{{"orderid", orderid}, {"uid", c.uid}}
	if orderid == "" {
		return StatusReply{}, unanswered(errors.New("orderid is empty"))
	}
	key, err := c.status.Key(c.tokens[0], pick(nil, c.status, fields)...)
	if err != nil {
		return StatusReply{}, unanswered(err)
	}
	query := url.Values{"orderid": {orderid}, "uid": {c.uid}, "key": {key}}
	var s StatusReply
	err = c.ask(ctx, "status", "/requstOrderStatus.action", query, func(body []byte) (string, error) {
		var err error
		if s, err = parseStatus(body, orderid, c.secrets(key)); err != nil {
			return OutcomeMalformed, err
		}
		if s.Status == StatusError {
			return OutcomeError, nil
		}
		return OutcomeOK, nil
	})
	if err != nil {
		return StatusReply{}, err
	}
	return s, nil
}

func parseStatus(body []byte, orderid string, secrets []string) (s StatusReply, err error) {
	r, err := decodeReply(body, "msg", "orderid", "payid", "paymoney", "realpay", "status")
	if err != nil {
		return s, err
	}
	if err := r.echo("orderid", orderid); err != nil {
		return s, err
	}
	s.OrderID = orderid
	if s.Status, err = r.status(StatusError, StatusWaiting, StatusPaid, StatusTimeout); err != nil {
		return s, err
	}
	if s.PayID, err = r.text("payid"); err != nil {
		return s, err
	}
	if s.PayMoney, err = r.text("paymoney"); err != nil {
		return s, err
	}
	if s.RealPay, err = r.text("realpay"); err != nil {
		return s, err
	}
	if s.Msg, err = r.msg(secrets...); err != nil {
		return s, err
	}
	if s.Status == StatusPaid && (s.PayMoney == "" || s.RealPay == "") {
		return s, errors.New("paid, but an amount is missing")
	}
	return s, nil
}
