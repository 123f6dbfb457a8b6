package main

import (
	"fmt"
	"html"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

func median[T float64 | time.Duration](results []measured, of func(measured) T) T {
	values := make([]T, len(results))
	for i, r := range results {
		values[i] = of(r)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func perSecond(r measured) float64    { return r.perSecond }
func p50(r measured) time.Duration    { return r.p50 }
func p99(r measured) time.Duration    { return r.p99 }
func perCPU(r measured) time.Duration { return r.cpu }

// report prints a Markdown table, the first kind being what others are
// compared with.
func report(out io.Writer, kinds []*kind, o options) {
	fmt.Fprintf(out, "%d clients, medians of %d rounds of %v\n\n", o.clients, o.rounds, o.duration)
	t := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
	fmt.Fprintln(t, "| \t| requests/s\t| of respond\t| p50\t| p99\t| server CPU/request\t| of respond\t|")
	fmt.Fprintln(t, "|---\t|---:\t|---:\t|---:\t|---:\t|---:\t|---:\t|")
	base := kinds[0].results
	for _, k := range kinds {
		rate, used := median(k.results, perSecond), median(k.results, perCPU)
		fmt.Fprintf(t, "| %s\t| %.0f\t| %.2f\t| %.1f ms\t| %.1f ms\t| %.1f µs\t| %.1f\t|\n", k.name,
			rate, rate/median(base, perSecond), ms(median(k.results, p50)), ms(median(k.results, p99)),
			us(used), us(used)/us(median(base, perCPU)))
	}
	_ = t.Flush()
}

// reportServers prints what a Caddy with each of the stores takes.
func (w *world) reportServers(out io.Writer, o options) error {
	fmt.Fprintln(out)
	for _, name := range stores {
		s := w.caddy[name]
		if s == nil {
			continue
		}
		kb, err := residentKB(s.cmd.Process.Pid)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "- %s: ready %.2f s after its start, resident memory %d MB after all rounds", storeName(name, o), s.startup.Seconds(), kb/1024)
		if s.perOrder > 0 {
			fmt.Fprintf(out, ", %d bytes on disk for an order", s.perOrder)
		}
		fmt.Fprintln(out)
	}
	return nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
func us(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// chart draws requests per second as bars.
func chart(kinds []*kind) []byte {
	const left, width, bar, gap = 290, 400, 22, 12
	most := 0.0
	for _, k := range kinds {
		most = max(most, median(k.results, perSecond))
	}
	var b strings.Builder
	height := len(kinds)*(bar+gap) + gap
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="14" role="img">`+"\n", left+width+110, height)
	b.WriteString("<title>Requests per second, beside Caddy's own respond</title>\n" +
		"<style>text{fill:#1c1f24}.bar{fill:#0958d9}.base{fill:#868e9a}@media(prefers-color-scheme:dark){text{fill:#e6e8eb}.bar{fill:#5b9bff}}</style>\n")
	base := median(kinds[0].results, perSecond)
	for i, k := range kinds {
		y := gap + i*(bar+gap)
		rate := median(k.results, perSecond)
		class := "bar"
		if k.app != "" || i == 0 {
			class = "base"
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, left-10, y+bar-6, html.EscapeString(k.name))
		fmt.Fprintf(&b, `<rect class="%s" x="%d" y="%d" width="%.0f" height="%d" rx="3"/>`, class, left, y, rate/most*width, bar)
		fmt.Fprintf(&b, `<text x="%.0f" y="%d">%.0f (%.2f)</text>`+"\n", left+rate/most*width+8, y+bar-6, rate, rate/base)
	}
	b.WriteString("</svg>\n")
	return []byte(b.String())
}
