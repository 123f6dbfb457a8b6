// Package doctor reads a configuration of Caddy, as adapted to JSON, and finds
// what would swallow payments: it follows the gateway's notify through the
// routes as Caddy would, and looks at what shops say of themselves. It serves
// nothing and knows no Caddy; what it cannot judge, it says.
package doctor

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Severity is how bad a finding is.
type Severity string

// The severities. An error loses payments or buyers, or the shop does not
// load; a warning may; a note says what cannot be seen from here.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Note    Severity = "note"
)

var severities = []Severity{Error, Warning, Note}

// Where is the place of a finding. A JSON configuration has no lines.
type Where struct {
	Site   string `json:"site"`             // as the merchant wrote it, like shop.example.com
	Server string `json:"server,omitempty"` // Caddy's name of the server, like srv0
	Route  string `json:"route,omitempty"`  // the path in the JSON, like apps/http/servers/srv0/routes/0
}

// Finding is one thing that is wrong, or may be. It never holds a secret.
type Finding struct {
	Code     string   `json:"code"` // stable, for machines, like notify-auth
	Severity Severity `json:"severity"`
	Shop     string   `json:"shop,omitempty"` // origin and path, as configured
	Where    Where    `json:"where"`
	Wrong    string   `json:"wrong"`           // in one or two sentences
	Right    string   `json:"right,omitempty"` // a piece of a Caddyfile, or what to do
}

// Report is what an examination found, the worst first.
type Report struct {
	Shops    int       `json:"shops"` // distinct ones
	Findings []Finding `json:"findings"`
}

// Count returns how many findings have the severity.
func (r *Report) Count(s Severity) int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// Options are what an examination needs from outside. Lookup is required.
type Options struct {
	// Lookup gives the value of a placeholder that is known when a
	// configuration is loaded, like {env.CHECKOUT_TOKEN}, braces included.
	Lookup func(placeholder string) (value string, ok bool)

	// Refused reports why a checkout handler of this JSON, its placeholders
	// all known, would not load. The error must hold no secret. May be nil.
	Refused func(handler json.RawMessage) error

	// StoreFile returns the file, absolute, in which a store of this JSON (nil:
	// the default) keeps the orders; "" for none. May be nil.
	StoreFile func(store json.RawMessage) string

	// DataDir is Caddy's data directory, absolute. Empty: not known.
	DataDir string

	// Online also asks the gateways for the time and the balance.
	Online bool

	Transport http.RoundTripper // for Online; nil: verified TLS, no proxy
	Now       func() time.Time  // nil: time.Now
}

// Examine reads a configuration. Its error means that the configuration could
// not be read at all; everything else is a finding.
func Examine(ctx context.Context, config []byte, o Options) (*Report, error) {
	c, err := parse(config)
	if err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	x := &examination{config: c, options: o}
	x.gather()
	x.checkEnvironment()
	x.checkSecrets()
	x.checkMerchants()
	x.checkIdentities()
	x.checkWebhooks()
	x.checkTests()
	x.checkPublic()
	for _, s := range x.distinct() {
		x.checkReach(s)
	}
	if o.Online {
		x.askGateways(ctx)
	}
	return x.report(), nil
}

type examination struct {
	config   *config
	options  Options
	shops    []*shop
	boxes    []*sandbox
	findings []Finding
}

func (x *examination) add(f Finding) {
	if !slices.Contains(x.findings, f) {
		x.findings = append(x.findings, f)
	}
}

// find adds a finding about a shop, at its block.
func (x *examination) find(s *shop, severity Severity, code, wrong, right string) {
	x.add(Finding{Code: code, Severity: severity, Shop: s.name(), Where: s.where, Wrong: wrong, Right: right})
}

func (x *examination) report() *Report {
	if len(x.shops) == 0 {
		x.add(Finding{
			Code: "no-shop", Severity: Warning, Where: Where{Site: "the configuration"},
			Wrong: "There is no checkout block, so nothing is sold.",
			Right: "shop.example.com {\n\tcheckout {\n\t\tuid     10000001400000\n\t\ttoken   {env.CHECKOUT_TOKEN}\n\t\torigin  https://shop.example.com\n\t\tproduct mug 39.00 \"Coffee mug\"\n\t}\n}",
		})
	}
	slices.SortStableFunc(x.findings, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(slices.Index(severities, a.Severity), slices.Index(severities, b.Severity)),
			cmp.Compare(a.Where.Site, b.Where.Site),
		)
	})
	if x.findings == nil {
		x.findings = []Finding{}
	}
	return &Report{Shops: len(x.distinct()), Findings: x.findings}
}

// distinct returns one block of every shop.
func (x *examination) distinct() []*shop {
	var list []*shop
	seen := make(map[string]bool)
	for _, s := range x.shops {
		if !seen[s.identity()] {
			seen[s.identity()] = true
			list = append(list, s)
		}
	}
	return list
}

// counted writes a number of things.
func counted(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
