package integration

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-checkout/checkout/integration/harness"
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

// snippets returns the blocks of a language in a Markdown text.
func snippets(text, language string) []string {
	var all []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```").FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

// withSecrets is a Caddy with everything in its environment that the documents
// name.
func withSecrets(t *testing.T) *harness.Caddy {
	c := harness.NewCaddy(t)
	c.Env = append(c.Env,
		"CHECKOUT_OLD_TOKEN=old-"+harness.Token,
		"CHECKOUT_WEBHOOK_SECRET=whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5",
		"CHECKOUT_DSN=postgres://checkout@127.0.0.1:1/checkout",
		"CHECKOUT_SMTP_PASSWORD=canary-smtp-password")
	return c
}

func TestReadmeCaddyfilesAreValid(t *testing.T) {
	c := withSecrets(t)
	found := snippets(readFile(t, "README.md"), "caddyfile")
	if len(found) < 5 {
		t.Fatalf("%d snippets", len(found))
	}
	for _, snippet := range found {
		if out, err := c.Validate(snippet); err != nil {
			t.Errorf("%v:\n%s\n%s", err, snippet, out)
		}
	}
}

func TestExamplesAreValid(t *testing.T) {
	c := withSecrets(t)
	secret := filepath.Join(c.Dir, "token")
	if err := os.WriteFile(secret, []byte(harness.Token), 0o600); err != nil {
		t.Fatal(err)
	}
	folder, err := filepath.Abs(root + "examples")
	if err != nil {
		t.Fatal(err)
	}
	local := strings.NewReplacer(
		"/run/secrets/checkout_token", secret,
		"/srv/shop/products.json", folder+"/storefront/products.json",
		"/var/log/caddy", c.Dir,
		" examples/", " "+folder+"/")
	for _, name := range []string{"storefront", "minimal", "production"} {
		if out, err := c.Validate(local.Replace(readFile(t, "examples/"+name+"/Caddyfile"))); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// The README's commands, as far as they need no network and no minute.
func TestReadmeCommandsExist(t *testing.T) {
	readme := readFile(t, "README.md")
	for _, command := range []string{"go run ./cmd/caddy run --config examples/storefront/Caddyfile", "go test ./...", "xcaddy build --with github.com/caddy-checkout/checkout"} {
		if !strings.Contains(readme, "\n"+command+"\n") {
			t.Errorf("the README does not say %q", command)
		}
	}
	binary := filepath.Join(t.TempDir(), "caddy")
	build := exec.Command("go", "build", "-o", binary, "./cmd/caddy")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(binary, "list-modules").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, module := range []string{"checkout", "http.handlers.checkout", "http.handlers.checkout_sandbox"} {
		if !strings.Contains("\n"+string(out), "\n"+module+"\n") {
			t.Errorf("cmd/caddy lacks the module %s", module)
		}
	}
}

func TestReadmeLinksLeadSomewhere(t *testing.T) {
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "SECURITY.md"} {
		for _, m := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(readFile(t, name), -1) {
			if _, err := os.Stat(root + m[1]); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// The table of settings is complete: Caddy itself names them all.
func TestReadmeNamesEverySetting(t *testing.T) {
	readme := readFile(t, "README.md")
	c := withSecrets(t)
	for _, block := range []string{
		":80 {\n\tcheckout {\n\t\tnonsense\n\t}\n}\n",
		"{\n\tcheckout {\n\t\tnonsense\n\t}\n}\n",
		":80 {\n\tcheckout_sandbox {\n\t\tnonsense\n\t}\n}\n",
	} {
		out, err := c.Validate(block)
		m := regexp.MustCompile(`use ([a-z_]+(?:, [a-z_]+)+)`).FindStringSubmatch(out)
		if err == nil || m == nil {
			t.Fatalf("no list of settings: %s", out)
		}
		for _, setting := range strings.Split(strings.TrimSuffix(m[1], ", at"), ", ") {
			if !regexp.MustCompile("`" + setting + "[ `]|\t" + setting + " ").MatchString(readme) {
				t.Errorf("the README does not explain %s", setting)
			}
		}
	}
}

// The table of metrics is what Caddy exports.
func TestReadmeNamesEveryMetric(t *testing.T) {
	readme := readFile(t, "README.md")
	source := readFile(t, "metrics.go")
	shop := harness.StartShop(t)
	o := shop.Order()
	shop.Notify(o.Payment("pay-1"))
	shop.AwaitLog("balance known")
	exported := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (caddy_checkout_\w+)`).FindAllStringSubmatch(shop.Get("/metrics").Body, -1) {
		exported[m[1]] = true
		if !strings.Contains(readme, "`"+m[1]+"`") {
			t.Errorf("the README does not explain %s", m[1])
		}
	}
	if len(exported) < 8 {
		t.Errorf("only these are exported: %v", exported)
	}
	for _, m := range regexp.MustCompile("`caddy_checkout_(\\w+)`").FindAllStringSubmatch(readme, -1) {
		if !strings.Contains(source, `"`+m[1]+`"`) {
			t.Errorf("the README tells of caddy_checkout_%s, which is not there", m[1])
		}
	}
}

func TestReadmeJSONIsJSON(t *testing.T) {
	readme := readFile(t, "README.md")
	blocks := snippets(readme, "json")
	if len(blocks) == 0 {
		t.Fatal("no snippets")
	}
	for _, block := range blocks {
		if !json.Valid([]byte(block)) {
			t.Errorf("not JSON:\n%s", block)
		}
	}
	shop := harness.NewShop(t)
	file := filepath.Join(shop.Dir, "products.json")
	catalog := strings.NewReplacer(`"sku": "mug"`, `"sku": "mug2"`, `"sku": "kettle"`, `"sku": "kettle2"`).Replace(blocks[0])
	if err := os.WriteFile(file, []byte(catalog), 0o600); err != nil {
		t.Fatal(err)
	}
	shop.Start(shop.Caddyfile("catalog " + file))
	if a := shop.Get("/checkout?sku=kettle2", "Accept", "text/html"); !strings.Contains(a.Body, "128.00") {
		t.Errorf("the README's catalog does not sell: HTTP %d", a.Status)
	}
}
