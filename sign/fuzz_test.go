package sign_test

import (
	"strings"
	"testing"

	"github.com/caddy-checkout/checkout/sign"
)

// FuzzSplit takes the signed string of one notify, and splits it in every way
// it can be split into the fields of a notify: at most one way is accepted.
func FuzzSplit(f *testing.F) {
	f.Add("10000000480012", "10000000480010", "10000000480011", "0.01", "0.01")
	f.Add("1", "2", "&paymoney=0.01&realpay=0.01", "100.00", "100.00")
	f.Add("1", "2", "&orderid=VICTIM&orderuid=", "0.01", "0.01")
	f.Add("1&orderid=2", "3", "", "", "&realpay=&token=")
	f.Fuzz(func(t *testing.T, payid, orderid, orderuid, paymoney, realpay string) {
		masked := sign.Notify.Masked(payid, orderid, orderuid, paymoney, realpay)
		body, ok := strings.CutSuffix(strings.TrimPrefix(masked, "payid="), "&token=********")
		if !ok {
			t.Fatalf("signed string ends otherwise: %q", masked)
		}
		if strings.Count(body, "&") > 40 {
			return // the number of ways grows with its fourth power
		}
		ways, accepted := 0, 0
		split(body, sign.Notify[1:], nil, func(values []string) {
			ways++
			if sign.Notify.Masked(values...) != masked {
				t.Fatalf("%q is not a way to split %q", values, masked)
			}
			if sign.Notify.Check(values...) == nil {
				accepted++
			}
		})
		if ways == 0 || accepted > 1 {
			t.Errorf("%d of %d ways to split %q are accepted", accepted, ways, masked)
		}
	})
}

// split calls found with every way to cut s into a value and one for each of
// the names that follow it.
func split(s string, names, before []string, found func(values []string)) {
	if len(names) == 0 {
		found(append(before[:len(before):len(before)], s))
		return
	}
	sep := "&" + names[0] + "="
	for at := 0; ; at++ {
		i := strings.Index(s[at:], sep)
		if i < 0 {
			return
		}
		at += i
		split(s[at+len(sep):], names[1:], append(before[:len(before):len(before)], s[:at]), found)
	}
}

// FuzzRoundTrip: what can be signed verifies, and with no other value, field
// or token.
func FuzzRoundTrip(f *testing.F) {
	f.Add(token, "01J9ZQ3V5N8R7T2W4Y6A8C0E1G", "10000001400000")
	f.Add("ABC123", "顾客01", "")
	f.Add("t&token=", "a=b", "c;d")
	f.Add("", "\x00", "&")
	f.Fuzz(func(t *testing.T, tok, orderid, uid string) {
		key, err := sign.Status.Key(tok, orderid, uid)
		if err != nil {
			if key != "" {
				t.Errorf("key %q beside error %v", key, err)
			}
			if sign.Status.Verify(strings.Repeat("0", 32), []string{tok}, orderid, uid) == nil {
				t.Error("what cannot be signed verifies")
			}
			return
		}
		if err := sign.Status.Verify(key, []string{"another", tok}, orderid, uid); err != nil {
			t.Errorf("what was signed does not verify: %v", err)
		}
		for what, err := range map[string]error{
			"another token":   sign.Status.Verify(key, []string{tok + "x"}, orderid, uid),
			"another orderid": sign.Status.Verify(key, []string{tok}, orderid+"x", uid),
			"another uid":     sign.Status.Verify(key, []string{tok}, orderid, uid+"x"),
		} {
			if err == nil {
				t.Errorf("verifies with %s", what)
			}
		}
	})
}
