package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/caddy-checkout/checkout/sign"
)

// maxMsg bounds the gateway's words, in bytes.
const maxMsg = 200

// reply is a JSON object: what its known members hold, as json.Decoder with
// UseNumber decodes them. An absent member is not in it.
type reply map[string]any

// decodeReply decodes one JSON object strictly: valid UTF-8, nothing after it,
// and each known member at most once and in its exact case. Package json alone
// would take the last of two members, and STATUS for status. Errors hold
// nothing of the body.
func decodeReply(body []byte, known ...string) (reply, error) {
	if !utf8.Valid(body) {
		return nil, errors.New("invalid UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	r := make(reply, len(known))
	for dec.More() {
		// In an object, what follows is a string or an error.
		token, err := dec.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, errors.New("malformed JSON")
		}
		var value any
		if err := dec.Decode(&value); err != nil {
			return nil, errors.New("malformed JSON")
		}
		i := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, name) })
		if i < 0 {
			continue
		}
		if known[i] != name {
			return nil, fmt.Errorf("%s in another case", known[i])
		}
		if _, twice := r[name]; twice {
			return nil, fmt.Errorf("%s stands twice", name)
		}
		r[name] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, errors.New("malformed JSON")
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("something after the JSON object")
	}
	return r, nil
}

// text returns a member that is a string fit to be kept; absent and null are
// empty.
func (r reply) text(name string) (string, error) {
	s, ok := r[name].(string)
	if !ok && r[name] != nil {
		return "", fmt.Errorf("%s is not a string", name)
	}
	if len(s) > maxValue {
		return "", fmt.Errorf("%s has %d bytes", name, len(s))
	}
	if err := (sign.Fields{name}).Check(s); err != nil {
		return "", err
	}
	return s, nil
}

// echo checks that the reply repeats what was asked.
func (r reply) echo(name, asked string) error {
	if s, ok := r[name].(string); !ok || s != asked {
		return fmt.Errorf("%s is not the one asked about", name)
	}
	return nil
}

// status returns the status, which is a string or an integer and one of those
// allowed. Zero means paid, so nothing may become zero by being left out.
func (r reply) status(allowed ...string) (string, error) {
	var s string
	switch v := r["status"].(type) {
	case string:
		s = v
	case json.Number:
		s = v.String()
	default:
		return "", errors.New("status is neither a string nor an integer")
	}
	if !slices.Contains(allowed, s) {
		return "", errors.New("status is none that there is")
	}
	return s, nil
}

// msg returns the gateway's own words, short, in one line and without secrets,
// which a gateway may repeat when it explains why a key is wrong.
func (r reply) msg(secrets ...string) (string, error) {
	s, ok := r["msg"].(string)
	if !ok && r["msg"] != nil {
		return "", errors.New("msg is not a string")
	}
	for _, secret := range secrets {
		s = strings.ReplaceAll(s, secret, "***")
	}
	return Title(s, maxMsg), nil
}
