package sandbox

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-checkout/checkout/internal/gateway"
	"github.com/caddy-checkout/checkout/sign"
)

const (
	// maxFormBytes bounds the body of a pay request and of a command.
	maxFormBytes = gateway.MaxNotifyBytes
	// maxUnknown bounds how many fields are complained about by name.
	maxUnknown = 8
)

// rule is a row of a message's table.
type rule struct {
	name     string
	limit    int // bytes; zero: none
	required bool
}

var (
	payRules = []rule{
		{"uid", 0, true},
		{"orderid", 40, true},
		{"ordername", 100, false},
		{"paymoney", 14, true},
		{"orderuid", 40, false},
		{"paytype", 0, true},
		{"notifyurl", 80, true},
		{"returnurl", 80, true},
		{"orderinfo", 500, false},
		{"key", 0, true},
	}
	statusRules  = []rule{{"orderid", 40, true}, {"uid", 0, true}, {"key", 0, true}}
	balanceRules = []rule{{"uid", 0, true}, {"reqtime", 40, true}, {"key", 0, true}}
)

// payTypeAlipay is the one payment method there is (protocol section 1).
const payTypeAlipay = "11"

// readBody reads the fields from a form's body, never from the URL.
func readBody(r *http.Request) (url.Values, verdict) {
	if r.URL.RawQuery != "" {
		return nil, because("query")
	}
	ct := r.Header.Get("Content-Type")
	media, params, err := mime.ParseMediaType(ct)
	if err != nil || media != "application/x-www-form-urlencoded" {
		return nil, because("content_type", ct)
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return nil, because("content_type", ct)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxFormBytes+1))
	if err != nil {
		return nil, because("form_syntax", "the body broke off")
	}
	if len(body) > maxFormBytes {
		return nil, because("too_large", maxFormBytes)
	}
	return parseForm(string(body))
}

func parseForm(s string) (url.Values, verdict) {
	values, err := url.ParseQuery(s)
	if err != nil {
		return values, because("form_syntax", err.Error())
	}
	return values, nil
}

// check returns the values that form holds for the rules, and everything that
// is wrong with them.
func check(form url.Values, rules []rule) (map[string]string, verdict) {
	values := make(map[string]string, len(rules))
	var v verdict
	for _, r := range rules {
		got := form[r.name]
		switch {
		case len(got) == 0:
			v = append(v, because("missing", r.name)...)
			continue
		case len(got) > 1:
			v = append(v, because("repeated", r.name, len(got))...)
			continue
		}
		value := got[0]
		values[r.name] = value
		switch {
		case value == "" && r.required:
			v = append(v, because("empty", r.name)...)
		case r.limit > 0 && len(value) > r.limit:
			v = append(v, because("too_long", r.name, len(value), r.limit)...)
		case r.name != "key" && sign.Fields{r.name}.Check(value) != nil:
			v = append(v, because("value", r.name)...)
		}
	}
	unknown := unknownFields(form, rules)
	for _, name := range unknown[:min(len(unknown), maxUnknown)] {
		if name == "token" {
			v = append(v, because("token_sent")...)
			continue
		}
		v = append(v, because("unknown_field", name)...)
	}
	return values, v
}

func unknownFields(form url.Values, rules []rule) []string {
	var names []string
	for name := range form {
		if !slices.ContainsFunc(rules, func(r rule) bool { return r.name == name }) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// fieldsOf lists form in the order of the rules, whatever else there is at the end.
func fieldsOf(form url.Values, rules []rule) []field {
	fields := []field{}
	add := func(name string) {
		for _, value := range form[name] {
			fields = append(fields, field{name, value})
		}
	}
	for _, r := range rules {
		add(r.name)
	}
	for _, name := range unknownFields(form, rules) {
		add(name)
	}
	return fields
}

func pick(values map[string]string, names sign.Fields) []string {
	picked := make([]string, len(names))
	for i, name := range names {
		picked[i] = values[name]
	}
	return picked
}

// authenticate checks uid and key of a message whose fields are in order. When
// the key does not match it returns the string that was hashed, the token masked.
func (g *Gateway) authenticate(names sign.Fields, values map[string]string) (hashed string, v verdict) {
	if values["uid"] != g.c.UID {
		return "", because("uid", values["uid"], g.c.UID)
	}
	picked := pick(values, names)
	err := names.Verify(values["key"], []string{g.c.Token}, picked...)
	if err == nil {
		return "", nil
	}
	v = because("key")
	if errors.Is(err, sign.ErrKeyForm) {
		v = because("key_form")
	}
	return g.mask(names.Masked(picked...)), append(v, g.hints(names, values)...)
}
