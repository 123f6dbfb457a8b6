package cli

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/sign"
)

// mistake is a way to make a key that is not the protocol's, and the string
// that it hashes.
type mistake struct {
	ways          []string // what was done otherwise
	before, after string   // around the token
	token         string
}

// makes reports whether the string has the sum want.
func (m *mistake) makes(want []byte) bool {
	sum := md5.Sum([]byte(m.before + m.token + m.after))
	return bytes.Equal(sum[:], want)
}

// masked is the string without the token, as sign.Fields.Masked writes it.
func (m *mistake) masked() string { return m.before + "********" + m.after }

// pair is a field as it stands in the string.
type pair struct{ name, value string }

func joined(pairs []pair) string {
	parts := make([]string, 0, len(pairs))
	for _, p := range pairs {
		parts = append(parts, p.name+"="+p.value)
	}
	return strings.Join(parts, "&")
}

// way is one way to do a step of making the string. The first of a step is the
// protocol's and has no name.
type way[F any] struct {
	name string
	do   F
}

var valueWays = []way[func(name, value string) string]{
	{"", func(_, v string) string { return v }},
	{"the values were URL-encoded", func(_, v string) string { return url.QueryEscape(v) }},
	{"the values were URL-encoded, spaces as %20", func(_, v string) string { return strings.ReplaceAll(url.QueryEscape(v), "+", "%20") }},
	{"the values were URL-encoded in lower case", func(_, v string) string { return lowerEscapes(url.QueryEscape(v)) }},
	{"the values were decoded from their URL encoding", func(_, v string) string { return orSame(url.QueryUnescape(v))(v) }},
	{"the values were in GBK, not in UTF-8", func(_, v string) string { return orSame(simplifiedchinese.GBK.NewEncoder().String(v))(v) }},
	{"spaces around values were cut off", func(_, v string) string { return strings.TrimSpace(v) }},
	{"amounts were written with two decimals", func(name, v string) string {
		return amount(name, v, func(m order.Money) string { return m.String() })
	}},
	{"amounts were written without needless zeros", func(name, v string) string {
		return amount(name, v, func(m order.Money) string { return strings.TrimRight(strings.TrimRight(m.String(), "0"), ".") })
	}},
}

// orSame returns what gives v where it could not be changed, else the changed one.
func orSame(changed string, err error) func(v string) string {
	return func(v string) string {
		if err != nil {
			return v
		}
		return changed
	}
}

func lowerEscapes(v string) string {
	b := []byte(v)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:], strings.ToLower(string(b[i+1:i+3])))
		}
	}
	return string(b)
}

func amount(name, v string, write func(order.Money) string) string {
	if name != "paymoney" && name != "realpay" {
		return v
	}
	m, err := order.ParsePrice(v)
	if err != nil {
		return v
	}
	return write(m)
}

var orderWays = []way[func(pairs []pair)]{
	{"", func([]pair) {}},
	{"the fields were in alphabetical order", func(pairs []pair) {
		slices.SortFunc(pairs, func(a, b pair) int { return strings.Compare(a.name, b.name) })
	}},
}

// A token way returns what comes before and after the token.
var placeWays = []way[func(fields string) (before, after string)]{
	{"", func(f string) (string, string) { return f + "&token=", "" }},
	{"the token stood first, not last", func(f string) (string, string) { return "token=", "&" + f }},
	{"the token was called key", func(f string) (string, string) { return f + "&key=", "" }},
	{"the token had no name", func(f string) (string, string) { return f + "&", "" }},
	{"the token was appended without & and name", func(f string) (string, string) { return f, "" }},
}

var tokenWays = []way[func(token string) string]{
	{"", func(t string) string { return t }},
	{"spaces or line breaks around the token were cut off", strings.TrimSpace},
	{"a line break followed the token", func(t string) string { return t + "\n" }},
	{"the token was in upper case", strings.ToUpper},
	{"the token was in lower case", strings.ToLower},
}

// findMistake looks for what makes key, which may be in upper case: the
// mistake with the fewest ways that are not the protocol's, or nil.
func findMistake(f sign.Fields, values []string, token, key string) *mistake {
	want, err := hex.DecodeString(key)
	if err != nil || len(want) != md5.Size {
		return nil
	}
	for left := range 1 << len(f) {
		kept, leftOut := keep(f, values, left)
		// Strings that lack other fields differ, so no later set makes it too.
		if m := findWays(kept, leftOut, token, want); m != nil {
			return m
		}
	}
	return findOrder(f, values, token, want)
}

func findWays(kept []pair, leftOut, token string, want []byte) (best *mistake) {
	for _, vw := range valueWays {
		values := slices.Clone(kept)
		for i, p := range values {
			values[i].value = vw.do(p.name, p.value)
		}
		if vw.name != "" && slices.Equal(values, kept) {
			continue
		}
		for _, ow := range orderWays {
			pairs := slices.Clone(values)
			ow.do(pairs)
			fields := joined(pairs)
			for _, pw := range placeWays {
				for _, tw := range tokenWays {
					m := &mistake{token: tw.do(token)}
					m.before, m.after = pw.do(fields)
					if (tw.name != "" && m.token == token) || !m.makes(want) {
						continue
					}
					m.ways = slices.DeleteFunc([]string{leftOut, vw.name, ow.name, pw.name, tw.name}, func(w string) bool { return w == "" })
					if best == nil || len(m.ways) < len(best.ways) {
						best = m
					}
				}
			}
		}
	}
	return best
}

// keep leaves out the fields whose bits are set, and says so.
func keep(f sign.Fields, values []string, left int) (kept []pair, leftOut string) {
	var names []string
	empty := true
	for i, name := range f {
		if left>>i&1 == 0 {
			kept = append(kept, pair{name, values[i]})
			continue
		}
		names = append(names, name)
		empty = empty && values[i] == ""
	}
	switch {
	case names == nil:
		return kept, ""
	case empty:
		return kept, "empty fields were left out, which must keep their names: " + strings.Join(names, ", ")
	}
	return kept, "fields were left out: " + strings.Join(names, ", ")
}

// findOrder tries all orders of the fields.
func findOrder(f sign.Fields, values []string, token string, want []byte) *mistake {
	pairs := make([]pair, len(f))
	for i, name := range f {
		pairs[i] = pair{name, values[i]}
	}
	var found *mistake
	permute(pairs, 0, func() bool {
		m := &mistake{before: joined(pairs) + "&token=", token: token}
		if !m.makes(want) {
			return false
		}
		var names []string
		for _, p := range pairs {
			names = append(names, p.name)
		}
		m.ways = []string{"the fields were in the order " + strings.Join(names, ", ")}
		found = m
		return true
	})
	return found
}

// permute calls visit with pairs in every order of those from i on, until it
// returns true.
func permute(pairs []pair, i int, visit func() bool) bool {
	if i == len(pairs) {
		return visit()
	}
	for j := i; j < len(pairs); j++ {
		pairs[i], pairs[j] = pairs[j], pairs[i]
		if permute(pairs, i+1, visit) {
			return true
		}
		pairs[i], pairs[j] = pairs[j], pairs[i]
	}
	return false
}

// firstDifference returns the number of characters that a and b begin with
// alike, and false when they are the same.
func firstDifference(a, b string) (alike int, differ bool) {
	if a == b {
		return 0, false
	}
	ra, rb := []rune(a), []rune(b)
	for alike < len(ra) && alike < len(rb) && ra[alike] == rb[alike] {
		alike++
	}
	return alike, true
}

// pointAt writes two texts below each other and points at their first difference.
func (s *screen) pointAt(labelA, a, labelB, b string) {
	a, b = clean(a), clean(b)
	s.printf("%-9s %s\n%-9s %s\n", labelA, a, labelB, b)
	if alike, differ := firstDifference(a, b); differ {
		under := strings.Repeat(" ", columns(string([]rune(a)[:alike])))
		s.printf("%-9s %s%s\n", "", under, s.paint(fmt.Sprintf("^ the first difference, at character %d", alike+1), red))
	}
}
