package postgres

import (
	"testing"

	"github.com/caddy-checkout/checkout/internal/store"
)

// TestSearchOddPayid looks for a payid that JSON writes in other characters.
func TestSearchOddPayid(t *testing.T) {
	s := open(t, server(t).Schema(t))
	const payid = `"P<1>\È` + "\n" + `"`
	o := create(t, s, newOrder("shop"))
	update(t, s, o, payid, pay(payid))
	create(t, s, newOrder("shop"))
	for text, want := range map[string]int{payid: 1, `"p`: 1, "P<1": 1, `\È`: 1, `1>\`: 1, "\n\"": 1, `"`: 1, "è": 0, "u003c": 0, "notify": 0, "39.00": 0} {
		page, _, err := s.List(t.Context(), store.Filter{Text: text}, "", 10)
		if err != nil || len(page) != want {
			t.Errorf("%q: found %d orders, %v; want %d", text, len(page), err, want)
		}
	}
}
