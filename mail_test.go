package checkout

import (
	"encoding/base64"
	"net"
	netmail "net/mail"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// posted is a mail that a mailServer took.
type posted struct{ user, from, to, data string }

// mailServer is the least that takes mail after a login.
func mailServer(t *testing.T, user, password string) (addr string, took <-chan posted) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mails := make(chan posted, 100)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { takeMail(textproto.NewConn(c), user, password, mails) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return l.Addr().String(), mails
}

func takeMail(c *textproto.Conn, user, password string, mails chan<- posted) {
	defer c.Close()
	login := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
	var m posted
	reply := "220 test ESMTP"
	for {
		if c.PrintfLine("%s", reply) != nil {
			return
		}
		line, err := c.ReadLine()
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(line, " ")
		reply = "250 2.0.0 ok"
		switch verb {
		case "EHLO":
			reply = "250-test\r\n250 AUTH PLAIN"
		case "AUTH":
			reply = "535 5.7.8 bad credentials"
			if rest == "PLAIN "+login {
				reply, m.user = "235 2.7.0 welcome", user
			}
		case "MAIL":
			m.from, _, _ = strings.Cut(strings.TrimPrefix(rest, "FROM:"), " ")
		case "RCPT":
			m.to, _, _ = strings.Cut(strings.TrimPrefix(rest, "TO:"), " ")
		case "DATA":
			if c.PrintfLine("354 go ahead") != nil {
				return
			}
			data, err := c.ReadDotBytes()
			if err != nil {
				return
			}
			m.data = string(data)
			mails <- m
		case "QUIT":
			_ = c.PrintfLine("221 2.0.0 bye")
			return
		}
	}
}

// A paid order is told to the merchant and the buyer, by one mail each.
func TestMail(t *testing.T) {
	const password = "canary-of-the-mail-server"
	t.Setenv("CHECKOUT_TEST_SMTP_PASSWORD", password)
	addr, mails := mailServer(t, "shop", password)
	r := run(t, "require email", mail(
		"server "+addr, `from "Mug shop <shop@example.com>"`, "tls none", "language en",
		"username shop", "password {env.CHECKOUT_TEST_SMTP_PASSWORD}"))
	f := r.order(t, "sku=mug&qty=2&email=buyer%40example.com")
	r.pay(t, f)

	got := make(map[string]posted)
	for range 2 {
		select {
		case m := <-mails:
			got[m.to] = m
		case <-time.After(failsafe):
			t.Fatalf("%d mails came, want 2", len(got))
		}
	}
	for to, subject := range map[string]string{
		"<owner@example.com>": "[TEST] Paid: 78.00 yuan, order " + f.OrderID,
		"<buyer@example.com>": "[TEST] Receipt: order " + f.OrderID + ", Mug shop",
	} {
		m := got[to]
		msg, err := netmail.ReadMessage(strings.NewReader(m.data))
		if err != nil {
			t.Errorf("no mail to %s: %v", to, err)
			continue
		}
		if m.user != "shop" || m.from != "<shop@example.com>" || msg.Header.Get("Subject") != subject {
			t.Errorf("mail to %s from %s by %q: %q, want %q", to, m.from, m.user, msg.Header.Get("Subject"), subject)
		}
	}

	config := ask(t, r.admin, "GET", "http://127.0.0.1/config/", "").body
	log, err := os.ReadFile(filepath.Join(r.dir, "log.json"))
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{"log": string(log), "configuration": config} {
		if strings.Contains(text, password) {
			t.Errorf("the %s holds the password", what)
		}
	}
}

func TestMailReceipt(t *testing.T) {
	on, off := true, false
	email := []Field{{Name: "note"}, {Name: "email"}}
	for name, tc := range map[string]struct {
		receipt *bool
		fields  []Field
		want    bool
	}{
		"asked":            {nil, email, true},
		"asked, on":        {&on, email, true},
		"asked, off":       {&off, email, false},
		"not asked":        {nil, []Field{{Name: "note"}}, false},
		"nothing is asked": {nil, nil, false},
	} {
		if got := (&Mail{Receipt: tc.receipt}).receipt(tc.fields); got != tc.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestMailName(t *testing.T) {
	for from, want := range map[string]string{
		"shop@example.com":                      "shop.example.com:8443",
		"Mug shop <shop@example.com>":           "Mug shop",
		"=?utf-8?q?=E6=9D=AF?= <a@example.com>": "杯",
	} {
		h := &Handler{Origin: "https://shop.example.com:8443", Mail: &Mail{From: from}}
		if got := h.mailName(); got != want {
			t.Errorf("%s: got %q, want %q", from, got, want)
		}
	}
}
