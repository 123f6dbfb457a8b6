package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

const root = "../"

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(root + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// section is a heading of a Markdown document and what stands below it, up to
// the next one.
type section struct {
	level   int
	heading string
	prose   string // without the fences
	fences  []fence
}

// fence is a block of code.
type fence struct {
	language, text string
}

// sections splits a document. Its first section has no heading if there is
// something before the first one.
func sections(t *testing.T, name string) []section {
	t.Helper()
	var all []section
	here, open := section{}, false
	for line := range strings.Lines(readFile(t, name)) {
		text := strings.TrimSuffix(line, "\n")
		marks := len(text) - len(strings.TrimLeft(text, "#"))
		switch {
		case open && text == "```":
			open = false
		case open:
			here.fences[len(here.fences)-1].text += line
		case strings.HasPrefix(text, "```"):
			here.fences = append(here.fences, fence{language: text[3:]})
			open = true
		case marks > 0 && strings.HasPrefix(text[marks:], " "):
			if here.heading != "" || strings.TrimSpace(here.prose) != "" {
				all = append(all, here)
			}
			here = section{level: marks, heading: strings.TrimSpace(text[marks:])}
		default:
			here.prose += line
		}
	}
	if open {
		t.Fatalf("%s: a block of code is not closed", name)
	}
	return append(all, here)
}

// fences returns the blocks of a language in a document.
func fences(t *testing.T, name, language string) []string {
	t.Helper()
	var all []string
	for _, s := range sections(t, name) {
		for _, f := range s.fences {
			if f.language == language {
				all = append(all, f.text)
			}
		}
	}
	return all
}

// anchor is what links call a heading.
func (s section) anchor() string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, s.heading)
}

var (
	codeSpan = regexp.MustCompile("`[^`\n]+`")
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
)

// codes returns the code in the running text, sorted: a translation may say
// things in another order.
func (s section) codes() []string {
	return slices.Sorted(slices.Values(codeSpan.FindAllString(s.prose, -1)))
}

// links returns where the section leads to.
func (s section) links() []string {
	var all []string
	for _, m := range link.FindAllStringSubmatch(codeSpan.ReplaceAllString(s.prose, ""), -1) {
		all = append(all, m[1])
	}
	return all
}

// documents returns the names of all documents.
func documents(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, pattern := range []string{"*.md", "docs/*.md", "examples/*/*.md"} {
		found, err := filepath.Glob(root + pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			names = append(names, filepath.ToSlash(strings.TrimPrefix(f, root)))
		}
	}
	if len(names) < 5 {
		t.Fatalf("only %v", names)
	}
	return names
}

func TestDocumentsLinksLeadSomewhere(t *testing.T) {
	for _, name := range documents(t) {
		for _, s := range sections(t, name) {
			for _, target := range s.links() {
				if strings.HasPrefix(target, "https://") {
					continue
				}
				file, anchor, anchored := strings.Cut(target, "#")
				to := name
				if file != "" {
					to = filepath.ToSlash(filepath.Join(filepath.Dir(name), file))
				}
				if _, err := os.Stat(root + to); err != nil {
					t.Errorf("%s, %s: %v", name, s.heading, err)
					continue
				}
				if anchored && !slices.ContainsFunc(sections(t, to), func(s section) bool { return s.anchor() == anchor }) {
					t.Errorf("%s, %s: %s has no heading %s", name, s.heading, to, anchor)
				}
			}
		}
	}
}
