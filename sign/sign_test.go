package sign_test

import (
	"crypto/md5"
	"errors"
	"strings"
	"testing"

	"github.com/caddy-checkout/checkout/sign"
)

const token = "10665CF54E90822951FE80330E9CF715"

var payValues = []string{
	"10000001400000", "01J9ZQ3V5N8R7T2W4Y6A8C0E1G", "手冲咖啡壶", "128.00", "顾客01", "11",
	"https://shop.example.com/checkout/notify", "https://shop.example.com/checkout/return/01J9ZQ3V5N8R7T2W4Y6A8C0E1G", "",
}

func TestKeyWithoutToken(t *testing.T) {
	key, err := sign.Status.Key("", "1", "2")
	if key != "" || !errors.Is(err, sign.ErrToken) {
		t.Errorf("Key = %q, %v, want %v", key, err, sign.ErrToken)
	}
}

// TestEveryByte holds each value of one byte, and each of one character up to
// U+00FF, to the rule, in every field of every message.
func TestEveryByte(t *testing.T) {
	for message, f := range messages {
		for i, name := range f {
			for c := range 256 {
				values := make([]string, len(f))
				values[i] = string([]byte{byte(c)})
				want := c >= 0x20 && c < 0x7f && c != '&'
				if err := f.Check(values...); (err == nil) != want {
					t.Errorf("%s %s: byte %#x: %v, want accepted %v", message, name, c, err, want)
				}
				values[i] = string(rune(c))
				want = want || c >= 0xa0
				if err := f.Check(values...); (err == nil) != want {
					t.Errorf("%s %s: U+%04X: %v, want accepted %v", message, name, c, err, want)
				}
				if sign.Signable(rune(c)) != want {
					t.Errorf("Signable(U+%04X) = %v", c, !want)
				}
			}
		}
	}
}

// TestVerifyTriesAllTokens finds the token wherever it stands, between others
// that are longer, shorter and empty.
func TestVerifyTriesAllTokens(t *testing.T) {
	key, err := sign.Pay.Key(token, payValues...)
	if err != nil {
		t.Fatal(err)
	}
	others := []string{"", token[1:], strings.Repeat("x", 5000)}
	if err := sign.Pay.Verify(key, others, payValues...); !errors.Is(err, sign.ErrKey) {
		t.Errorf("Verify without the token: %v, want %v", err, sign.ErrKey)
	}
	for at := range len(others) + 1 {
		tokens := append(append(append([]string(nil), others[:at]...), token), others[at:]...)
		if err := sign.Pay.Verify(key, tokens, payValues...); err != nil {
			t.Errorf("Verify with the token at %d of %d: %v", at, len(tokens), err)
		}
	}
}

func TestWrongNumberOfValues(t *testing.T) {
	calls := map[string]func(values ...string){
		"Key":    func(v ...string) { sign.Status.Key(token, v...) },
		"Check":  func(v ...string) { sign.Status.Check(v...) },
		"Masked": func(v ...string) { sign.Status.Masked(v...) },
		"Verify": func(v ...string) { sign.Status.Verify(strings.Repeat("0", 32), []string{token}, v...) },
	}
	for name, call := range calls {
		for n := range 4 {
			panicked := func() (p bool) {
				defer func() { p = recover() != nil }()
				call(make([]string, n)...)
				return
			}()
			if panicked != (n != len(sign.Status)) {
				t.Errorf("%s with %d values: panicked %v", name, n, panicked)
			}
		}
	}
}

func TestAllocations(t *testing.T) {
	full := []string{
		strings.Repeat("u", 40), strings.Repeat("o", 40), strings.Repeat("n", 100), strings.Repeat("9", 14), strings.Repeat("b", 40), "11",
		strings.Repeat("h", 80), strings.Repeat("r", 80), strings.Repeat("i", 500),
	}
	long := strings.Repeat("t", 128)
	for name, values := range map[string][]string{"usual": payValues, "every field at its limit": full} {
		key, err := sign.Pay.Key(long, values...)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() { key, err = sign.Pay.Key(long, values...) }); n > 1 {
			t.Errorf("%s: Key allocates %v times, want 1", name, n)
		}
		tokens := []string{token, long}
		if n := testing.AllocsPerRun(100, func() { err = sign.Pay.Verify(key, tokens, values...) }); n > 0 || err != nil {
			t.Errorf("%s: Verify allocates %v times, want 0; %v", name, n, err)
		}
	}
}

var (
	sinkKey string
	sinkSum [md5.Size]byte
	sinkErr error
)

// benchmarked are the longest and the shortest message.
var benchmarked = []struct {
	name   string
	fields sign.Fields
	values []string
}{
	{"pay", sign.Pay, payValues},
	{"status", sign.Status, []string{"01J9ZQ3V5N8R7T2W4Y6A8C0E1G", "10000001400000"}},
}

// BenchmarkKey and BenchmarkMD5 hash the same bytes.
func BenchmarkKey(b *testing.B) {
	for _, m := range benchmarked {
		b.Run(m.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sinkKey, sinkErr = m.fields.Key(token, m.values...)
			}
		})
	}
}

func BenchmarkMD5(b *testing.B) {
	for _, m := range benchmarked {
		b.Run(m.name, func(b *testing.B) {
			text := []byte(strings.ReplaceAll(m.fields.Masked(m.values...), "********", token))
			b.ReportAllocs()
			for b.Loop() {
				sinkSum = md5.Sum(text)
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	values := []string{"10000000480012", "10000000480010", "10000000480011", "0.01", "0.01"}
	key, err := sign.Notify.Key(token, values...)
	if err != nil {
		b.Fatal(err)
	}
	tokens := []string{token}
	b.ReportAllocs()
	for b.Loop() {
		sinkErr = sign.Notify.Verify(key, tokens, values...)
	}
}
