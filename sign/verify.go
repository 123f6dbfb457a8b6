package sign

import (
	"crypto/md5"
	"crypto/subtle"
	"encoding/hex"
	"errors"
)

var (
	// ErrKeyForm: a key that is not exactly 32 lower-case hex digits.
	ErrKeyForm = errors.New("key is not 32 lower-case hex digits")
	// ErrKey: a well-formed key that fits none of the tokens.
	ErrKey = errors.New("key does not match")
)

// Verify checks in constant time whether key fits the values and any of the
// tokens; an empty token fits nothing. It returns [ErrKeyForm], an error that
// wraps [ErrValue], or [ErrKey]. It panics if the number of values differs
// from the fields'.
func (f Fields) Verify(key string, tokens []string, values ...string) error {
	if !wellFormed(key) {
		return ErrKeyForm
	}
	if err := f.Check(values...); err != nil {
		return err
	}
	var buf [bufferSize]byte
	b := f.appendValues(buf[:0], values)
	given := []byte(key)
	fits := 0
	for _, token := range tokens {
		if token == "" {
			continue
		}
		sum := md5.Sum(append(b, token...))
		var want [keySize]byte
		hex.Encode(want[:], sum[:])
		fits |= subtle.ConstantTimeCompare(want[:], given)
	}
	if fits == 0 {
		return ErrKey
	}
	return nil
}

func wellFormed(key string) bool {
	if len(key) != keySize {
		return false
	}
	for i := range len(key) {
		if c := key[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
