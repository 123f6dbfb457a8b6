package sign

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"unicode/utf8"
)

var (
	// ErrValue: a value holds '&', a control character or invalid UTF-8, so
	// that the string could be split another way. It is wrapped in an error
	// that names the field, never the value.
	ErrValue = errors.New("value cannot be signed")
	// ErrToken: there is no token to sign with.
	ErrToken = errors.New("token is empty")
)

// keySize is the length of a key in hexadecimal digits.
const keySize = 2 * md5.Size

// bufferSize holds a pay request with every field at its limit and a token of
// 128 bytes, the longest message there is. Longer ones work, on the heap.
const bufferSize = 1280

// mask stands for the token. Its length says nothing about the token's.
const mask = "********"

// Key signs values, given in the order of the fields. It panics if their
// number differs. It returns an error that wraps [ErrValue], or [ErrToken].
func (f Fields) Key(token string, values ...string) (string, error) {
	if err := f.Check(values...); err != nil {
		return "", err
	}
	if token == "" {
		return "", ErrToken
	}
	var buf [bufferSize]byte
	sum := md5.Sum(append(f.appendValues(buf[:0], values), token...))
	var key [keySize]byte
	hex.Encode(key[:], sum[:])
	return string(key[:]), nil
}

// Masked returns the string that [Fields.Key] hashes, with the token replaced
// by asterisks, for people who look for a difference. It does not check the
// values. It panics if their number differs from the fields'.
func (f Fields) Masked(values ...string) string {
	f.mustFit(values)
	return string(append(f.appendValues(nil, values), mask...))
}

// Check reports whether values can be signed, as [Fields.Key] does before it
// signs. Errors name the field and wrap [ErrValue].
func (f Fields) Check(values ...string) error {
	f.mustFit(values)
	for i, v := range values {
		if fault := fault(v); fault != "" {
			return fmt.Errorf("%s: %w: it holds %s", f[i], ErrValue, fault)
		}
	}
	return nil
}

// Signable reports whether r may stand in a signed value: everything but '&'
// and the control characters (C0, DEL and C1).
func Signable(r rune) bool {
	return r != '&' && r >= 0x20 && (r < 0x7f || r > 0x9f)
}

// fault says what keeps v from being signed, or "".
func fault(v string) string {
	// Most values are plain ASCII, where bytes tell as much as characters do.
	for i := range len(v) {
		if c := v[i]; c >= utf8.RuneSelf || !Signable(rune(c)) {
			return faultIn(v[i:])
		}
	}
	return ""
}

func faultIn(v string) string {
	if !utf8.ValidString(v) {
		return "invalid UTF-8"
	}
	for _, r := range v {
		if Signable(r) {
			continue
		}
		if r == '&' {
			return "'&'"
		}
		return "a control character"
	}
	return ""
}

func (f Fields) mustFit(values []string) {
	if len(values) != len(f) {
		panic(fmt.Sprintf("sign: %d values for %d fields", len(values), len(f)))
	}
}

// appendValues appends the signed string up to where the token belongs.
func (f Fields) appendValues(b []byte, values []string) []byte {
	for i, v := range values {
		b = append(b, f[i]...)
		b = append(b, '=')
		b = append(b, v...)
		b = append(b, '&')
	}
	return append(b, "token="...)
}
