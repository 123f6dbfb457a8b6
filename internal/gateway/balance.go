package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/sign"
)

// BalanceInterval is the least time between two questions about one merchant's
// balance (protocol section 5).
const BalanceInterval = 3 * time.Minute

// beijing is UTC+8 all year round. It needs no time zone database, which small
// container images lack.
var beijing = time.FixedZone("UTC+8", 8*60*60)

// errReported marks an error that the gateway itself reports.
var errReported = errors.New("gateway reports an error")

// Balance asks for the merchant's balance in yuan at the time now, which must
// be within 10 minutes of the gateway's clock. It may be negative. The caller
// keeps BalanceInterval. Errors wrap ErrNoAnswer.
func (c *Client) Balance(ctx context.Context, now time.Time) (string, error) {
	reqtime := now.In(beijing).Format(time.DateTime)
	key, err := sign.Balance.Key(c.tokens[0], c.uid, reqtime)
	if err != nil {
		return "", unanswered(err)
	}
	query := url.Values{"uid": {c.uid}, "reqtime": {reqtime}, "key": {key}}
	var amount string
	err = c.ask(ctx, "balance", "/requstBalance.action", query, func(body []byte) (string, error) {
		var err error
		amount, err = parseBalance(body, c.uid, c.secrets(key))
		if errors.Is(err, errReported) {
			return OutcomeError, err
		}
		if err != nil {
			return OutcomeMalformed, err
		}
		return OutcomeOK, nil
	})
	if err != nil {
		return "", err
	}
	return amount, nil
}

func parseBalance(body []byte, uid string, secrets []string) (string, error) {
	r, err := decodeReply(body, "balance", "msg", "reqtime", "status", "uid")
	if err != nil {
		return "", err
	}
	status, err := r.status("0", "1")
	if err != nil {
		return "", err
	}
	msg, err := r.msg(secrets...)
	if err != nil {
		return "", err
	}
	if status != "0" {
		return "", fmt.Errorf("%w: %q", errReported, msg)
	}
	if err := r.echo("uid", uid); err != nil {
		return "", err
	}
	amount, err := r.text("balance")
	if err != nil {
		return "", err
	}
	if _, err := order.ParsePrice(strings.TrimPrefix(amount, "-")); err != nil {
		return "", errors.New("balance is not an amount")
	}
	return amount, nil
}
