package webhook

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"mime"
	"mime/quotedprintable"
	netmail "net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// mailer makes a Mail that talks to s.
func mailer(t *testing.T, s *smtpServer, change func(*MailConfig)) *Mail {
	t.Helper()
	c := MailConfig{
		From: "Mug Shop <shop@example.com>", Merchant: "boss@example.com", Server: s.addr,
		Username: s.user, Password: s.pass, RootCAs: s.roots, ShopName: "Mug Shop",
		Location: time.FixedZone("CST", 8*3600), Now: func() time.Time { return epoch },
	}
	if s.implicit {
		c.TLS = TLSImplicit
	}
	if change != nil {
		change(&c)
	}
	m, err := NewMail(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// delivery is the mail of an event.
func delivery(target, eventType string, o *order.Order) store.Delivery {
	return store.Delivery{
		EventID: "01EVENT", Type: eventType, Target: target, Shop: o.Shop, OrderID: o.ID,
		Payload: Payload(eventType, o, epoch),
	}
}

// read parses a received mail and decodes subject and body.
func read(t *testing.T, e envelope) (h netmail.Header, subject, body string) {
	t.Helper()
	msg, err := netmail.ReadMessage(strings.NewReader(e.data))
	if err != nil {
		t.Fatalf("%v in\n%s", err, e.data)
	}
	subject, err = new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject"))
	if err != nil {
		t.Fatal(err)
	}
	if enc := msg.Header.Get("Content-Transfer-Encoding"); enc != "quoted-printable" {
		t.Fatalf("encoding %q", enc)
	}
	b, err := io.ReadAll(quotedprintable.NewReader(msg.Body))
	if err != nil {
		t.Fatal(err)
	}
	return msg.Header, subject, strings.ReplaceAll(string(b), "\r\n", "\n")
}

func TestMailToMerchantAndBuyer(t *testing.T) {
	english := func(c *MailConfig) { c.Language = "en" }
	late := mug()
	late.Late, late.Test, late.Language = true, true, "en"
	review := mug()
	review.State, review.PaidAt, review.Note = order.Review, time.Time{}, "amounts differ"
	for _, tc := range []struct {
		name, target, typ string
		o                 *order.Order
		change            func(*MailConfig)
		to, subject, id   string
		body              []string
	}{
		{
			"merchant, paid, Chinese", MailMerchant, TypePaid, mug(), nil, "<boss@example.com>",
			"已付款 42.00 元，订单 01KJVKTCGRAP08KEP423A9MZJT", "<01EVENT.merchant@example.com>",
			[]string{"此订单已付款。", "杯子（mug）39.00 × 1 = 39.00\nSpoon（spoon）1.50 × 2 = 3.00\n合计：42.00 元", "2026-03-04 13:07:07 CST", "姓名：李雷", "P1"},
		},
		{
			"merchant, late test, English", MailMerchant, TypePaid, late, english, "<boss@example.com>",
			"[TEST] Paid: 42.00 yuan, order 01KJVKTCGRAP08KEP423A9MZJT", "<01EVENT.merchant@example.com>",
			[]string{"after it had expired", "This is a test order", "E-mail: lilei@example.com"},
		},
		{
			"merchant, review", MailMerchant, TypeReview, review, english, "<boss@example.com>",
			"Please decide: order 01KJVKTCGRAP08KEP423A9MZJT", "<01EVENT.merchant@example.com>",
			[]string{"does not fit", "Note: amounts differ"},
		},
		{
			"merchant, second payment", MailMerchant, TypeSecondPayment, mug(), nil, "<boss@example.com>",
			"重复付款：订单 01KJVKTCGRAP08KEP423A9MZJT", "<01EVENT.merchant@example.com>",
			[]string{"又收到一笔付款", "支付流水号：P2"},
		},
		{
			"buyer, Chinese", MailBuyer, TypePaid, mug(), english, "<lilei@example.com>",
			"付款成功：订单 01KJVKTCGRAP08KEP423A9MZJT，Mug Shop", "<01EVENT.buyer@example.com>",
			[]string{"感谢您的购买", "杯子 39.00 × 1 = 39.00", "合计：42.00 元"},
		},
		{
			"buyer, English", MailBuyer, TypePaid, late, nil, "<lilei@example.com>",
			"[TEST] Receipt: order 01KJVKTCGRAP08KEP423A9MZJT, Mug Shop", "<01EVENT.buyer@example.com>",
			[]string{"Your payment has arrived", "2 x Spoon, 1.50 each: 3.00", "nothing will be delivered"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := (&smtpServer{startTLS: true, user: "shop", pass: "hunter2hunter2"}).listen(t)
			code, answer, outcome := mailer(t, s, tc.change).Send(t.Context(), delivery(tc.target, tc.typ, tc.o))
			if code != 250 || outcome != Delivered || !strings.Contains(answer, "queued as 42") {
				t.Fatalf("Send = %d, %q, %v", code, answer, outcome)
			}
			e := next(t, s.received)
			if e.from != "<shop@example.com>" || e.to != tc.to || !e.encrypted || e.user != "shop" {
				t.Errorf("envelope %+v", e)
			}
			h, subject, body := read(t, e)
			if subject != tc.subject {
				t.Errorf("subject %q, want %q", subject, tc.subject)
			}
			if id := h.Get("Message-ID"); id != tc.id {
				t.Errorf("Message-ID %q, want %q", id, tc.id)
			}
			if ct := h.Get("Content-Type"); ct != "text/plain; charset=UTF-8" {
				t.Errorf("Content-Type %q", ct)
			}
			if reply := h.Get("Reply-To"); (tc.target == MailBuyer) != strings.Contains(reply, "boss@example.com") {
				t.Errorf("Reply-To %q", reply)
			}
			for _, want := range tc.body {
				if !strings.Contains(body, want) {
					t.Errorf("body lacks %q:\n%s", want, body)
				}
			}
		})
	}
}

func TestMailConnections(t *testing.T) {
	for _, tc := range []struct {
		name   string
		server *smtpServer
		change func(*MailConfig)
		want   Outcome
	}{
		{"implicit TLS with login", &smtpServer{implicit: true, user: "u", pass: "p"}, nil, Delivered},
		{"STARTTLS without login", &smtpServer{startTLS: true}, nil, Delivered},
		{"STARTTLS is not offered", &smtpServer{user: "u", pass: "p"}, nil, Retry},
		{"certificate is not known", &smtpServer{startTLS: true}, func(c *MailConfig) { c.RootCAs = nil }, Retry},
		{"implicit TLS, certificate is not known", &smtpServer{implicit: true}, func(c *MailConfig) { c.RootCAs = nil }, Retry},
		{"no TLS on this machine", &smtpServer{user: "u", pass: "p"}, func(c *MailConfig) { c.TLS = TLSNone }, Delivered},
		{"wrong password", &smtpServer{startTLS: true, user: "u", pass: "p"}, func(c *MailConfig) { c.Password = "hunter2hunter2" }, Retry},
		{"server wants no login", &smtpServer{startTLS: true}, func(c *MailConfig) { c.Username, c.Password = "u", "hunter2hunter2" }, Retry},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := tc.server.listen(t)
			code, answer, outcome := mailer(t, s, tc.change).Send(t.Context(), delivery(MailMerchant, TypePaid, mug()))
			if outcome != tc.want {
				t.Errorf("Send = %d, %q, %v, want %v", code, answer, outcome, tc.want)
			}
			if got := len(s.received); got != 1 && tc.want == Delivered || got != 0 && tc.want == Retry {
				t.Errorf("%d mails arrived", got)
			}
			if strings.Contains(answer, "hunter2") {
				t.Errorf("answer holds the password: %q", answer)
			}
		})
	}
}

func TestMailReplies(t *testing.T) {
	for _, tc := range []struct {
		verb, reply string
		status      int
		want        Outcome
	}{
		{"greeting", "554 5.3.2 not today", 554, Retry},
		{"greeting", "drop", 0, Retry},
		{"AUTH", "535 5.7.8 no", 535, Retry},
		{"MAIL", "451 4.7.1 slow down", 451, Retry},
		{"MAIL", "550 5.7.1 not you", 550, Retry},
		{"RCPT", "450 4.2.1 greylisted", 450, Retry},
		{"RCPT", "550 5.7.1 relaying denied", 550, Retry},
		{"RCPT", "550 5.1.1 no such user", 550, Rejected},
		{"DATA", "451 4.3.0 later", 451, Retry},
		{".", "554 5.6.0 spam", 554, Retry},
		{".", "drop", 0, Retry},
		{"RSET", "421 4.3.0 going", 250, Delivered},
		{"RSET", "drop", 250, Delivered},
		{"QUIT", "drop", 250, Delivered},
	} {
		s := (&smtpServer{startTLS: true, user: "u", pass: "p", replies: map[string]string{tc.verb: tc.reply}}).listen(t)
		status, answer, outcome := mailer(t, s, nil).Send(t.Context(), delivery(MailBuyer, TypePaid, mug()))
		if status != tc.status || outcome != tc.want || answer == "" {
			t.Errorf("%s answered %q: %d, %q, %v; want %d, %v", tc.verb, tc.reply, status, answer, outcome, tc.status, tc.want)
		}
	}
}

// Wherever the server falls silent, the attempt ends with its context and
// leaves no connection behind (the package's leak check sees those).
func TestMailAttemptEndsWithItsContext(t *testing.T) {
	for _, verb := range []string{"greeting", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "."} {
		s := (&smtpServer{startTLS: true, user: "u", pass: "p", replies: map[string]string{verb: "hang"}}).listen(t)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, answer, outcome := mailer(t, s, nil).Send(ctx, delivery(MailBuyer, TypePaid, mug()))
		cancel()
		if outcome != Retry {
			t.Errorf("silence at %s: %q, %v", verb, answer, outcome)
		}
	}
}

func TestHeaderInjectionIsImpossible(t *testing.T) {
	dir := t.TempDir()
	subject := "{{.Name}} {{.Shop}} {{range .Lines}}{{.Name}}{{end}} {{.Note}} {{.Email}}"
	for _, name := range []string{"buyer.en.txt", "merchant.en.txt"} {
		write(t, filepath.Join(dir, name), "order "+subject+"\nName: {{.Name}}\nAddress: {{.Address}}\n.\nend")
	}
	const evil = "x\r\nBcc: victim@example.org\r\n\r\nbody\u2028\x00\nRCPT TO:<victim@example.org>\r\n.\r\nQUIT"
	o := mug()
	o.Language, o.Note = "en", evil
	o.Lines[0].Name, o.Buyer.Name, o.Buyer.Address, o.Buyer.Note = evil, evil, evil, evil
	s := (&smtpServer{startTLS: true}).listen(t)
	m := mailer(t, s, func(c *MailConfig) { c.Language, c.ShopName, c.Templates = "en", evil, dir })
	for _, target := range []string{MailMerchant, MailBuyer} {
		if _, answer, outcome := m.Send(t.Context(), delivery(target, TypePaid, o)); outcome != Delivered {
			t.Fatalf("%s: %q, %v", target, answer, outcome)
		}
		e := next(t, s.received)
		h, _, body := read(t, e)
		if h.Get("Bcc") != "" || strings.Contains(e.to, "victim") {
			t.Errorf("%s: header injected:\n%s", target, e.data)
		}
		for line := range strings.Lines(body) {
			if strings.HasPrefix(line, "Bcc:") || strings.HasPrefix(line, "RCPT") {
				t.Errorf("%s: line injected into the body: %q", target, line)
			}
		}
		if !strings.HasSuffix(strings.TrimSpace(body), "\n.\nend") {
			t.Errorf("%s: a line of a single point ends the mail:\n%s", target, body)
		}
	}
	if len(s.received) != 0 {
		t.Error("another mail was sent")
	}
	for _, email := range []string{
		"a@example.com\r\nBcc: victim@example.org", "a@example.com, victim@example.org", "Bob <a@example.com>",
		"\"a\r\nb\"@example.com", "a@example.com>\r\nRCPT TO:<victim@example.org", "", "nobody", " a@example.com",
	} {
		o.Buyer.Email = email
		if _, answer, outcome := m.Send(t.Context(), delivery(MailBuyer, TypePaid, o)); outcome != Rejected {
			t.Errorf("buyer address %q: %q, %v", email, answer, outcome)
		}
	}
	if len(s.received) != 0 {
		t.Error("a mail was sent to a wrong address")
	}
}

func TestMailThroughTheOutboxIsSentOnce(t *testing.T) {
	s := (&smtpServer{startTLS: true, user: "u", pass: "hunter2hunter2"}).listen(t)
	m := mailer(t, s, nil)
	box := newMemory()
	o := mug()
	event := box.add(o.Shop, o.ID, TypePaid, Payload(TypePaid, o, epoch), MailMerchant, MailBuyer)
	var log bytes.Buffer
	_, stop := start(t, Config{
		Store: box, Targets: []Target{{o.Shop, MailMerchant, m}, {o.Shop, MailBuyer, m}},
		Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	for _, target := range []string{MailMerchant, MailBuyer} {
		if d := box.await(t, event, target, 1); d.State != store.DeliveryDone || d.Log[0].Status != 250 {
			t.Errorf("%s: %+v", target, d)
		}
	}
	stop()
	if len(s.received) != 2 {
		t.Errorf("%d mails arrived, want 2", len(s.received))
	}
	for _, secret := range []string{"lilei@example.com", "李雷", "hunter2", "boss@example.com"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("log holds %q:\n%s", secret, &log)
		}
	}
}

func TestNewMailRefuses(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"broken", "field", "unknown", "empty", "subject"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "broken", "buyer.en.txt"), "subject\n{{if .Paid}}")
	write(t, filepath.Join(dir, "field", "merchant.zh.txt"), "subject\n{{.Nope}}")
	write(t, filepath.Join(dir, "unknown", "buyer.fr.txt"), "sujet\n")
	write(t, filepath.Join(dir, "subject", "buyer.zh.txt"), "{{.Paid}}\n")
	for _, tc := range []struct {
		name   string
		change func(*MailConfig)
		want   string
	}{
		{"no sender", func(c *MailConfig) { c.From = "" }, "sender"},
		{"sender with a line break", func(c *MailConfig) { c.From = "a@example.com\r\nBcc: b@example.com" }, "sender"},
		{"no recipient", func(c *MailConfig) { c.Merchant = "boss" }, "recipient"},
		{"no port", func(c *MailConfig) { c.Server = "smtp.example.com" }, "host:port"},
		{"no host", func(c *MailConfig) { c.Server = ":587" }, "host:port"},
		{"port out of range", func(c *MailConfig) { c.Server = "smtp.example.com:65536" }, "65536"},
		{"no TLS over a network", func(c *MailConfig) { c.TLS = TLSNone }, "this machine"},
		{"unknown TLS", func(c *MailConfig) { c.TLS = "maybe" }, "implicit"},
		{"password alone", func(c *MailConfig) { c.Password = "hunter2hunter2" }, "username"},
		{"unknown language", func(c *MailConfig) { c.Language = "fr" }, "zh or en"},
		{"broken template", func(c *MailConfig) { c.Templates = filepath.Join(dir, "broken") }, filepath.Join(dir, "broken", "buyer.en.txt")},
		{"unknown field", func(c *MailConfig) { c.Templates = filepath.Join(dir, "field") }, filepath.Join(dir, "field", "merchant.zh.txt")},
		{"unknown template", func(c *MailConfig) { c.Templates = filepath.Join(dir, "unknown") }, "buyer.fr.txt"},
		{"no template", func(c *MailConfig) { c.Templates = filepath.Join(dir, "empty") }, "no .txt file"},
		{"no subject", func(c *MailConfig) { c.Templates = filepath.Join(dir, "subject") }, "subject"},
		{"no directory", func(c *MailConfig) { c.Templates = filepath.Join(dir, "absent") }, "absent"},
	} {
		c := MailConfig{From: "shop@example.com", Merchant: "boss@example.com", Server: "smtp.example.com:587"}
		tc.change(&c)
		_, err := NewMail(c)
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: error %v, want one with %q", tc.name, err, tc.want)
		}
	}
}

func TestMailTLSByPort(t *testing.T) {
	for server, want := range map[string]string{
		"smtp.example.com:465": TLSImplicit, "smtp.example.com:587": TLSStart, "smtp.example.com:25": TLSStart, "[::1]:25": TLSStart,
	} {
		m, err := NewMail(MailConfig{From: "shop@example.com", Merchant: "boss@example.com", Server: server})
		if err != nil || m.c.TLS != want {
			t.Errorf("%s: %v, want %s", server, err, want)
		}
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
