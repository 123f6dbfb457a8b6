package harness

import (
	"net"
	"net/http"
	"testing"
)

// From returns the shop as a buyer at another address of the loopback network
// (127.0.0.0/8) sees it, who keeps up to n connections. Where an operating
// system has only 127.0.0.1, requests fail.
func (s *Shop) From(t testing.TB, address string, n int) *Shop {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	transport := &http.Transport{MaxIdleConnsPerHost: n, MaxConnsPerHost: n, DialContext: dialer.DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	seen := *s
	seen.client = &http.Client{Timeout: Failsafe, Transport: transport}
	return &seen
}
