package gateway

import (
	"net/netip"
	"slices"
	"strings"
)

// Loopback reports whether a host, without a port, is this machine.
func Loopback(host string) bool {
	host = strings.ToLower(host)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// privateEnds are the ends of names that the public DNS does not know.
var privateEnds = []string{".local", ".internal", ".lan", ".test", ".home.arpa"}

// Private reports whether a host, without a port, can only be reached from
// this machine or its network, as far as its name or address says.
func Private(host string) bool {
	if Loopback(host) {
		return true
	}
	host = strings.ToLower(host)
	if addr, err := netip.ParseAddr(host); err == nil {
		addr = addr.Unmap()
		return addr.IsPrivate() || addr.IsLinkLocalUnicast()
	}
	if slices.ContainsFunc(privateEnds, func(end string) bool { return strings.HasSuffix(host, end) }) {
		return true
	}
	return !strings.Contains(host, ".")
}
