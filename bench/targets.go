package main

import (
	"fmt"
	"io"
)

// reportTargets prints what was aimed at beside what came of it.
func (w *world) reportTargets(out io.Writer, kinds []*kind, o options) error {
	byName := make(map[string]*kind)
	for _, k := range kinds {
		byName[k.name] = k
	}
	empty, full := ", "+storeName("sqlite", o), ", "+storeName("full", o)
	rate := func(name, of string) float64 {
		return median(byName[name].results, perSecond) / median(byName[of].results, perSecond)
	}
	fmt.Fprint(out, "\n| | target | measured | |\n|---|---|---|---|\n")
	row := func(what, target, unit string, digits int, got float64, met bool) {
		verdict := "met"
		if !met {
			verdict = "**missed**"
		}
		fmt.Fprintf(out, "| %s | %s | %.*f%s | %s |\n", what, target, digits, got, unit, verdict)
	}
	least := func(what, name, of string, target float64) {
		got := rate(name, of)
		row(what, fmt.Sprintf("≥ %g", target), "", 2, got, got >= target)
	}
	least("checkout, of respond", "checkout"+empty, "respond", 0.6)
	least("checkout, of the proxied order app", "checkout"+empty, "proxied order app", 3)
	least("notify, of respond", "notify"+empty, "respond", 0.55)
	least("status of a paid order, of respond", "status, paid"+empty, "respond", 0.9)
	for _, route := range []string{"checkout", "notify"} {
		slow := ms(median(byName[route+empty].results, p99))
		row("p99 of "+route, "< 10 ms", " ms", 1, slow, slow < 10)
	}
	if w.caddy["full"] == nil {
		return nil
	}
	for _, route := range []string{"checkout", "notify"} {
		cost := us(median(byName[route+full].results, perCPU)) / us(median(byName[route+empty].results, perCPU))
		row(fmt.Sprintf("server CPU of a %s at %d orders, of that at none", route, o.orders), "≤ 1.25", "", 2, cost, cost <= 1.25)
	}
	s := w.caddy["full"]
	kb, err := residentKB(s.cmd.Process.Pid)
	if err != nil {
		return err
	}
	row(fmt.Sprintf("resident memory with %d orders", o.orders), "< 150 MB", " MB", 0, float64(kb)/1024, kb < 150*1024)
	row(fmt.Sprintf("start with %d orders", o.orders), "< 1 s", " s", 2, s.startup.Seconds(), s.startup.Seconds() < 1)
	return nil
}
