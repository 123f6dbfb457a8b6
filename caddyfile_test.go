package checkout

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

var update = flag.Bool("update", false, "write what was got into testdata/caddyfile")

const dashes = "----------\n"

// Each file holds a Caddyfile, a line of dashes, and then the JSON that it
// gives or the error.
func TestAdapt(t *testing.T) {
	for _, file := range goldenFiles(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, want, ok := strings.Cut(string(content), dashes)
			if !ok {
				t.Fatal("no line of dashes")
			}
			got := adapt(t, input)
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

func goldenFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/caddyfile/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	return files
}

// adapt returns the JSON of a Caddyfile, or the error.
func adapt(t *testing.T, input string) string {
	t.Helper()
	raw, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(input), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return err.Error() + "\n"
	}
	var out bytes.Buffer
	if err := json.Indent(&out, raw, "", "\t"); err != nil {
		t.Fatal(err)
	}
	out.WriteByte('\n')
	return out.String()
}

// The JSON of every accepted block means the same handler again.
func TestJSONRoundTrip(t *testing.T) {
	handlers := 0
	for _, file := range goldenFiles(t) {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, out, _ := strings.Cut(string(content), dashes)
		var config any
		if json.Unmarshal([]byte(out), &config) != nil {
			continue
		}
		for _, block := range find(config, "checkout") {
			handlers++
			raw, err := json.Marshal(block)
			if err != nil {
				t.Fatal(err)
			}
			var h Handler
			dec := json.NewDecoder(bytes.NewReader(raw))
			dec.DisallowUnknownFields()
			if err := dec.Decode(&h); err != nil {
				t.Errorf("%s: %v", file, err)
			}
			if raw, err = json.Marshal(h); err != nil {
				t.Fatal(err)
			}
			var again any
			if err := json.Unmarshal(raw, &again); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(block, again) {
				t.Errorf("%s: got %v, want %v", file, again, block)
			}
		}
	}
	if handlers == 0 {
		t.Error("no handler found")
	}
}

// find returns what is configured for the handlers with the name.
func find(config any, name string) (blocks []any) {
	switch v := config.(type) {
	case map[string]any:
		if v["handler"] == name {
			delete(v, "handler")
			return []any{v}
		}
		for _, e := range v {
			blocks = append(blocks, find(e, name)...)
		}
	case []any:
		for _, e := range v {
			blocks = append(blocks, find(e, name)...)
		}
	}
	return blocks
}

// No error repeats what may be a secret.
func TestAdaptErrorsKeepSecrets(t *testing.T) {
	for _, file := range goldenFiles(t) {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, out, _ := strings.Cut(string(content), dashes); strings.Contains(out, "canary") {
			t.Errorf("%s: the error holds a secret: %s", file, out)
		}
	}
}

func FuzzUnmarshalCaddyfile(f *testing.F) {
	for _, seed := range []string{
		"checkout {\nuid 1\ntoken {env.T}\norigin https://a.example\nproduct mug 1 Mug\n}",
		"checkout {\nlimits off\nsign_fields pay uid\nproduct a 1 b {\nimage /x\n}\n}",
		"checkout {\nlimits {\ncheckouts_per_client 1 1m\n}\nwebhook a b\n",
		"checkout",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, input string) {
		tokens, err := caddyfile.Tokenize([]byte(input), "Caddyfile")
		if err != nil || len(tokens) == 0 {
			return
		}
		var h Handler
		if h.UnmarshalCaddyfile(caddyfile.NewDispenser(tokens)) != nil {
			return
		}
		if h.UID == "" || h.Token == "" || h.Origin == "" || (len(h.Products) == 0 && h.Catalog == "") {
			t.Errorf("accepted without a required setting: %q", input)
		}
	})
}
