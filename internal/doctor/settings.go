package doctor

import (
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/caddy-checkout/checkout/internal/gateway"
)

// checkEnvironment reports placeholders without a value, and, where all have
// one, what the handler itself refuses.
func (x *examination) checkEnvironment() {
	for _, s := range x.shops {
		for _, p := range s.unset {
			right := "Set it in the environment that Caddy is started with. If doctor runs elsewhere than Caddy, set it here too and run it again."
			if strings.HasPrefix(p, "{file.") {
				right = "Let Caddy's user read the file. If doctor runs on another machine than Caddy, run it on that one."
			}
			x.find(s, Warning, "env-unset", p+" has no value here. Caddy does not load a shop whose placeholders are empty, and what depends on this one was not examined.", right)
		}
		if len(s.unset) > 0 || x.options.Refused == nil {
			continue
		}
		if err := x.options.Refused(s.raw); err != nil {
			x.find(s, Error, "refused", "Caddy will refuse this checkout block: "+err.Error()+".", "")
		}
	}
}

func (x *examination) checkSecrets() {
	for _, s := range x.shops {
		if slices.Contains(s.plain, "token") && !s.rehearses() {
			x.find(s, Warning, "token-plain",
				"A token of the shop stands in the configuration itself, where whoever reads the file, its backups or Caddy's admin API can take it; with it, payments can be forged. ({$NAME} in a Caddyfile has the same effect.)",
				"token {env.CHECKOUT_TOKEN}\n\nor\n\ntoken {file./run/secrets/checkout_token}")
		}
		if slices.Contains(s.plain, "webhook") && s.public() {
			x.find(s, Warning, "secret-plain",
				"The secret of a webhook stands in the configuration itself; with it, events can be forged.",
				"webhook https://hooks.example.com/orders {env.CHECKOUT_WEBHOOK_SECRET}")
		}
		if slices.Contains(s.plain, "mail") && s.public() {
			x.find(s, Warning, "password-plain",
				"The password of the mail server stands in the configuration itself; with it, mail can be sent in your name.",
				"password {env.SMTP_PASSWORD}")
		}
	}
}

// checkMerchants compares shops that are one merchant at one gateway, which
// has one token for it.
func (x *examination) checkMerchants() {
	shops := x.distinct()
	for i, a := range shops {
		for _, b := range shops[:i] {
			if a.UID != b.UID || a.Gateway != b.Gateway || a.Token == b.Token {
				continue
			}
			other := fmt.Sprintf("This shop and %s (%s) have the same uid at the same gateway, but different tokens", b.name(), b.where.Site)
			right := "Give both the same line:\n\ntoken {env.CHECKOUT_TOKEN}\n\nor each its own uid."
			switch {
			case len(a.unset)+len(b.unset) > 0:
				x.find(a, Note, "uid-two-tokens", "This shop and "+b.name()+" have the same uid at the same gateway and name their tokens differently; whether they are the same cannot be seen here.", right)
			case slices.ContainsFunc(a.tokens(), func(t string) bool { return slices.Contains(b.tokens(), t) }):
				x.find(a, Warning, "uid-two-tokens", other+" to sign with. While the gateway changes over this works; when it has, the payments of one of them are refused.", right)
			default:
				x.find(a, Error, "uid-two-tokens", other+". The gateway signs with one of them, and the payments of the other shop are refused as forged.", right)
			}
		}
	}
}

// checkIdentities compares blocks that are one shop.
func (x *examination) checkIdentities() {
	for i, a := range x.shops {
		first := slices.IndexFunc(x.shops[:i], func(b *shop) bool { return a.identity() == b.identity() })
		if first < 0 {
			continue
		}
		b := x.shops[first]
		setting := x.difference(a, b)
		if setting == "" && a.where.Site == b.where.Site {
			continue // one block of a site with several addresses
		}
		if setting == "" {
			x.find(a, Note, "identity-shared",
				fmt.Sprintf("This block and one of %s have the same origin and path, so they are one shop with one set of orders.", b.where.Site), "")
			continue
		}
		x.find(a, Error, "identity-differs",
			fmt.Sprintf("This block and one of %s have the same origin and path, so they are one shop, but they differ in %q. Caddy refuses that.", b.where.Site, setting),
			"Give one of them another address:\n\npath /checkout2\n\nor put the block into a snippet that both sites import.")
	}
}

// difference names the first setting in which two blocks differ, or "".
func (x *examination) difference(a, b *shop) string {
	left, right := x.settings(a), x.settings(b)
	names := make([]string, 0, len(left)+len(right))
	for name := range left {
		names = append(names, name)
	}
	for name := range right {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if !reflect.DeepEqual(left[name], right[name]) {
			return name
		}
	}
	return ""
}

func (x *examination) settings(s *shop) map[string]any {
	var m map[string]any
	if json.Unmarshal(s.raw, &m) != nil {
		return nil
	}
	for name, v := range m {
		if text, ok := v.(string); ok {
			m[name], _ = x.resolve(text)
		}
	}
	m["path"], m["gateway"] = s.Path, s.Gateway
	return m
}

func (x *examination) checkWebhooks() {
	for _, s := range x.distinct() {
		for _, w := range s.webhooks() {
			u, err := url.Parse(w.URL)
			if err != nil || u.Scheme != "http" || gateway.Private(u.Hostname()) {
				continue
			}
			x.find(s, Warning, "webhook-http",
				fmt.Sprintf("The webhook to %s goes over plain http: anyone on the way can read what your buyers ordered and their addresses.", u.Host),
				fmt.Sprintf("webhook https://%s/… {env.CHECKOUT_WEBHOOK_SECRET}", u.Hostname()))
		}
	}
}

// checkTests looks for tests and real money in one place.
func (x *examination) checkTests() {
	for _, s := range x.distinct() {
		sandboxed := slices.ContainsFunc(x.boxes, func(b *sandbox) bool { return slices.Contains(b.bases, s.Gateway) })
		if s.public() && (s.Test || s.rehearses() || sandboxed) {
			x.find(s, Warning, "test-public",
				"This public shop is a test: its gateway is a sandbox or it says test, so no real money moves and everything can be had for nothing.",
				"Leave out the lines gateway and test, and use the gateway's own uid and token:\n\nuid   10000001400000\ntoken {env.CHECKOUT_TOKEN}")
			continue
		}
		if s.Test || s.rehearses() || sandboxed {
			continue
		}
		for _, b := range x.boxes {
			x.checkBeside(s, b)
		}
	}
}

// checkBeside judges a sandbox in the configuration of a shop that takes real
// money.
func (x *examination) checkBeside(s *shop, b *sandbox) {
	right := "Take checkout_sandbox out of this configuration, or give it a site that only you can reach and a uid and token of its own:\n\n" +
		"http://localhost:8081 {\n\tcheckout_sandbox {\n\t\tuid   10000000000000\n\t\ttoken a-token-for-tests-only\n\t}\n}"
	if s.Token == b.Token && s.UID == b.UID {
		x.add(Finding{
			Code: "sandbox-token", Severity: Error, Shop: s.name(), Where: b.where, Right: right,
			Wrong: "The sandbox has the uid and token of a shop that takes real money. Whoever reaches the sandbox can have it sign that an order is paid.",
		})
		return
	}
	reachable := slices.ContainsFunc(b.bases, func(base string) bool {
		u, err := url.Parse(base)
		return err != nil || !gateway.Private(u.Hostname()) || u.Hostname() == ""
	})
	if reachable {
		x.add(Finding{
			Code: "sandbox-public", Severity: Warning, Shop: s.name(), Where: b.where, Right: right,
			Wrong: "A sandbox gateway that everyone can reach stands beside a shop that takes real money. It shows every message it was sent.",
		})
		return
	}
	x.add(Finding{
		Code: "sandbox-beside", Severity: Note, Shop: s.name(), Where: b.where,
		Wrong: "A sandbox gateway stands beside a shop that takes real money. The shop does not use it.",
	})
}
