package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/text/width"

	"github.com/caddy-checkout/checkout/internal/order"
)

// screen is where a command writes to.
type screen struct {
	io.Writer
	notes  io.Writer // for people alone, beside the output
	json   bool
	colour bool
}

func newScreen(cmd *cobra.Command) *screen {
	out := cmd.OutOrStdout()
	return &screen{
		Writer: out,
		notes:  cmd.ErrOrStderr(),
		json:   wantsJSON(cmd),
		colour: isTerminal(out) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// give writes the raw JSON, or calls show to write for people.
func (s *screen) give(raw []byte, show func()) error {
	if s.json {
		_, err := s.Write(plainJSON(raw))
		return err
	}
	show()
	return nil
}

func (s *screen) printf(format string, args ...any) { fmt.Fprintf(s, format, args...) }

// Colours, as parameters of the terminal's SGR sequence.
const (
	green  = "32"
	yellow = "33"
	red    = "1;31"
	faint  = "2"
	bold   = "1"
)

func (s *screen) paint(text, colour string) string {
	if !s.colour || colour == "" || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

func stateColour(s order.State) string {
	switch s {
	case order.Paid:
		return green
	case order.Review:
		return red
	case order.Pending:
		return yellow
	}
	return faint
}

// clean makes text of others fit for one line of a terminal: whatever is not
// printed, such as escape sequences and marks that turn the direction of
// writing, is replaced.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return utf8.RuneError
		}
		return r
	}, text)
}

// plainJSON escapes what clean replaces, which leaves the values as they are.
func plainJSON(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for len(raw) > 0 {
		r, n := utf8.DecodeRune(raw)
		switch {
		case r == '\n' || unicode.IsPrint(r) || (r == utf8.RuneError && n == 1):
			out = append(out, raw[:n]...)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		raw = raw[n:]
	}
	return out
}

// columns is how many columns of a terminal clean text takes.
func columns(text string) (n int) {
	for _, r := range text {
		n += runeColumns(r)
	}
	return n
}

func runeColumns(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// shorten cuts clean text to at most n columns.
func shorten(text string, n int) string {
	if columns(text) <= n {
		return text
	}
	used := 0
	for i, r := range text {
		if used += runeColumns(r); used > n-1 {
			return text[:i] + "…"
		}
	}
	return text
}

// cell is one field of a table, or what is beside a label.
type cell struct {
	text   string
	colour string
}

// plain makes cells of text of others.
func plain(texts ...string) []cell {
	cells := make([]cell, 0, len(texts))
	for _, t := range texts {
		cells = append(cells, cell{text: clean(t)})
	}
	return cells
}

// table is aligned by what characters take on a terminal. A name that begins
// with '>' is of a column that is aligned to the right.
type table struct {
	names []string
	rows  [][]cell
}

const gap = "  "

func (t *table) add(cells ...cell) { t.rows = append(t.rows, cells) }

func (t *table) write(s *screen) {
	widths := make([]int, len(t.names))
	names := make([]cell, len(t.names))
	for i, name := range t.names {
		names[i] = cell{strings.TrimPrefix(name, ">"), bold}
		widths[i] = columns(names[i].text)
	}
	for _, row := range t.rows {
		for i, c := range row {
			widths[i] = max(widths[i], columns(c.text))
		}
	}
	t.writeRow(s, names, widths)
	for _, row := range t.rows {
		t.writeRow(s, row, widths)
	}
}

func (t *table) writeRow(s *screen, row []cell, widths []int) {
	var b strings.Builder
	for i, c := range row {
		pad := strings.Repeat(" ", widths[i]-columns(c.text))
		if i > 0 {
			b.WriteString(gap)
		}
		switch {
		case strings.HasPrefix(t.names[i], ">"):
			b.WriteString(pad + s.paint(c.text, c.colour))
		case i == len(row)-1:
			b.WriteString(s.paint(c.text, c.colour))
		default:
			b.WriteString(s.paint(c.text, c.colour) + pad)
		}
	}
	s.printf("%s\n", strings.TrimRight(b.String(), " "))
}

// clock writes a time in the zone of this terminal; a zero one is "".
func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(time.DateTime)
}
