package integration

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// The JSON of the documents has the fields of the real one.
func TestDocumentedJSONIsReal(t *testing.T) {
	k := openCounter(t)
	blocks := make(map[string]string)
	for _, name := range []string{"docs/admin-api.md", "docs/webhooks.md"} {
		for _, s := range sections(t, name) {
			for i, f := range s.fences {
				if f.language == "json" {
					blocks[fmt.Sprintf("%s %d", s.anchor(), i)] = f.text
				}
			}
		}
	}
	expect := func(key string, got any) {
		t.Helper()
		var documented any
		if err := json.Unmarshal([]byte(blocks[key]), &documented); err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		if d, r := fields("", documented), fields("", got); !slices.Equal(d, r) {
			t.Errorf("%s has\n%s\nwhere there really is\n%s", key, strings.Join(d, " "), strings.Join(r, " "))
		}
	}
	for key, path := range map[string]string{
		"one-order 1": "orders/" + k.paid,
		"sums 1":      "summary",
		"sums 2":      "balance",
		"orphans 1":   "orphans",
	} {
		var got any
		k.admin(t, "/checkout/"+path, &got)
		expect(key, got)
	}
	for _, d := range k.hooks.Deliveries() {
		var kind struct {
			Type string `json:"type"`
		}
		var event any
		if err := errors.Join(json.Unmarshal(d.Body, &kind), json.Unmarshal(d.Body, &event)); err != nil {
			t.Fatal(err)
		}
		if kind.Type == "checkout.paid" {
			expect("what-comes 0", event)
			return
		}
	}
	t.Error("no webhook came")
}

// fields returns the paths of all fields in a JSON value, sorted; what is below
// a state's name is that state's.
func fields(prefix string, v any) []string {
	all := make(map[string]bool)
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			if slices.Contains([]string{"pending", "paid", "expired", "review"}, name) {
				name = "<state>"
			}
			all[prefix+"."+name] = true
			for _, f := range fields(prefix+"."+name, inner) {
				all[f] = true
			}
		}
	case []any:
		for _, inner := range v {
			for _, f := range fields(prefix, inner) {
				all[f] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// The feed writes what the document says, as an order is paid.
func TestDocumentedFeed(t *testing.T) {
	k := openCounter(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/checkout/feed", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := k.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	k.buy(t)
	line, err := bufio.NewReader(resp.Body).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var got, documented map[string]any
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(sections(t, "docs/admin-api.md"), func(s section) bool { return s.heading == "Feed" })
	if err := json.Unmarshal([]byte(sections(t, "docs/admin-api.md")[at].fences[0].text), &documented); err != nil {
		t.Fatal(err)
	}
	if want, have := slices.Sorted(maps.Keys(documented)), slices.Sorted(maps.Keys(got)); !slices.Equal(want, have) {
		t.Errorf("a line has %v, the document says %v", have, want)
	}
}
