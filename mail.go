package checkout

import (
	"errors"
	"fmt"
	netmail "net/mail"
	"path/filepath"
	"slices"
	"strings"

	"github.com/caddy-checkout/checkout/internal/webhook"
)

// Mail tells the merchant by mail of orders that are paid or need a decision,
// and sends buyers a receipt.
type Mail struct {
	// The SMTP server that takes the shop's mail, `host:port`. Required.
	Server string `json:"server"`

	// The sender of all mail, like `shop@example.com` or
	// `Mug shop <shop@example.com>`. The name, if any, is also what mail calls
	// the shop; without it that is the host of the origin. Required.
	From string `json:"from"`

	// The merchant's address. Buyers' replies go there, too. Required.
	To string `json:"to"`

	// The user to log in as at the server. Default: none, without a login.
	Username string `json:"username,omitempty"`

	// The password of the user. Write a placeholder, as for the token.
	Password string `json:"password,omitempty"`

	// How the connection is encrypted: `starttls`, `implicit`, or `none`, which
	// is for a server on this machine only. Default: `implicit` at port 465,
	// else `starttls`.
	TLS string `json:"tls,omitempty"`

	// Whether a buyer who has paid and gave an address gets a receipt.
	// Default: whether buyers are asked for `email`.
	Receipt *bool `json:"receipt,omitempty"`

	// The language of the merchant's mail, `zh` or `en`. Receipts have that of
	// the buyer's pages. Default: `zh`.
	Language string `json:"language,omitempty"`

	// A directory whose files merchant.zh.txt, merchant.en.txt, buyer.zh.txt
	// and buyer.en.txt replace the built-in texts. Default: none.
	Templates string `json:"templates,omitempty"`
}

// resolvable returns the settings that may hold placeholders.
func (m *Mail) resolvable() []setting {
	return []setting{
		{"mail server", &m.Server}, {"mail from", &m.From}, {"mail to", &m.To},
		{"mail username", &m.Username}, {"mail password", &m.Password}, {"mail templates", &m.Templates},
	}
}

// check refuses what cannot work, whatever the templates say.
func (m *Mail) check() error {
	for _, required := range []struct{ name, value, example string }{
		{"server", m.Server, "server smtp.example.com:587"},
		{"from", m.From, "from shop@example.com"},
		{"to", m.To, "to owner@example.com"},
	} {
		if required.value == "" {
			return fmt.Errorf("mail needs %s; add a line like: %s", required.name, required.example)
		}
	}
	if m.Username != "" && m.Password == "" {
		return errors.New("mail has a username but no password; add a line like: password {env.SMTP_PASSWORD}")
	}
	_, err := webhook.NewMail(m.config("", ""))
	return err
}

// checkReceipt refuses receipts for buyers whose address nobody asks.
func (m *Mail) checkReceipt(fields []Field) error {
	if m.Receipt != nil && *m.Receipt && !asksEmail(fields) {
		return errors.New("mail receipt is on, but buyers are not asked for their address; add a line like: require email")
	}
	return nil
}

// receipt reports whether buyers get a receipt.
func (m *Mail) receipt(fields []Field) bool {
	if m.Receipt != nil {
		return *m.Receipt
	}
	return asksEmail(fields)
}

func asksEmail(fields []Field) bool {
	return slices.ContainsFunc(fields, func(f Field) bool { return f.Name == "email" })
}

func (m *Mail) config(shopName, templates string) webhook.MailConfig {
	return webhook.MailConfig{
		From: m.From, Merchant: m.To, Server: m.Server,
		Username: m.Username, Password: m.Password, TLS: m.TLS,
		ShopName: shopName, Language: m.Language, Templates: templates,
	}
}

// mailTargets returns where mail of the shop goes. Buyers are there without
// receipts, too: those that were due before they were turned off wait.
func (h *Handler) mailTargets(shopID string) ([]webhook.Target, error) {
	templates := h.Mail.Templates
	if templates != "" {
		dir, err := filepath.Abs(templates)
		if err != nil {
			return nil, fmt.Errorf("mail templates: %w", err)
		}
		templates = dir
	}
	sender, err := webhook.NewMail(h.Mail.config(h.mailName(), templates))
	if err != nil {
		return nil, err
	}
	return []webhook.Target{
		{Shop: shopID, Name: webhook.MailMerchant, Sender: sender},
		{Shop: shopID, Name: webhook.MailBuyer, Sender: sender},
	}, nil
}

// mailName is what mail calls the shop.
func (h *Handler) mailName() string {
	if from, err := netmail.ParseAddress(h.Mail.From); err == nil && from.Name != "" {
		return from.Name
	}
	_, host, _ := strings.Cut(h.Origin, "://")
	return host
}
