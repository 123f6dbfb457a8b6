package integration

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	comment   = regexp.MustCompile(`(?m)\s*(//|#) .*$`) // in a snippet; translated
	tableRow  = regexp.MustCompile(`(?m)^\|.*\|$`)
	listPoint = regexp.MustCompile(`(?m)^- `)
)

// The Chinese README says what the English one says: the same headings in their
// order, snippets, commands, code in the text, rows of tables, points of lists
// and links.
func TestTranslationIsInStep(t *testing.T) {
	english, chinese := sections(t, "README.md"), sections(t, "README.zh-CN.md")
	anchors := make(map[string]string)
	for i := range min(len(english), len(chinese)) {
		anchors[english[i].anchor()] = chinese[i].anchor()
	}
	for i, e := range english {
		if i >= len(chinese) {
			t.Fatalf("the translation ends before %q", e.heading)
		}
		c := chinese[i]
		if c.level != e.level {
			t.Fatalf("%q has level %d, its translation %q has %d", e.heading, e.level, c.heading, c.level)
		}
		compareFences(t, e, c)
		if !slices.Equal(e.codes(), c.codes()) {
			t.Errorf("%s: code in the text:\n%s\nin the translation:\n%s", e.heading, strings.Join(e.codes(), " "), strings.Join(c.codes(), " "))
		}
		for _, marker := range []*regexp.Regexp{tableRow, listPoint} {
			if want, got := len(marker.FindAllString(e.prose, -1)), len(marker.FindAllString(c.prose, -1)); got != want {
				t.Errorf("%s: %d lines like %s, %d in the translation", e.heading, want, marker, got)
			}
		}
		compareLinks(t, e, c, anchors)
	}
	if len(chinese) > len(english) {
		t.Errorf("only the translation has %q", chinese[len(english)].heading)
	}
}

func compareFences(t *testing.T, e, c section) {
	t.Helper()
	if len(e.fences) != len(c.fences) {
		t.Errorf("%s: %d snippets, %d in the translation", e.heading, len(e.fences), len(c.fences))
		return
	}
	for i, f := range e.fences {
		other := c.fences[i]
		if f.language != other.language || comment.ReplaceAllString(f.text, "") != comment.ReplaceAllString(other.text, "") {
			t.Errorf("%s: the snippet\n%s\nis another in the translation:\n%s", e.heading, f.text, other.text)
		}
	}
}

// compareLinks compares links, but for those between the languages. The
// translation may name them in another order.
func compareLinks(t *testing.T, e, c section, anchors map[string]string) {
	t.Helper()
	var want, got []string
	for _, target := range e.links() {
		if inside, ok := strings.CutPrefix(target, "#"); ok {
			target = "#" + anchors[inside]
		}
		if target != "README.zh-CN.md" {
			want = append(want, target)
		}
	}
	for _, target := range c.links() {
		if target != "README.md" {
			got = append(got, target)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		t.Errorf("%s: links to\n%s\nin the translation to\n%s", e.heading, strings.Join(want, " "), strings.Join(got, " "))
	}
}

// Each README leads to the other before its first section.
func TestTranslationsAreLinked(t *testing.T) {
	for name, other := range map[string]string{"README.md": "README.zh-CN.md", "README.zh-CN.md": "README.md"} {
		if first := sections(t, name)[0]; !slices.Contains(first.links(), other) {
			t.Errorf("%s does not link to %s at its top", name, other)
		}
	}
}
