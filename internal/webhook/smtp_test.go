package webhook

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"net"
	"net/http/httptest"
	"net/textproto"
	"strings"
	"sync"
	"testing"
)

// smtpServer is a small SMTP server on a loopback socket.
type smtpServer struct {
	addr  string
	roots *x509.CertPool // that know its certificate

	startTLS   bool              // offered
	implicit   bool              // TLS from the first byte on
	user, pass string            // empty: no login
	replies    map[string]string // by verb: instead of the usual reply; "hang" waits for the client to go
	received   chan envelope

	cert tls.Certificate
	done sync.WaitGroup
}

// envelope is a mail as it was received.
type envelope struct {
	from, to  string
	encrypted bool
	user      string
	data      string // with \n line ends
}

// listen starts the server; it ends with the test.
func (s *smtpServer) listen(t *testing.T) *smtpServer {
	t.Helper()
	lender := httptest.NewTLSServer(nil) // makes a certificate for 127.0.0.1
	s.cert = lender.TLS.Certificates[0]
	s.roots = x509.NewCertPool()
	s.roots.AddCert(lender.Certificate())
	lender.Close()

	s.received = make(chan envelope, 100)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	s.done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.done.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.done.Wait()
	})
	return s
}

func (s *smtpServer) serve(c net.Conn) {
	defer func() { c.Close() }()
	config := &tls.Config{Certificates: []tls.Certificate{s.cert}}
	if s.implicit {
		c = tls.Server(c, config)
	}
	tc := textproto.NewConn(c)
	say := func(verb, usual string) bool {
		reply, ok := s.replies[verb]
		switch {
		case !ok:
			reply = usual
		case reply == "hang":
			tc.ReadLine() // the client says nothing more; this ends when it goes
			return false
		case reply == "drop":
			return false
		}
		return tc.PrintfLine("%s", reply) == nil
	}
	if !say("greeting", "220 test ESMTP") {
		return
	}
	e := envelope{encrypted: s.implicit}
	for {
		line, err := tc.ReadLine()
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(line, " ")
		verb = strings.ToUpper(verb)
		var ok bool
		switch verb {
		case "EHLO":
			ext := []string{"250-test", "250-ENHANCEDSTATUSCODES"}
			if s.startTLS && !e.encrypted {
				ext = append(ext, "250-STARTTLS")
			}
			if s.user != "" {
				ext = append(ext, "250-AUTH PLAIN LOGIN")
			}
			ok = say(verb, strings.Join(append(ext, "250 8BITMIME"), "\r\n"))
		case "STARTTLS":
			if ok = say(verb, "220 2.0.0 go ahead"); ok {
				c = tls.Server(c, config)
				tc = textproto.NewConn(c)
				e.encrypted = true
			}
		case "AUTH":
			usual := "535 5.7.8 bad credentials"
			mech, initial, _ := strings.Cut(rest, " ")
			creds, err := base64.StdEncoding.DecodeString(initial)
			if err == nil && mech == "PLAIN" && string(creds) == "\x00"+s.user+"\x00"+s.pass {
				usual, e.user = "235 2.7.0 welcome", s.user
			}
			ok = say(verb, usual)
		case "MAIL":
			e.from, _, _ = strings.Cut(strings.TrimPrefix(rest, "FROM:"), " ")
			ok = say(verb, "250 2.1.0 ok")
		case "RCPT":
			e.to, _, _ = strings.Cut(strings.TrimPrefix(rest, "TO:"), " ")
			ok = say(verb, "250 2.1.5 ok")
		case "DATA":
			if ok = say(verb, "354 go ahead"); !ok {
				return
			}
			if s.replies[verb] != "" {
				break
			}
			data, err := tc.ReadDotBytes()
			if err != nil {
				return
			}
			e.data = string(data)
			if s.replies["."] == "" {
				s.received <- e
			}
			ok = say(".", "250 2.0.0 queued as 42")
		case "RSET", "NOOP":
			ok = say(verb, "250 2.0.0 ok")
		case "QUIT":
			say(verb, "221 2.0.0 bye")
			return
		default:
			ok = say(verb, "500 5.5.2 what")
		}
		if !ok {
			return
		}
	}
}
