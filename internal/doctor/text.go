package doctor

import (
	"fmt"
	"io"
	"strings"
)

// WriteText writes the report for people: by severity, the worst first.
func (r *Report) WriteText(out io.Writer) error {
	var b strings.Builder
	for _, severity := range severities {
		for _, f := range r.Findings {
			if f.Severity == severity {
				f.write(&b)
			}
		}
	}
	if len(r.Findings) == 0 {
		fmt.Fprintf(&b, "Nothing found that would swallow payments of %s.\n", counted(r.Shops, "shop"))
	} else {
		fmt.Fprintf(&b, "%s, %s and %s in %s.\n", counted(r.Count(Error), "error"), counted(r.Count(Warning), "warning"),
			counted(r.Count(Note), "note"), counted(r.Shops, "shop"))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (f Finding) write(b *strings.Builder) {
	fmt.Fprintf(b, "%s [%s]: %s\n", strings.ToUpper(string(f.Severity)), f.Code, f.Where.Site)
	indent(b, "  ", f.Wrong)
	if f.Shop != "" {
		indent(b, "  ", "Shop: "+f.Shop)
	}
	if f.Where.Route != "" {
		indent(b, "  ", "Found at: "+f.Where.Route)
	}
	if f.Right != "" {
		indent(b, "  ", "What would be right:")
		indent(b, "      ", f.Right)
	}
	b.WriteByte('\n')
}

// indent writes lines behind a margin; tabs become four spaces.
func indent(b *strings.Builder, margin, text string) {
	for line := range strings.SplitSeq(strings.ReplaceAll(text, "\t", "    "), "\n") {
		if line == "" {
			b.WriteByte('\n')
			continue
		}
		b.WriteString(margin + line + "\n")
	}
}
