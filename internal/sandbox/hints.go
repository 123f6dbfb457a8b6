package sandbox

import (
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-checkout/checkout/sign"
)

// hints tries the usual mistakes of integrators and returns those whose key
// was sent. It tells nothing that the sender does not know.
func (g *Gateway) hints(names sign.Fields, values map[string]string) verdict {
	key := values["key"]
	if lower := strings.ToLower(strings.TrimSpace(key)); lower != key {
		if names.Verify(lower, []string{g.c.Token}, pick(values, names)...) == nil {
			return because("hint_case")
		}
	}
	for _, h := range mistakes {
		wrong, changed := h.make(names, values)
		if slices.Equal(wrong, names) && changed == nil {
			continue
		}
		if changed == nil {
			changed = pick(values, wrong)
		}
		if wrong.Verify(key, []string{g.c.Token}, changed...) == nil {
			return because(h.code)
		}
	}
	return because("hint_none")
}

// mistakes make the fields, and where they are changed the values, that were
// signed by mistake.
var mistakes = []struct {
	code string
	make func(sign.Fields, map[string]string) (sign.Fields, []string)
}{
	{"hint_encoded", func(names sign.Fields, values map[string]string) (sign.Fields, []string) {
		return names, mapped(names, values, url.QueryEscape)
	}},
	{"hint_encoded", func(names sign.Fields, values map[string]string) (sign.Fields, []string) {
		return names, mapped(names, values, func(s string) string {
			if strings.Contains(s, "://") {
				return url.QueryEscape(s)
			}
			return s
		})
	}},
	{"hint_empty", func(names sign.Fields, values map[string]string) (sign.Fields, []string) {
		return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return values[n] == "" }), nil
	}},
	{"hint_sorted", func(names sign.Fields, _ map[string]string) (sign.Fields, []string) {
		return slices.Sorted(slices.Values(names)), nil
	}},
	{"hint_sorted", func(names sign.Fields, values map[string]string) (sign.Fields, []string) {
		sorted := slices.Sorted(slices.Values(names))
		return slices.DeleteFunc(sorted, func(n string) bool { return values[n] == "" }), nil
	}},
	{"hint_returnurl", func(names sign.Fields, _ map[string]string) (sign.Fields, []string) {
		return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == "returnurl" }), nil
	}},
	{"hint_order", func(names sign.Fields, _ map[string]string) (sign.Fields, []string) {
		return swapped(names, "notifyurl", "returnurl"), nil
	}},
	{"hint_order", func(names sign.Fields, _ map[string]string) (sign.Fields, []string) {
		return swapped(names, "uid", "orderid"), nil
	}},
}

func mapped(names sign.Fields, values map[string]string, change func(string) string) []string {
	changed := pick(values, names)
	for i := range changed {
		changed[i] = change(changed[i])
	}
	return changed
}

func swapped(names sign.Fields, a, b string) sign.Fields {
	i, j := slices.Index(names, a), slices.Index(names, b)
	if i < 0 || j < 0 {
		return names
	}
	names = slices.Clone(names)
	names[i], names[j] = names[j], names[i]
	return names
}
