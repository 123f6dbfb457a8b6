package integration

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-checkout/checkout/integration/harness"
)

// hookSecret is a secret of webhooks.
const hookSecret = "whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5"

// withSecrets is a Caddy with everything in its environment that the documents
// name.
func withSecrets(t *testing.T) *harness.Caddy {
	c := harness.NewCaddy(t)
	c.Env = append(c.Env,
		"CHECKOUT_OLD_TOKEN=old-"+harness.Token,
		"CHECKOUT_WEBHOOK_SECRET="+hookSecret,
		"CHECKOUT_DSN=postgres://checkout@127.0.0.1:1/checkout",
		"CHECKOUT_SMTP_PASSWORD=canary-smtp-password",
		"CHECKOUT_ANNA_HASH=$2a$04$ivv/DFCoYV.oru1YTjaC9.4rtvIrXZfMW1g3pqIhWprY7rTvGv0cW")
	return c
}

func TestDocumentsCaddyfilesAreValid(t *testing.T) {
	c := withSecrets(t)
	for _, name := range documents(t) {
		for _, snippet := range fences(t, name, "caddyfile") {
			if out, err := c.Validate(snippet); err != nil {
				t.Errorf("%s: %v:\n%s\n%s", name, err, snippet, out)
			}
		}
	}
	if n := len(fences(t, "README.md", "caddyfile")); n < 5 {
		t.Errorf("the README has only %d snippets", n)
	}
}

func TestExamplesAreValid(t *testing.T) {
	c := withSecrets(t)
	for name, secret := range map[string]string{
		"checkout_token": harness.Token, "smtp_password": "canary-smtp-password",
		"owner_hash": "$2a$04$ivv/DFCoYV.oru1YTjaC9.4rtvIrXZfMW1g3pqIhWprY7rTvGv0cW",
	} {
		if err := os.WriteFile(filepath.Join(c.Dir, name), []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	folder, err := filepath.Abs(root + "examples")
	if err != nil {
		t.Fatal(err)
	}
	local := strings.NewReplacer(
		"/run/secrets", c.Dir,
		"/srv/shop/products.json", folder+"/storefront/products.json",
		"/var/log/caddy", c.Dir,
		" examples/", " "+folder+"/")
	for _, name := range []string{"storefront", "minimal", "production"} {
		content := readFile(t, "examples/"+name+"/Caddyfile")
		if out, err := c.Validate(local.Replace(content)); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		out, err := c.Run("checkout", "doctor", "--config", "Caddyfile.validate", "--adapter", "caddyfile")
		if err != nil || !strings.Contains(out, "Nothing found") {
			t.Errorf("%s: the doctor says: %v\n%s", name, err, out)
		}
	}
}

// Caddy warns at each start of a Caddyfile that caddy fmt would change.
func TestCaddyfilesAreFormatted(t *testing.T) {
	files := make(map[string][]string)
	for _, name := range []string{"README.md", "docs/reference.md", "docs/webhooks.md"} {
		files[name] = fences(t, name, "caddyfile")
	}
	for _, name := range []string{"storefront", "minimal", "production"} {
		files[name] = []string{readFile(t, "examples/"+name+"/Caddyfile")}
	}
	for name, texts := range files {
		for _, text := range texts {
			if formatted := caddyfile.Format([]byte(text)); !bytes.Equal(bytes.TrimSpace(formatted), []byte(strings.TrimSpace(text))) {
				t.Errorf("%s: caddy fmt makes\n%s\nof\n%s", name, formatted, text)
			}
		}
	}
}

// cmd/caddy, which the README tells to build, holds what the other tests use.
func TestTheProgramHoldsThePlugin(t *testing.T) {
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
	for _, module := range []string{
		"admin.api.checkout", "checkout",
		"http.handlers.checkout", "http.handlers.checkout_backoffice", "http.handlers.checkout_sandbox",
	} {
		if !strings.Contains("\n"+string(out), "\n"+module+"\n") {
			t.Errorf("cmd/caddy lacks the module %s", module)
		}
	}
}

// The tables of settings are complete: Caddy itself names them all.
func TestReferenceNamesEverySetting(t *testing.T) {
	const shop = "uid 1\ntoken {env.CHECKOUT_TOKEN}\norigin https://a.example\n"
	c := withSecrets(t)
	reference := sections(t, "docs/reference.md")
	for _, tt := range []struct{ heading, block string }{
		{"Directive `checkout`", ":80 {\ncheckout {\nnonsense\n}\n}\n"},
		{"Directive `checkout`", ":80 {\ncheckout {\n" + shop + "product mug 1 Mug {\nnonsense\n}\n}\n}\n"},
		{"Limits", ":80 {\ncheckout {\n" + shop + "limits {\nnonsense\n}\n}\n}\n"},
		{"Mail", ":80 {\ncheckout {\n" + shop + "mail {\nnonsense\n}\n}\n}\n"},
		{"Directive `checkout_backoffice`", ":80 {\ncheckout_backoffice {\nnonsense\n}\n}\n"},
		{"Directive `checkout_sandbox`", ":80 {\ncheckout_sandbox {\nnonsense\n}\n}\n"},
		{"Global option `checkout`", "{\ncheckout {\nnonsense\n}\n}\n"},
	} {
		at := slices.IndexFunc(reference, func(s section) bool { return s.heading == tt.heading })
		if at < 0 {
			t.Fatalf("no section %q", tt.heading)
		}
		out, err := c.Validate(tt.block)
		m := regexp.MustCompile(`; use ([a-z_]+(?:(?:, | or )[a-z_]+)+)`).FindStringSubmatch(out)
		if err == nil || m == nil {
			t.Fatalf("%s: no list of settings: %s", tt.heading, out)
		}
		for _, setting := range regexp.MustCompile(`, | or `).Split(strings.TrimSuffix(m[1], ", at"), -1) {
			if !regexp.MustCompile("(?m)^\\| `" + setting + "[ `]").MatchString(reference[at].prose) {
				t.Errorf("%s does not explain %s", tt.heading, setting)
			}
		}
	}
}

func TestDocumentsJSONIsJSON(t *testing.T) {
	for _, name := range documents(t) {
		for _, block := range fences(t, name, "json") {
			if !json.Valid([]byte(block)) {
				t.Errorf("%s: not JSON:\n%s", name, block)
			}
		}
	}
}

// The README's catalog, link and form sell, and its check of the notify comes
// out as it says.
func TestReadmeSells(t *testing.T) {
	shop := harness.NewShop(t)
	file := filepath.Join(shop.Dir, "products.json")
	if err := os.WriteFile(file, []byte(fences(t, "README.md", "json")[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	shop.Start(strings.Replace(shop.Caddyfile("catalog "+file, "require email"), harness.Goods, "", 1))

	pages := fences(t, "README.md", "html")
	href := regexp.MustCompile(`href="([^"]+)"`).FindStringSubmatch(pages[0])[1]
	review := shop.Get(strings.ReplaceAll(href, "&amp;", "&"), "Accept", "text/html")
	if review.Status != http.StatusOK || !strings.Contains(review.Body, "206.00") {
		t.Errorf("the link: HTTP %d", review.Status)
	}
	form := harness.FormTo(t, pages[1], "/checkout")
	form.Values.Set("email", "buyer@example.com")
	sent := shop.Post(form.Action, form.Values, "Accept", "text/html")
	if pay := harness.FormTo(t, sent.Body, shop.Gateway.URL+"/pay.action"); pay.Values.Get("paymoney") != "39.00" {
		t.Errorf("the form: HTTP %d", sent.Status)
	}
	script := fences(t, "README.md", "js")[0]
	for name := range form.Values {
		if !strings.Contains(script, name+": ") {
			t.Errorf("the script does not send %s", name)
		}
	}
	if a := shop.Post("/checkout/notify", nil); a.Status != http.StatusBadRequest {
		t.Errorf("an empty notify: HTTP %d, and the README says 400", a.Status)
	}
}
