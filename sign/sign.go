// Package sign makes and verifies the keys of the gateway's messages.
package sign

import "errors"

// Fields are the names of a message's signed fields, in signing order.
type Fields []string

// The signed fields of every message (protocol sections 1, 2, 4 and 5). This
// is the one table of them.
var (
	Pay     = Fields{"uid", "orderid", "ordername", "paymoney", "orderuid", "paytype", "notifyurl", "returnurl", "orderinfo"}
	Notify  = Fields{"payid", "orderid", "orderuid", "paymoney", "realpay"}
	Status  = Fields{"orderid", "uid"}
	Balance = Fields{"uid", "reqtime"}
)

var (
	// ErrValue: a value holds '&', a control character or invalid UTF-8, so
	// that the string could be split another way. Wrapped in an error that names the field, never the value.
	ErrValue = errors.New("value cannot be signed")
	// ErrKeyForm: a key that is not exactly 32 lower-case hex digits.
	ErrKeyForm = errors.New("key is not 32 lower-case hex digits")
	// ErrKey: a well-formed key that fits none of the tokens.
	ErrKey = errors.New("key does not match")
)

// Key signs values, given in the order of the fields. It panics if their number differs.
func (f Fields) Key(token string, values ...string) (string, error) { panic("unwritten") }

// Verify checks key in constant time against every token.
func (f Fields) Verify(key string, tokens []string, values ...string) error { panic("unwritten") }

// Masked returns the string that Key hashes, with the token replaced by
// asterisks, for people who look for a difference.
func (f Fields) Masked(values ...string) string { panic("unwritten") }
