package operations

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/caddy-checkout/checkout/integration/harness"
)

// hookSecret signs webhooks in tests.
const hookSecret = "whsec_Y2FuYXJ5LWhvb2stc2VjcmV0LW9mLTMyLWJ5dGVz"

// exported is what a Caddy exports: by the name of a sample, the values of
// each label.
type exported map[string]map[string]map[string]bool

// families are the names of the metrics of checkout, as the help says them.
func (e exported) families() (names []string) {
	for name := range e {
		base := name
		for _, end := range []string{"_bucket", "_sum", "_count"} {
			if rest, ok := strings.CutSuffix(name, end); ok {
				base = rest
			}
		}
		names = append(names, base)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (e exported) add(name, label, value string) {
	if e[name] == nil {
		e[name] = make(map[string]map[string]bool)
	}
	if label == "" {
		return
	}
	if e[name][label] == nil {
		e[name][label] = make(map[string]bool)
	}
	e[name][label][value] = true
}

// parse reads what Prometheus would of checkout's metrics.
func parse(t *testing.T, text string) exported {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	e := make(exported)
	for name, family := range families {
		if !strings.HasPrefix(name, "caddy_checkout_") {
			continue
		}
		for _, m := range family.GetMetric() {
			samples := []string{name}
			if m.GetHistogram() != nil {
				samples = []string{name + "_bucket", name + "_sum", name + "_count"}
				e.add(name+"_bucket", "le", "+Inf")
			}
			for _, sample := range samples {
				e.add(sample, "", "")
				for _, l := range m.GetLabel() {
					e.add(sample, l.GetName(), l.GetValue())
				}
			}
		}
	}
	return e
}

// traffic runs a shop in which everything happens, and returns its metrics.
func traffic(t *testing.T) exported {
	t.Helper()
	well := harness.NewReceiver(t, nil)
	broken := harness.NewReceiver(t, func(harness.Delivery) int { return http.StatusInternalServerError })
	shop := harness.StartShop(t, "webhook "+well.URL+"/ "+hookSecret, "webhook "+broken.URL+"/ "+hookSecret)
	paid, review, pending := shop.Order(), shop.Order(), shop.Order()
	notify(t, shop, paid.Payment("pay-1"))
	little := review.Payment("pay-2")
	little.RealPay = "0.01"
	notify(t, shop, little)
	stray := paid.Payment("pay-3")
	stray.OrderID = strings.Repeat("0", 26)
	if a := shop.Notify(stray); a.Status != http.StatusNotFound {
		t.Errorf("a notify for no order: HTTP %d", a.Status)
	}
	shop.Status(pending.OrderID) // asks the gateway

	var e exported
	harness.Await(t, "all metrics", func() bool {
		e = parse(t, shop.Get("/metrics").Body)
		return e["caddy_checkout_balance_yuan"] != nil &&
			e["caddy_checkout_gateway_call_duration_seconds_count"]["call"]["status"] &&
			e["caddy_checkout_outbox_oldest_seconds"] != nil &&
			e["caddy_checkout_orphans"] != nil &&
			e["caddy_checkout_request_duration_seconds_count"]["route"]["status"]
	})
	return e
}

// query is PromQL of a document, with the labels that its text shows.
type query struct {
	where, text string
	shown       []string
}

func dashboard(t *testing.T) (queries []query) {
	t.Helper()
	var d struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr, LegendFormat string }
		}
		Templating struct {
			List []struct{ Type, Definition string }
		}
	}
	if err := json.Unmarshal([]byte(readFile(t, "docs/grafana.json")), &d); err != nil {
		t.Fatal(err)
	}
	legend := regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			q := query{where: "panel " + p.Title, text: target.Expr}
			for _, m := range legend.FindAllStringSubmatch(target.LegendFormat, -1) {
				q.shown = append(q.shown, m[1])
			}
			queries = append(queries, q)
		}
	}
	values := regexp.MustCompile(`^label_values\((\w+), (\w+)\)$`)
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		m := values.FindStringSubmatch(v.Definition)
		if m == nil {
			t.Errorf("variable %q is not label_values(metric, label)", v.Definition)
			continue
		}
		queries = append(queries, query{where: "variable", text: m[1], shown: m[2:]})
	}
	return queries
}

func alerts(t *testing.T) (queries []query) {
	t.Helper()
	shown := regexp.MustCompile(`\$labels\.(\w+)`)
	for _, rule := range strings.Split(readFile(t, "docs/alerts.yml"), "- alert: ")[1:] {
		name, rest, _ := strings.Cut(rule, "\n")
		m := regexp.MustCompile(`(?m)^ +expr: (.+)$`).FindStringSubmatch(rest)
		if m == nil {
			t.Errorf("alert %s has no expr in one line", name)
			continue
		}
		q := query{where: "alert " + name, text: m[1]}
		for _, m := range shown.FindAllStringSubmatch(rest, -1) {
			q.shown = append(q.shown, m[1])
		}
		queries = append(queries, q)
	}
	return queries
}

var (
	selector = regexp.MustCompile(`\b(caddy_checkout_\w+)(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"`)
	grouping = regexp.MustCompile(`\bby\s*\(([^)]*)\)`)
)

// check says what of a query cannot be true of what is exported.
func (e exported) check(q query) (wrong []string) {
	complain := func(format string, args ...any) {
		wrong = append(wrong, q.where+": "+fmt.Sprintf(format, args...))
	}
	labels := map[string]bool{}
	for _, m := range selector.FindAllStringSubmatch(q.text, -1) {
		metric, ok := e[m[1]]
		if !ok {
			complain("%s is not exported", m[1])
			continue
		}
		for label := range metric {
			labels[label] = true
		}
		for _, m2 := range matcher.FindAllStringSubmatch(m[2], -1) {
			label, operator, value := m2[1], m2[2], m2[3]
			if metric[label] == nil {
				complain("%s has no label %s", m[1], label)
				continue
			}
			values := []string{value}
			if strings.HasSuffix(operator, "~") {
				values = strings.Split(value, "|")
			}
			for _, v := range values {
				if regexp.QuoteMeta(v) == v && !metric[label][v] {
					complain("%s has no %s %q, only %v", m[1], label, v, slices.Sorted(maps.Keys(metric[label])))
				}
			}
		}
	}
	groups := grouping.FindAllStringSubmatch(q.text, -1)
	left := maps.Clone(labels) // after the aggregation
	if len(groups) > 0 {
		clear(left)
	} else {
		left["instance"] = true // Prometheus adds it
	}
	for _, m := range groups {
		for _, label := range strings.Split(m[1], ",") {
			label = strings.TrimSpace(label)
			if !labels[label] {
				complain("groups by %s, which no metric in it has", label)
			}
			left[label] = true
		}
	}
	for _, label := range q.shown {
		if !left[label] {
			complain("shows %s, which it has not", label)
		}
	}
	return wrong
}

// Every metric, label and value that the documents use is exported, and every
// metric that is exported is documented.
func TestDocumentsUseWhatIsExported(t *testing.T) {
	e := traffic(t)
	queries := append(dashboard(t), alerts(t)...)
	if len(queries) < 30 {
		t.Errorf("only %d queries in dashboard and alerts", len(queries))
	}
	for _, q := range queries {
		if !selector.MatchString(q.text) {
			t.Errorf("%s asks for nothing of checkout: %s", q.where, q.text)
		}
		for _, wrong := range e.check(q) {
			t.Error(wrong)
		}
	}

	page := readFile(t, "docs/operations.md")
	known := e.families()
	for _, m := range selector.FindAllStringSubmatch(page, -1) {
		if !slices.Contains(known, m[1]) {
			t.Errorf("the page tells of %s, which is not exported", m[1])
		} else if m[2] != "" {
			for _, wrong := range e.check(query{where: "the page", text: m[0]}) {
				t.Error(wrong)
			}
		}
	}
	for _, name := range known {
		if !strings.Contains(page, "| `"+name+"` |") {
			t.Errorf("the page does not tell of %s", name)
		}
	}
	for _, q := range alerts(t) {
		if name := strings.TrimPrefix(q.where, "alert "); !strings.Contains(page, "| "+name+" |") {
			t.Errorf("the page does not say what to do about %s", name)
		}
	}
}

// The check sees mistakes.
func TestCheckSeesMistakes(t *testing.T) {
	e := parse(t, `# TYPE caddy_checkout_orders gauge
caddy_checkout_orders{shop="s",state="review"} 1
# TYPE caddy_checkout_x_seconds histogram
caddy_checkout_x_seconds_bucket{call="status",le="+Inf"} 1
caddy_checkout_x_seconds_sum{call="status"} 1
caddy_checkout_x_seconds_count{call="status"} 1
`)
	for text, want := range map[string]string{
		`max by (shop) (caddy_checkout_orders{state="review"}) > 0`:                           "",
		`caddy_checkout_orders{state=~"review|[a-z]+"}`:                                       "",
		`sum by (le) (rate(caddy_checkout_x_seconds_bucket{call!="status"}[5m]))`:             "",
		`caddy_checkout_order > 0`:                                                            "not exported",
		`caddy_checkout_x_seconds`:                                                            "not exported",
		`caddy_checkout_orders{status="review"}`:                                              "no label status",
		`caddy_checkout_orders{state=~"review|revue"}`:                                        `no state "revue"`,
		`sum by (target) (caddy_checkout_orders)`:                                             "groups by target",
		`sum by (call) (caddy_checkout_x_seconds_count) / sum by (shop) (caddy_checkout_yes)`: "not exported",
	} {
		got := strings.Join(e.check(query{text: text}), "; ")
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	if got := e.check(query{text: `max by (shop) (caddy_checkout_orders)`, shown: []string{"shop", "state"}}); len(got) != 1 {
		t.Errorf("showing a label that is gone: %v", got)
	}
}

// The metrics of a shop that has just started tell enough for alerts to see
// the first of each mishap as an increase.
func TestSeriesBeginAtZero(t *testing.T) {
	shop := harness.StartShop(t)
	var e exported
	harness.Await(t, "the store", func() bool {
		e = parse(t, shop.Get("/metrics").Body)
		return e["caddy_checkout_store_up"] != nil
	})
	for metric, want := range map[string]map[string][]string{
		"caddy_checkout_notifies_total":                  {"verdict": {"failed", "bad_key", "paid"}},
		"caddy_checkout_alarms_total":                    {"kind": {"review", "second_payment", "orphan"}},
		"caddy_checkout_order_state_changes_total":       {"state": {"paid", "expired", "review"}},
		"caddy_checkout_catalog_reloads_total":           {"outcome": {"ok", "failed"}},
		"caddy_checkout_delivery_duration_seconds_count": {"kind": {"webhook", "mail"}, "outcome": {"delivered", "retry", "failed", "gone"}},
		"caddy_checkout_events_dropped_total":            {},
	} {
		if e[metric] == nil {
			t.Errorf("%s is not there", metric)
		}
		for label, values := range want {
			for _, v := range values {
				if !e[metric][label][v] {
					t.Errorf("%s{%s=%q} is not there", metric, label, v)
				}
			}
		}
	}
}
