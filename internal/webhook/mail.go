package webhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/caddy-checkout/checkout/internal/store"
)

// Ways to encrypt the connection to the mail server.
const (
	TLSStart    = "starttls" // required, not tried
	TLSImplicit = "implicit" // from the first byte on
	TLSNone     = "none"     // only to a server on this machine
)

// MailConfig is the mail of one shop.
type MailConfig struct {
	From     string // sender of all mail: "shop@example.com" or "Mug shop <shop@example.com>"
	Merchant string // one address that is told of paid orders and of those that need a decision
	Server   string // host:port of the SMTP server that takes our mail

	Username string // empty: the server wants none
	Password string
	TLS      string         // empty: TLSImplicit at port 465, else TLSStart
	RootCAs  *x509.CertPool // nil: the system's

	ShopName string // as people know the shop
	Language string // of the merchant's mail, "zh" or "en"; empty: "zh"

	// Templates is a directory whose files replace built-in templates of the
	// same name; see [MailText]. Empty: none.
	Templates string

	Location *time.Location   // of the times in mail; nil: time.Local
	Now      func() time.Time // nil: time.Now
}

// Mail sends mail to the merchant and to buyers. A mail is sent once for each
// delivery, unless we die between the server's 250 and the record of it; then
// it is sent again with the same Message-ID, by which mailboxes can tell.
type Mail struct {
	c         MailConfig
	host      string
	port      int
	domain    string // of From
	merchant  string
	tls       *tls.Config
	templates templates
}

// NewMail checks the configuration and the templates. It connects to nothing.
func NewMail(c MailConfig) (*Mail, error) {
	from, err := netmail.ParseAddress(c.From)
	if err != nil {
		return nil, fmt.Errorf("mail sender %q is not an address: %w", c.From, err)
	}
	to, err := netmail.ParseAddress(c.Merchant)
	if err != nil {
		return nil, fmt.Errorf("mail recipient %q is not an address: %w", c.Merchant, err)
	}
	host, portText, err := net.SplitHostPort(c.Server)
	if err != nil || host == "" {
		return nil, fmt.Errorf("mail server %q: write host:port, like smtp.example.com:587", c.Server)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 {
		return nil, fmt.Errorf("mail server %q: %q is not a port", c.Server, portText)
	}
	if c.TLS == "" {
		c.TLS = TLSStart
		if port == 465 {
			c.TLS = TLSImplicit
		}
	}
	switch c.TLS {
	case TLSStart, TLSImplicit:
	case TLSNone:
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return nil, fmt.Errorf("mail server %q: TLS can be left out only on this machine, not over a network", c.Server)
		}
	default:
		return nil, fmt.Errorf("mail TLS %q: use %s, %s or %s", c.TLS, TLSStart, TLSImplicit, TLSNone)
	}
	if c.Username == "" && c.Password != "" {
		return nil, errors.New("mail has a password but no username")
	}
	switch c.Language {
	case "":
		c.Language = "zh"
	case "zh", "en":
	default:
		return nil, fmt.Errorf("mail language %q: use zh or en", c.Language)
	}
	if c.Location == nil {
		c.Location = time.Local
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	t, err := loadTemplates(c.Templates)
	if err != nil {
		return nil, err
	}
	return &Mail{
		c: c, host: host, port: int(port), merchant: to.Address, templates: t,
		domain: from.Address[strings.LastIndexByte(from.Address, '@')+1:],
		tls:    &tls.Config{ServerName: host, RootCAs: c.RootCAs, MinVersion: tls.VersionTLS12},
	}, nil
}

// Send mails the event to the merchant or the buyer, as d.Target says. An
// address that the server does not know is Rejected; every other failure is
// to be tried again, for most of them can be put right.
func (m *Mail) Send(ctx context.Context, d store.Delivery) (int, string, Outcome) {
	msg, err := m.compose(d)
	if err != nil {
		return 0, err.Error(), Rejected
	}
	err = m.transmit(ctx, msg)
	if msg.IsDelivered() {
		return 250, msg.ServerResponse(), Delivered // whatever went wrong after the server took it
	}
	if se, ok := errors.AsType[*mail.SendError](err); ok {
		if se.Reason == mail.ErrSMTPRcptTo && !se.IsTemp() && strings.HasPrefix(se.EnhancedStatusCode(), "5.1.") {
			return se.ErrorCode(), err.Error(), Rejected
		}
		return se.ErrorCode(), err.Error(), Retry
	}
	if ctx.Err() != nil {
		return 0, "no answer in time", Retry
	}
	if te, ok := errors.AsType[*textproto.Error](err); ok {
		return te.Code, err.Error(), Retry
	}
	return 0, err.Error(), Retry
}

// compose writes the mail. Its errors are final.
func (m *Mail) compose(d store.Delivery) (*mail.Msg, error) {
	var e Event
	if err := json.Unmarshal(d.Payload, &e); err != nil {
		return nil, fmt.Errorf("reading the event: %w", err)
	}
	role, to, language := roleMerchant, m.merchant, m.c.Language
	if d.Target == MailBuyer {
		role, to, language = roleBuyer, e.Data.Buyer.Email, e.Data.Language
		if a, err := netmail.ParseAddress(to); err != nil || a.Address != to {
			return nil, errors.New("what the buyer gave is not a mail address")
		}
	}
	subject, body, err := m.templates.render(role, language, m.text(&e))
	if err != nil {
		return nil, err
	}
	msg := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if err := msg.From(m.c.From); err != nil {
		return nil, fmt.Errorf("setting the sender: %w", err)
	}
	if err := msg.To(to); err != nil {
		return nil, fmt.Errorf("setting the recipient: %w", err)
	}
	if role == roleBuyer {
		if err := msg.ReplyTo(m.merchant); err != nil {
			return nil, fmt.Errorf("setting the address for replies: %w", err)
		}
	}
	msg.SetMessageIDWithValue(d.EventID + "." + role + "@" + m.domain)
	msg.SetDateWithValue(m.c.Now())
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.Subject(subject)
	msg.SetBodyString(mail.TypeTextPlain, body)
	return msg, nil
}

// transmit gives the mail to the server over a connection of its own. Only
// closing the connection makes the library return when ctx is done, and it
// does not close one whose greeting or login failed.
func (m *Mail) transmit(ctx context.Context, msg *mail.Msg) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dial := func(dialCtx context.Context, network, addr string) (net.Conn, error) {
		conn, err := m.dial(dialCtx, network, addr)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, func() { conn.Close() })
		return conn, nil
	}
	opts := []mail.Option{
		mail.WithPort(m.port),
		mail.WithHELO(m.domain),
		mail.WithTLSConfig(m.tls),
		mail.WithTimeout(attemptTimeout),
		mail.WithDialContextFunc(dial),
		mail.WithoutNoop(),
	}
	starttls := mail.NoTLS // the connection is encrypted already, or need not be
	if m.c.TLS == TLSStart {
		starttls = mail.TLSMandatory
	}
	opts = append(opts, mail.WithTLSPolicy(starttls))
	if m.c.Username != "" {
		opts = append(opts, mail.WithUsername(m.c.Username), mail.WithPassword(m.c.Password),
			mail.WithOpportunisticSMTPAuth(mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthPlain, mail.SMTPAuthLogin))
	}
	client, err := mail.NewClient(m.host, opts...)
	if err != nil {
		return fmt.Errorf("setting up the mail client: %w", err)
	}
	return client.DialAndSendWithContext(ctx, msg)
}

func (m *Mail) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if m.c.TLS == TLSImplicit {
		return (&tls.Dialer{Config: m.tls}).DialContext(ctx, network, addr)
	}
	return new(net.Dialer).DialContext(ctx, network, addr)
}

var _ Sender = (*Mail)(nil)
