package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestOldTLS: TLS 1.2 will do, 1.1 will not, although the certificate is
// trusted. It needs the transport that New makes.
func TestOldTLS(t *testing.T) {
	for version, fits := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, `{"orderid":"1","status":-1}`)
		}))
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: version}
		s.StartTLS()
		transport := newTransport()
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		transport.TLSClientConfig.RootCAs.AddCert(s.Certificate())
		c, err := New(Config{Base: s.URL, UID: "1", Tokens: []string{"0123456789abcdef"}, Timeout: time.Minute, Transport: transport})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Status(t.Context(), "1")
		if fits && err != nil || !fits && !errors.Is(err, ErrNoAnswer) {
			t.Errorf("%s: %v, want an answer %v", tls.VersionName(version), err, fits)
		}
		s.Close()
	}
}

// TestTransportGoesStraight: package http never sends requests for this
// machine through a proxy, so that only the setting can be looked at.
func TestTransportGoesStraight(t *testing.T) {
	transport := newTransport()
	if transport.Proxy != nil || transport.TLSClientConfig.InsecureSkipVerify {
		t.Error("transport takes proxies from the environment, or trusts any certificate")
	}
}
