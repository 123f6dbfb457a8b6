package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-checkout/checkout/internal/gateway"
)

const (
	onlineTimeout = 10 * time.Second // of one question

	clockDoubtful = time.Minute
	clockRefused  = 10 * time.Minute // protocol section 5
)

// merchant is whom the gateway knows a shop as.
type merchant struct{ gateway, uid, token string }

// askGateways asks every gateway for the time, and for the balance of every
// merchant there.
func (x *examination) askGateways(ctx context.Context) {
	var gateways []string
	var merchants []merchant
	for _, s := range x.distinct() {
		m := merchant{s.Gateway, s.UID, s.Token}
		if len(s.unset) > 0 || slices.Contains(merchants, m) {
			continue
		}
		merchants = append(merchants, m)
		if !slices.Contains(gateways, s.Gateway) {
			gateways = append(gateways, s.Gateway)
			x.askTime(ctx, s)
		}
		x.askBalance(ctx, s)
	}
}

func (x *examination) askTime(ctx context.Context, s *shop) {
	ctx, cancel := context.WithTimeout(ctx, onlineTimeout)
	defer cancel()
	transport := x.options.Transport
	if transport == nil {
		transport = &http.Transport{DisableKeepAlives: true}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, s.Gateway+"/", nil)
	if err != nil {
		return // refused at load
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return // asking for the balance says why
	}
	resp.Body.Close()
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		x.find(s, Note, "clock", "The gateway does not say what time it is, so the clock could not be compared.", "")
		return
	}
	off := x.options.Now().Sub(date).Round(time.Second)
	right := "Let this machine set its clock by the network, for example:\n\ntimedatectl set-ntp true"
	switch {
	case off.Abs() >= clockRefused:
		x.find(s, Error, "clock", fmt.Sprintf("The clock of this machine is %s off the gateway's, which refuses questions that are 10m off.", off), right)
	case off.Abs() >= clockDoubtful:
		x.find(s, Warning, "clock", fmt.Sprintf("The clock of this machine is %s off the gateway's. From 10m on the gateway refuses questions.", off), right)
	}
}

// askBalance proves uid and token. The amount is nobody's business here.
func (x *examination) askBalance(ctx context.Context, s *shop) {
	const counts = " This counts as the one question for the balance that the gateway allows in three minutes."
	client, err := gateway.New(gateway.Config{
		Base: s.Gateway, UID: s.UID, Tokens: s.tokens(), Timeout: onlineTimeout, Transport: x.options.Transport,
	})
	if err != nil {
		return // refused at load
	}
	switch _, err := client.Balance(ctx, x.options.Now()); {
	case err == nil:
		x.find(s, Note, "balance", "The gateway knows the uid and the token: it answered a signed question for the balance."+counts, "")
	case errors.Is(err, context.DeadlineExceeded):
		x.find(s, Error, "balance", "The gateway "+s.Gateway+" did not answer in time, so uid and token are not proven.", "Look whether this machine reaches the gateway, then run doctor again in three minutes.")
	default:
		x.find(s, Error, "balance", fmt.Sprintf("The gateway %s did not confirm uid and token: %v.%s", s.Gateway, err, counts),
			"Compare uid and token with those in the gateway's merchant pages, look whether this machine reaches the gateway, and run doctor again in three minutes.")
	}
}
