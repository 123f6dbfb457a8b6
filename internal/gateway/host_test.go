package gateway

import "testing"

func TestHosts(t *testing.T) {
	for host, want := range map[string]struct{ loopback, private bool }{
		"localhost":           {true, true},
		"LocalHost":           {true, true},
		"sandbox.localhost":   {true, true},
		"127.9.9.9":           {true, true},
		"::1":                 {true, true},
		"::ffff:127.0.0.1":    {true, true},
		"192.168.1.2":         {false, true},
		"10.0.0.1":            {false, true},
		"169.254.1.1":         {false, true},
		"fd00::1":             {false, true},
		"fe80::1%eth0":        {false, true},
		"gateway":             {false, true},
		"pay.internal":        {false, true},
		"pay.example.com":     {false, false},
		"localhost.evil.com":  {false, false},
		"internal.evil.com":   {false, false},
		"203.0.113.1":         {false, false},
		"2001:db8::1":         {false, false},
		"127.0.0.1.evil.com":  {false, false},
		"192.168.1.2.evil.cn": {false, false},
		"pay.example.com.":    {false, false},
	} {
		if got := Loopback(host); got != want.loopback {
			t.Errorf("Loopback(%q) = %v", host, got)
		}
		if got := Private(host); got != want.private {
			t.Errorf("Private(%q) = %v", host, got)
		}
	}
}
