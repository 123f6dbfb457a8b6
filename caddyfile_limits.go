package checkout

import (
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func (l *Limits) unmarshal(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		if d.Val() != "off" {
			return d.Errf("limits is followed by off or a block, not %q", d.Val())
		}
		l.Off = true
		return noMore(d)
	}
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		if seen[name] {
			return d.Errf("%s is set twice", name)
		}
		seen[name] = true
		var err error
		switch name {
		case "pending_per_client":
			err = limit(d, &l.PendingPerClient)
		case "pending_total":
			err = limit(d, &l.PendingTotal)
		case "checkouts_per_client":
			err = l.unmarshalCheckouts(d)
		case "waits_per_client":
			err = limit(d, &l.WaitsPerClient)
		case "waits_total":
			err = limit(d, &l.WaitsTotal)
		case "gateway_rate":
			err = l.unmarshalGatewayRate(d)
		default:
			err = d.Errf("unrecognized limit %q; use pending_per_client, pending_total, checkouts_per_client, waits_per_client, waits_total, gateway_rate", name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// parseLimit reads a positive number, or off as -1.
func parseLimit(d *caddyfile.Dispenser, to *int) error {
	name := d.Val()
	if !d.NextArg() {
		return d.Errf("%s needs a number, or off", name)
	}
	if d.Val() == "off" {
		*to = -1
		return nil
	}
	n, err := strconv.Atoi(d.Val())
	if err != nil || n < 1 {
		return d.Errf("%s %q must be a whole number from 1 on, or off", name, d.Val())
	}
	*to = n
	return nil
}

func limit(d *caddyfile.Dispenser, to *int) error {
	if err := parseLimit(d, to); err != nil {
		return err
	}
	return noMore(d)
}

func (l *Limits) unmarshalCheckouts(d *caddyfile.Dispenser) error {
	if err := parseLimit(d, &l.CheckoutsPerClient); err != nil {
		return err
	}
	if !d.NextArg() {
		return noMore(d)
	}
	window, err := caddy.ParseDuration(d.Val())
	if err != nil || window < time.Second {
		return d.Errf("checkouts_per_client %q is not a duration from 1s on, like 1m", d.Val())
	}
	l.CheckoutsWindow = caddy.Duration(window)
	return noMore(d)
}

func (l *Limits) unmarshalGatewayRate(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.Errf("gateway_rate needs questions per second, like %d", defaultGatewayRate)
	}
	n, err := strconv.ParseFloat(d.Val(), 64)
	if err != nil || !(n > 0 && n <= maxGatewayRate) {
		return d.Errf("gateway_rate %q must be questions per second, more than 0 and at most %d, like %d", d.Val(), maxGatewayRate, defaultGatewayRate)
	}
	l.GatewayRate = n
	return noMore(d)
}
