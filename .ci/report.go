// Command report reads the events of `go test -json` from standard input,
// prints a line a package and ends with what the failing tests said. It exits
// 1 if a test failed, was skipped or broke off, or if there was none.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// maxLines bounds what is kept of one test's output: its last lines.
const maxLines = 300

type event struct {
	Action      string
	Package     string
	ImportPath  string // of build-output
	Test        string
	Output      string
	Elapsed     float64
	FailedBuild string
}

type key struct{ pkg, test string }

type report struct {
	out                     io.Writer
	output                  map[key][]string
	running                 map[key]bool
	failed, skipped, broken []key
	passed                  int
}

func main() {
	r := &report{out: os.Stdout, output: map[key][]string{}, running: map[key]bool{}}
	in := bufio.NewReader(os.Stdin)
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			r.line(line)
		}
		if err != nil {
			break
		}
	}
	if !r.end() {
		os.Exit(1)
	}
}

func (r *report) line(line string) {
	var e event
	if json.Unmarshal([]byte(line), &e) != nil || e.Action == "" {
		fmt.Fprint(r.out, line)
		return
	}
	k := key{e.Package, e.Test}
	if e.Action == "build-output" {
		k = key{e.ImportPath, ""}
	}
	switch e.Action {
	case "output", "build-output":
		kept := append(r.output[k], e.Output)
		if len(kept) > maxLines {
			kept = kept[1:]
		}
		r.output[k] = kept
	case "run":
		r.running[k] = true
	case "pass":
		delete(r.running, k)
		delete(r.output, k)
		if e.Test != "" {
			r.passed++
			return
		}
		fmt.Fprintf(r.out, "ok    %-64s %6.1fs\n", e.Package, e.Elapsed)
	case "skip":
		delete(r.running, k)
		if e.Test != "" {
			r.skipped = append(r.skipped, k)
		}
	case "fail":
		delete(r.running, k)
		r.failed = append(r.failed, k)
		if e.FailedBuild != "" {
			r.failed = append(r.failed, key{e.FailedBuild, ""})
		}
		if e.Test == "" {
			r.breakOff(e.Package)
			fmt.Fprintf(r.out, "FAIL  %-64s %6.1fs\n", e.Package, e.Elapsed)
		}
	}
}

// breakOff counts the tests of a failed package that never ended: a panic or
// the time limit ended them.
func (r *report) breakOff(pkg string) {
	for k := range r.running {
		if k.pkg == pkg {
			r.broken = append(r.broken, k)
			delete(r.running, k)
		}
	}
}

func (r *report) end() bool {
	for k := range r.running {
		r.broken = append(r.broken, k)
	}
	for _, group := range []struct {
		word string
		keys []key
	}{{"skipped", r.skipped}, {"broke off", r.broken}, {"failed", r.failed}} {
		seen := map[key]bool{}
		for _, k := range group.keys {
			if seen[k] {
				continue
			}
			seen[k] = true
			fmt.Fprintf(r.out, "\n--- %s: %s %s\n", group.word, k.pkg, k.test)
			fmt.Fprint(r.out, strings.Join(r.output[k], ""))
		}
	}
	ofPackage := func(k key) bool { return k.test == "" }
	failures := len(slices.DeleteFunc(slices.Clone(r.failed), ofPackage)) + len(r.broken)
	if failures == 0 {
		failures = len(r.failed)
	}
	fmt.Fprintf(r.out, "\n%d passed, %d failed, %d skipped\n", r.passed, failures, len(r.skipped))
	return failures == 0 && len(r.skipped) == 0 && r.passed > 0
}
