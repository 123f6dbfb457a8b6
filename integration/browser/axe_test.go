package browser

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/caddy-checkout/checkout/integration/harness"
)

// axe is the source of axe-core, which package-lock.json names.
var axe = sync.OnceValues(func() ([]byte, error) { return os.ReadFile("node_modules/axe-core/axe.min.js") })

func needAxe(t *testing.T) {
	t.Helper()
	if _, err := axe(); err != nil {
		harness.Missing(t, "axe-core (npm ci in integration/browser)")
	}
}

// barriers lists what keeps people out, as axe-core knows it: a line for each
// element. All but what it calls serious or critical is for the log.
const barriers = `axe.run(document, {resultTypes: ["violations"], preload: false, ...%s}).then((result) => {
	const say = (grave) => result.violations
		.filter((v) => ["serious", "critical"].includes(v.impact) === grave)
		.flatMap((v) => v.nodes.map((n) => v.impact + " " + v.id + ": " + n.html.slice(0, 200) + " " + n.failureSummary.replaceAll("\n", " ")))
		.join("\n");
	return JSON.stringify({grave: say(true), slight: say(false), rules: result.passes.length});
})`

// What axe-core is to check.
const (
	allRules    = `{}`
	untimed     = `{rules: {"meta-refresh": {enabled: false}}}` // a page that goes by itself: the gateway's limits are not its to lift
	colourRules = `{runOnly: ["color-contrast", "link-in-text-block"]}`
)

// expectAccessible checks the page with axe-core.
func expectAccessible(t *testing.T, b *harness.Browser, name, rules string) {
	t.Helper()
	source, err := axe()
	if err != nil {
		t.Fatal(err)
	}
	library, err := b.EvalWith("", "typeof axe")
	if err == nil && library == "undefined" {
		_, err = b.EvalWith(string(source), "true")
	}
	if err != nil {
		t.Fatalf("%s: loading axe-core: %v", name, err)
	}
	found, err := b.EvalWith("", fmt.Sprintf(barriers, rules))
	if err != nil {
		t.Fatalf("%s: running axe-core: %v", name, err)
	}
	var report struct {
		Grave, Slight string
		Rules         int
	}
	if err := json.Unmarshal([]byte(found), &report); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if report.Grave != "" {
		t.Errorf("%s:\n%s", name, report.Grave)
	}
	if report.Slight != "" {
		t.Logf("%s:\n%s", name, report.Slight)
	}
	if report.Rules == 0 {
		t.Errorf("%s: axe-core passed no rule: does it see the page?", name)
	}
}
