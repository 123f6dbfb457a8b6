package checkout

import (
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func (h *Handler) unmarshalMail(d *caddyfile.Dispenser) error {
	line := d.Token()
	if d.NextArg() {
		return d.Errf("unexpected %q; mail takes a block", d.Val())
	}
	m := new(Mail)
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		if seen[name] {
			return d.Errf("mail %s is set twice", name)
		}
		seen[name] = true
		if err := m.unmarshalLine(d, name); err != nil {
			return err
		}
	}
	if !slices.ContainsFunc([]string{m.Server, m.From, m.To, m.Username}, hasPlaceholder) {
		if err := m.check(); err != nil {
			return at(line).WrapErr(err)
		}
	}
	h.Mail = m
	return nil
}

func (m *Mail) unmarshalLine(d *caddyfile.Dispenser, name string) error {
	switch name {
	case "server":
		return word(d, &m.Server, "the SMTP server, like smtp.example.com:587", nil)
	case "from":
		return word(d, &m.From, `a sender, like shop@example.com or "Mug shop <shop@example.com>"`, nil)
	case "to":
		return word(d, &m.To, "your address, like owner@example.com", nil)
	case "username":
		return word(d, &m.Username, "the user to log in as", nil)
	case "password":
		return m.unmarshalPassword(d)
	case "tls":
		return word(d, &m.TLS, "starttls, implicit or none", nil)
	case "receipt":
		return m.unmarshalReceipt(d)
	case "language":
		return word(d, &m.Language, "zh or en", nil)
	case "templates":
		return word(d, &m.Templates, "a directory of mail templates", nil)
	}
	return d.Errf("unrecognized mail option %q; use server, from, to, username, password, tls, receipt, language, templates", name)
}

// unmarshalPassword is word without an error that shows a part of a password.
func (m *Mail) unmarshalPassword(d *caddyfile.Dispenser) error {
	if !d.AllArgs(&m.Password) || m.Password == "" {
		return d.Errf("password needs one value, like {env.SMTP_PASSWORD}; put one with spaces in quotes")
	}
	return nil
}

func (m *Mail) unmarshalReceipt(d *caddyfile.Dispenser) error {
	var value string
	if !d.AllArgs(&value) || (value != "on" && value != "off") {
		return d.Errf("receipt is followed by on or off")
	}
	on := value == "on"
	m.Receipt = &on
	return nil
}
