package checkout

import (
	"strings"
	"testing"
	"time"
)

// The gateway's limit is met exactly: 80 bytes pass, 81 do not.
func TestCheckReach(t *testing.T) {
	const origin = "https://shop.example.com"
	fit := 80 - len(origin) - len("/return/") - 26
	if err := checkReach(origin, "/"+strings.Repeat("p", fit-1)); err != nil {
		t.Errorf("a returnurl of 80 bytes: %v", err)
	}
	err := checkReach(origin, "/"+strings.Repeat("p", fit))
	if err == nil || !strings.Contains(err.Error(), "a returnurl of 81 bytes, 1 more than the 80") {
		t.Errorf("a returnurl of 81 bytes: %v", err)
	}
}

func TestCheckExpire(t *testing.T) {
	for d, ok := range map[time.Duration]bool{
		-1: false, 0: false, time.Second - 1: false, time.Second: true, 2 * time.Hour: true,
		30 * 24 * time.Hour: true, 30*24*time.Hour + 1: false,
	} {
		if err := checkExpire(d); (err == nil) != ok {
			t.Errorf("%s: %v", d, err)
		}
	}
}

func TestCheckOrigin(t *testing.T) {
	for origin, want := range map[string]string{
		"https://shop.example.com":       "",
		"https://shop.example.com:8443":  "",
		"http://[::1]:8080":              "",
		"https://shop.example.com:443":   "write https://shop.example.com",
		"http://shop.example.com:80":     "write http://shop.example.com",
		"http://[::1]:80":                "write http://[::1]",
		"http://shop.example.com:443":    "",
		"https://shop.example.com:":      "a port is a number",
		"https://shop.example.com:0":     "a port is a number",
		"https://shop.example.com:65536": "a port is a number",
		"https://a&b.example.com":        "a host has letters",
		"https://a'b.example.com":        "a host has letters",
	} {
		err := checkOrigin(origin)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", origin, err, want)
		}
	}
}

func TestCheckToken(t *testing.T) {
	for token, ok := range map[string]bool{
		strings.Repeat("x", 15):            false,
		strings.Repeat("x", 16):            true,
		strings.Repeat("x", 16) + "\n":     false,
		strings.Repeat("x", 16) + " ":      false,
		"10665CF54E90822951FE80330E9CF715": true,
		"$SHOP_CHECKOUT_TOKEN":             false,
		"%SHOP_CHECKOUT_TOKEN%":            false,
		"$2a$14$Zkx19XLiW6VYouLHR5Nmf":     true,
	} {
		if err := checkToken(token); (err == nil) != ok {
			t.Errorf("%q: %v", token, err)
		}
	}
}

func TestCheckPlain(t *testing.T) {
	for base, ok := range map[string]bool{
		"https://pay.example.com":       true,
		"http://localhost:8081":         true,
		"http://[::1]:8081":             true,
		"http://192.168.1.2":            true,
		"http://gateway:8081/v2":        true,
		"http://pay.example.com":        false,
		"http://localhost.evil.com":     false,
		"http://203.0.113.1:80/prefix":  false,
		"http://127.0.0.1.evil.example": false,
	} {
		if err := checkPlain(base); (err == nil) != ok {
			t.Errorf("%s: %v", base, err)
		}
	}
}
