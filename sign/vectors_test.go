package sign_test

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-checkout/checkout/sign"
)

var messages = map[string]sign.Fields{
	"pay": sign.Pay, "notify": sign.Notify, "status": sign.Status, "balance": sign.Balance,
}

// vector is one block of testdata/vectors.txt, which says what each line means.
type vector struct {
	name, message, text, key, verdict string
	names, values, tokens             []string
}

func readVectors(t testing.TB) []vector {
	t.Helper()
	data, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	for block := range strings.SplitSeq(string(data), "\n\n") {
		var v vector
		for line := range strings.SplitSeq(block, "\n") {
			if line == "" || line[0] == '#' {
				continue
			}
			name, value, ok := strings.Cut(line, ":")
			if !ok {
				t.Fatalf("vectors.txt: line without a colon: %s", line)
			}
			value = strings.TrimPrefix(value, " ")
			if strings.HasPrefix(value, `"`) {
				if value, err = strconv.Unquote(value); err != nil {
					t.Fatalf("vectors.txt: %s: %v", line, err)
				}
			}
			v.set(t, name, value)
		}
		if v.name != "" {
			vectors = append(vectors, v)
		}
	}
	return vectors
}

func (v *vector) set(t testing.TB, name, value string) {
	t.Helper()
	switch name {
	case "vector":
		v.name = value
	case "message":
		v.message = value
	case "field":
		field, val, _ := strings.Cut(value, "=")
		v.names, v.values = append(v.names, field), append(v.values, val)
	case "token":
		v.tokens = append(v.tokens, value)
	case "string":
		v.text = value
	case "key":
		v.key = value
	case "verdict":
		v.verdict = value
	default:
		t.Fatalf("vectors.txt: unknown line %q", name)
	}
}

func TestVectors(t *testing.T) {
	seen := make(map[string]int)
	for _, v := range readVectors(t) {
		verdict, field, _ := strings.Cut(v.verdict, " ")
		seen[verdict]++
		t.Run(v.name, func(t *testing.T) {
			f := messages[v.message]
			if got, want := strings.Join(v.names, " "), strings.Join(f, " "); got != want {
				t.Fatalf("fields of %q: %s, want %s", v.message, got, want)
			}
			err := f.Verify(v.key, v.tokens, v.values...)
			want := map[string]error{"valid": nil, "key": sign.ErrKey, "key-form": sign.ErrKeyForm, "value": sign.ErrValue}
			wantErr, known := want[verdict]
			if !known {
				t.Fatalf("unknown verdict %q", v.verdict)
			}
			if !errors.Is(err, wantErr) {
				t.Fatalf("Verify: %v, want %v", err, wantErr)
			}
			if v.text != "" {
				checkString(t, f, v)
			}
			if verdict == "value" {
				checkRefusal(t, f, v, field)
			}
		})
	}
	for _, verdict := range []string{"valid", "key", "key-form", "value"} {
		if seen[verdict] == 0 {
			t.Errorf("no vector with verdict %q", verdict)
		}
	}
}

// checkString holds Key and Masked to a vector that has the hashed string.
func checkString(t *testing.T, f sign.Fields, v vector) {
	t.Helper()
	key, err := f.Key(v.tokens[0], v.values...)
	if err != nil || key != v.key {
		t.Errorf("Key = %q, %v, want %q", key, err, v.key)
	}
	masked := f.Masked(v.values...)
	if want := strings.TrimSuffix(v.text, v.tokens[0]) + "********"; masked != want {
		t.Errorf("Masked = %q\n      want %q", masked, want)
	}
}

// checkRefusal holds Key to refusing a vector, naming field and nothing else.
func checkRefusal(t *testing.T, f sign.Fields, v vector, field string) {
	t.Helper()
	key, err := f.Key(v.tokens[0], v.values...)
	if key != "" || !errors.Is(err, sign.ErrValue) {
		t.Fatalf("Key = %q, %v, want %v", key, err, sign.ErrValue)
	}
	if !strings.HasPrefix(err.Error(), field+": ") {
		t.Errorf("error %q does not name %s", err, field)
	}
	for i, name := range v.names {
		if name == field && strings.Contains(err.Error(), v.values[i]) {
			t.Errorf("error %q holds the value", err)
		}
	}
}
