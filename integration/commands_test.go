package integration

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-checkout/checkout/integration/harness"
)

// counter is a running shop in which everything has happened that the documents
// tell of.
type counter struct {
	*harness.Shop
	paid, pending, review string // orders
	delivery              string
	hooks                 *harness.Receiver
	client                *http.Client // of the admin endpoint
}

func openCounter(t *testing.T) *counter {
	t.Helper()
	hooks := harness.NewReceiver(t, nil)
	k := &counter{Shop: harness.StartShop(t, "ask email", "webhook "+hooks.URL+" "+hookSecret), hooks: hooks}
	k.client = &http.Client{Timeout: harness.Failsafe, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", strings.TrimPrefix(k.AdminAddress(), "unix/"))
		},
	}}
	k.paid, k.pending = k.buy(t), k.Order().OrderID
	o := k.Order()
	p := o.Payment("pay-review")
	p.RealPay = "0.01"
	k.Notify(p)
	k.review = o.OrderID
	stray := o.Payment("pay-stray")
	stray.OrderID = "20260301-0815"
	k.Notify(stray)
	harness.Await(t, "the webhook to be delivered", func() bool {
		var order struct {
			Deliveries []struct{ ID, State string }
		}
		k.admin(t, "/checkout/orders/"+k.paid, &order)
		for _, d := range order.Deliveries {
			k.delivery = d.ID
		}
		return len(order.Deliveries) == 1 && order.Deliveries[0].State == "done"
	})
	k.AwaitLog("balance known")
	return k
}

// buy orders and pays a mug and returns the order's id.
func (k *counter) buy(t *testing.T) string {
	t.Helper()
	o, a, err := k.TryOrder(url.Values{"sku": {"mug"}, "qty": {"1"}, "email": {"buyer@example.com"}})
	if err != nil {
		t.Fatalf("ordering: HTTP %d: %v", a.Status, err)
	}
	if a := k.Notify(o.Payment("pay-" + o.OrderID)); a.Body != "success" {
		t.Fatalf("notify: HTTP %d %s", a.Status, a.Body)
	}
	return o.OrderID
}

// admin reads a JSON answer of the admin endpoint.
func (k *counter) admin(t *testing.T, path string, v any) {
	t.Helper()
	status, answer := k.Admin(http.MethodGet, path, nil)
	if err := json.Unmarshal([]byte(answer), v); status != http.StatusOK || err != nil {
		t.Fatalf("%s: HTTP %d %v\n%s", path, status, err, answer)
	}
}

// here replaces what documents name by what is there; route is the part of the
// command or the path that says which order it is about.
func (k *counter) here(word, route string) string {
	order := k.paid
	switch route {
	case "confirm":
		order = k.review
	case "refresh":
		order = k.pending
	}
	return strings.NewReplacer(
		"01KBX3R6ZJ5G2T7N8M4Q9V0WYC", order,
		"1742", k.delivery,
		"/var/backups", k.Dir,
	).Replace(word)
}

// documentedToken is what the keys in the documents are made with.
const documentedToken = "2f44c6b906208208c4122c83125ccd7b"

// Commands that the tests leave alone, since they take minutes or a network.
var unrun = []string{
	"go run ./cmd/caddy run --config examples/storefront/Caddyfile",
	"go test ./...",
	"xcaddy build --with github.com/caddy-checkout/checkout",
}

func TestDocumentedCommandsWork(t *testing.T) {
	for _, name := range []string{"README.md", "docs/commands.md", "docs/admin-api.md", "docs/reference.md", "docs/webhooks.md"} {
		commands := commands(t, name)
		if len(commands) == 0 {
			continue
		}
		t.Run(filepath.Base(name), func(t *testing.T) {
			k := openCounter(t)
			for _, c := range commands {
				switch words := split(t, c); {
				case words[0] == "caddy" && words[1] == "checkout":
					k.runCommand(t, c, words[1:])
				case words[0] == "curl":
					k.runCurl(t, c, words[1:])
				case !slices.Contains(unrun, c):
					t.Errorf("no test runs %q", c)
				}
			}
		})
	}
}

// commands returns what stands in a document's blocks of sh, a command a line.
func commands(t *testing.T, name string) []string {
	t.Helper()
	var all []string
	for _, block := range fences(t, name, "sh") {
		for line := range strings.Lines(strings.ReplaceAll(block, "\\\n", " ")) {
			if c := strings.TrimSpace(line); c != "" {
				all = append(all, c)
			}
		}
	}
	return all
}

// split splits a command into words as a shell does.
func split(t *testing.T, command string) []string {
	t.Helper()
	var (
		words  []string
		quote  rune
		inside bool
	)
	for _, r := range command {
		switch {
		case quote == 0 && (r == ' ' || r == '\t'):
			inside = false
			continue
		case quote == 0 && strings.ContainsRune("$`\\|;<>&*?", r), quote == '"' && strings.ContainsRune("$`\\", r):
			t.Fatalf("%q needs a shell", command)
		}
		if !inside {
			words, inside = append(words, ""), true
		}
		switch {
		case r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote = r
		default:
			words[len(words)-1] += string(r)
		}
	}
	return words
}

func (k *counter) runCommand(t *testing.T, command string, args []string) {
	t.Helper()
	on := k.Caddy
	switch args[1] {
	case "doctor":
		config := filepath.Join(k.Dir, "Caddyfile")
		if err := os.WriteFile(config, []byte(fences(t, "README.md", "caddyfile")[0]), 0o600); err != nil {
			t.Fatal(err)
		}
		args[slices.Index(args, "/etc/caddy/Caddyfile")] = config
	case "sign", "verify":
		on = harness.NewCaddy(t)
		on.Env = append(on.Env, "CHECKOUT_TOKEN="+documentedToken)
	case "tail", "migrate-store":
		// One never ends, the other needs a database: their flags must be right.
		args = append(args, "--help")
	default:
		args = append(args, "--address", k.AdminAddress())
	}
	for i := range args {
		args[i] = k.here(args[i], args[1])
	}
	out, err := on.Run(args...)
	if err != nil {
		t.Errorf("%s: %v\n%s", command, err, out)
	}
	if answer := out[strings.IndexAny(out+"{", "{"):]; slices.Contains(args, "--json") && args[1] != "doctor" && !json.Valid([]byte(answer)) {
		t.Errorf("%s: not JSON:\n%s", command, out)
	}
}

// runCurl sends a request to the admin endpoint as curl would.
func (k *counter) runCurl(t *testing.T, command string, args []string) {
	t.Helper()
	method, header, body, target := http.MethodGet, http.Header{}, "", ""
	for len(args) > 0 {
		flag, value := args[0], ""
		if strings.HasPrefix(flag, "-") && len(args) > 1 {
			value, args = args[1], args[1:]
		}
		args = args[1:]
		switch flag {
		case "-X":
			method = value
		case "-H":
			name, content, _ := strings.Cut(value, ": ")
			header.Set(name, content)
		case "-d":
			body = value
		case "-o":
		default:
			target = flag
		}
	}
	path, ok := strings.CutPrefix(target, "localhost:2019")
	if !ok {
		t.Fatalf("%s: not the admin endpoint", command)
	}
	action := path[strings.LastIndex(path, "/")+1:]
	r, err := http.NewRequest(method, "http://localhost"+k.here(path, action), strings.NewReader(k.here(body, action)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header
	resp, err := k.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%s: %s %v\n%s", command, resp.Status, err, answer)
	}
}

// What CONTRIBUTING tells to run is there.
func TestContributingsCommandsExist(t *testing.T) {
	makefile := readFile(t, "Makefile")
	for _, c := range commands(t, "CONTRIBUTING.md") {
		words := strings.Fields(c)
		if words[0] == "make" {
			if !strings.Contains(makefile, "\n"+words[1]+": ") {
				t.Errorf("%s: no such target", c)
			}
			continue
		}
		run := slices.Index(words, "-run")
		dir := words[slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, ".") })]
		files, err := filepath.Glob(root + dir + "/*_test.go")
		if err != nil || !slices.ContainsFunc(files, func(file string) bool {
			return strings.Contains(readFile(t, strings.TrimPrefix(file, root)), "\nfunc "+words[run+1]+"(")
		}) {
			t.Errorf("%s: no such test: %v", c, err)
		}
	}
}

// commands.md tells of every command, and of none that is not there.
func TestCommandsAreDocumented(t *testing.T) {
	c := harness.NewCaddy(t)
	out, err := c.Run("checkout", "--help")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, list, _ := strings.Cut(out, "Available Commands:\n")
	list, _, _ = strings.Cut(list, "\n\n")
	there := make(map[string]bool)
	for line := range strings.Lines(list) {
		there[strings.Fields(line)[0]] = true
	}
	told := make(map[string]bool)
	for _, c := range commands(t, "docs/commands.md") {
		told[split(t, c)[2]] = true
	}
	if !maps.Equal(there, told) || len(there) < 15 {
		t.Errorf("there are %v,\ntold of are %v", slices.Sorted(maps.Keys(there)), slices.Sorted(maps.Keys(told)))
	}
}
