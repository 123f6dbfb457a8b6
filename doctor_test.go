package checkout

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-checkout/checkout/internal/doctor"
)

// doctorEnv is the environment of the examined configurations.
var doctorEnv = map[string]string{
	"CHECKOUT_TOKEN": "canary-of-the-environment",
	"OTHER_TOKEN":    "canary-of-another-merchant",
	"HOOK_SECRET":    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
	"SHORT":          "canary",
}

// canaries are what no report may hold.
var canaries = []string{"canary", "whsec_MfKQ", "only-for-tests-0123456789", "$2a$14"}

// Each file holds a Caddyfile, a line of dashes, and then the report on it.
func TestDoctor(t *testing.T) {
	files, err := filepath.Glob("testdata/doctor/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for name, value := range doctorEnv {
		t.Setenv(name, value)
	}
	home := t.TempDir()
	t.Setenv("XDG_DATA_HOME", home)
	t.Setenv("DATA_HOME", home) // for those that have their root there
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, want, ok := strings.Cut(string(content), dashes)
			if !ok {
				t.Fatal("no line of dashes")
			}
			r := examine(t, input, doctorOptions(false))
			var out bytes.Buffer
			if err := writeReport(&out, r, false); err != nil {
				t.Fatal(err)
			}
			got := out.String()
			for _, secret := range canaries {
				if strings.Contains(got, secret) {
					t.Errorf("the report holds a secret: %s", got)
				}
			}
			if *update {
				if err := os.WriteFile(file, []byte(input+dashes+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func examine(t *testing.T, caddyfile string, o doctor.Options) *doctor.Report {
	t.Helper()
	raw, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := doctor.Examine(t.Context(), raw, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The examples that are meant to be copied are clean.
func TestDoctorExamples(t *testing.T) {
	t.Setenv("CHECKOUT_TOKEN", "canary-of-the-environment")
	for _, file := range []string{"README.md", "examples/minimal/Caddyfile", "examples/storefront/Caddyfile"} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text := string(content)
		if _, rest, ok := strings.Cut(text, "```caddyfile\n"); ok {
			text, _, _ = strings.Cut(rest, "```")
		}
		if r := examine(t, text, doctorOptions(false)); len(r.Findings) > 0 || r.Shops != 1 {
			t.Errorf("%s: %+v", file, r)
		}
	}
}

// roundTrip is a gateway that answers without a network.
type roundTrip func(r *http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

const onlineShop = `shop.example.com {
	checkout {
		uid     10000001400000
		token   {env.CHECKOUT_TOKEN}
		origin  https://shop.example.com
		product mug 39.00 "Coffee mug"
	}
}
`

func TestDoctorOnline(t *testing.T) {
	t.Setenv("CHECKOUT_TOKEN", "canary-of-the-environment")
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	fine := `{"balance":"5.94","msg":"","reqtime":"2026-05-01 20:00:00","status":"0","uid":"10000001400000"}`
	for _, test := range []struct {
		name    string
		ahead   time.Duration // of the gateway's clock
		balance string        // empty: no connection
		want    []string
	}{
		{"fine", 0, fine, []string{"note balance"}},
		{"a little late", 59 * time.Second, fine, []string{"note balance"}},
		{"late", 2 * time.Minute, fine, []string{"warning clock", "note balance"}},
		{"too late", 10 * time.Minute, fine, []string{"error clock", "note balance"}},
		{"early", -11 * time.Minute, fine, []string{"error clock", "note balance"}},
		{"refused", 0, `{"balance":"","msg":"key error","reqtime":"","status":"1","uid":""}`, []string{"error balance"}},
		{"of another", 0, strings.Replace(fine, "10000001400000", "1", 1), []string{"error balance"}},
		{"no gateway", 0, "", []string{"error balance"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			asked := 0
			o := doctorOptions(true)
			o.Now = func() time.Time { return now }
			o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
				if test.balance == "" {
					return nil, errors.New("refused")
				}
				h := http.Header{"Date": {now.Add(test.ahead).Format(http.TimeFormat)}}
				body := ""
				if r.Method == http.MethodGet {
					asked++
					body = test.balance
				}
				return &http.Response{StatusCode: http.StatusOK, Header: h, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
			})
			r := examine(t, onlineShop, o)
			if got := codes(r); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if asked > 1 {
				t.Errorf("asked for the balance %d times", asked)
			}
			text, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			for _, secret := range append(canaries, "5.94") {
				if strings.Contains(string(text), secret) {
					t.Errorf("the report holds %q: %s", secret, text)
				}
			}
		})
	}
}

// A gateway that never answers does not hold doctor for ever.
func TestDoctorOnlineHung(t *testing.T) {
	t.Setenv("CHECKOUT_TOKEN", "canary-of-the-environment")
	synctest.Test(t, func(t *testing.T) {
		o := doctorOptions(true)
		o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		if got := codes(examine(t, onlineShop, o)); !slices.Equal(got, []string{"error balance"}) {
			t.Errorf("got %q", got)
		}
	})
}

func codes(r *doctor.Report) []string {
	list := make([]string, 0, len(r.Findings))
	for _, f := range r.Findings {
		list = append(list, string(f.Severity)+" "+f.Code)
	}
	return list
}

// The command tells errors apart from a configuration that it cannot read.
func TestDoctorCommand(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct{ name, config, want string }{
		{"well", strings.Replace(onlineShop, "{env.CHECKOUT_TOKEN}", "{env.OTHER_TOKEN}", 1), "<nil>"},
		{"warned", onlineShop, "<nil>"},
		{"sick", strings.Replace(onlineShop, "https://shop", "https://store", 1), errSick.Error()},
		{"unreadable", "shop.example.com {\n\tcheckout\n}\n", "adapting config"},
		{"missing", "", "reading config"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("OTHER_TOKEN", "canary-of-another-merchant")
			file := filepath.Join(dir, test.name+".caddyfile")
			if test.config != "" {
				if err := os.WriteFile(file, []byte(test.config), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			cmd := doctorCommand()
			var out bytes.Buffer
			cmd.SetOut(&out)
			cmd.SetErr(io.Discard)
			cmd.SetArgs([]string{"--config", file, "--json"})
			cmd.SilenceUsage = true
			if err := cmd.Execute(); !strings.HasPrefix(fmt.Sprint(err), test.want) {
				t.Errorf("got error %v, want %s", err, test.want)
			}
			if test.want == "<nil>" || test.want == errSick.Error() {
				var r doctor.Report
				if err := json.Unmarshal(out.Bytes(), &r); err != nil || r.Shops != 1 {
					t.Errorf("got %q", out.String())
				}
			}
		})
	}
}
