package catalog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const mug = `{"sku":"mug","name":"Coffee mug","price":"39.00","image":"/mug.jpg","url":"/mug/"}`

func TestParse(t *testing.T) {
	for name, tc := range map[string]struct {
		content string
		want    string // products, or a part of the error
	}{
		"one":             {`[` + mug + `]`, `mug|Coffee mug|39.00|/mug.jpg|/mug/`},
		"none":            {` [] `, ``},
		"number":          {`[{"sku":"a","name":"A","price":39}]`, `a|A|39.00||`},
		"number, exact":   {`[{"sku":"a","name":"A","price":0.29},{"sku":"b","name":"B","price":1.1}]`, `a|A|0.29||;b|B|1.10||`},
		"largest":         {`[{"sku":"a","name":"A","price":99999999999.99}]`, `a|A|99999999999.99||`},
		"text, escaped":   {`[{"sku":"a","name":"\u624b\u51b2 & <b>","price":"1"}]`, `a|手冲 & <b>|1.00||`},
		"byte order mark": {"\ufeff[" + mug + "]", `mug|Coffee mug|39.00|/mug.jpg|/mug/`},
		"any field order": {`[{"price":1,"url":"https://example.com/a","name":"A","sku":"a"}]`, `a|A|1.00||https://example.com/a`},

		"empty file":        {``, `p.json:1: the file ends too early`},
		"html":              {`<html>`, `p.json:1: not JSON`},
		"object":            {`{"mug":1}`, `p.json:1: the catalog must be a JSON list`},
		"null":              {`null`, `the catalog must be a JSON list`},
		"line number":       {"[\n" + mug + ",\n\n{\"sku\":\"b\",\"prize\":1}]", `p.json:4: entry 2 (sku "b"): unknown field "prize"; the fields are sku, name, price, image and url`},
		"unclosed":          {`[` + mug, `the file ends too early: the list must end with ]`},
		"cut":               {`[{"sku":"mug","na`, `entry 1 (sku "mug"): not JSON`},
		"trailing comma":    {`[` + mug + `,]`, `not JSON`},
		"missing comma":     {`[` + mug + mug + `]`, `not JSON`},
		"text after":        {`[` + mug + `] x`, `unexpected text after the list`},
		"second list":       {`[` + mug + `][]`, `unexpected text after the list`},
		"entry no object":   {`["mug"]`, `entry 1 must be an object like`},
		"unknown case":      {`[{"SKU":"mug","name":"A","price":1}]`, `unknown field "SKU"`},
		"twice":             {`[{"sku":"mug","name":"A","price":39,"price":0.01}]`, `entry 1 (sku "mug"): "price" is there twice`},
		"not UTF-8":         {"[{\"sku\":\"mug\",\"name\":\"\xc4\xe3\",\"price\":1}]", `p.json: not UTF-8 text`},
		"no price":          {`[{"sku":"mug","name":"A"}]`, `entry 1 (sku "mug"): price is missing`},
		"no sku":            {`[{"name":"A","price":1}]`, `entry 1: sku is missing or empty`},
		"empty name":        {`[{"sku":"mug","name":"","price":1}]`, `name is missing or empty`},
		"null name":         {`[{"sku":"mug","name":null,"price":1}]`, `name must be text in quotes`},
		"number sku":        {`[{"sku":17,"name":"A","price":1}]`, `sku must be text in quotes`},
		"long sku":          {`[{"sku":"` + strings.Repeat("x", 65) + `","name":"A","price":1}]`, `sku is 65 bytes long; at most 64 are allowed`},
		"long name":         {`[{"sku":"a","name":"` + strings.Repeat("壶", 67) + `","price":1}]`, `name is 201 bytes long; at most 200 are allowed`},
		"control character": {`[{"sku":"a\u0000","name":"A","price":1}]`, `holds a control character`},
		"space":             {`[{"sku":"a ","name":"A","price":1}]`, `begins or ends with a space`},
		"price zero":        {`[{"sku":"a","name":"A","price":0}]`, `price 0.00: must be more than 0.00`},
		"price exponent":    {`[{"sku":"a","name":"A","price":1e2}]`, `not an amount of money: "1e2"`},
		"price negative":    {`[{"sku":"a","name":"A","price":-1}]`, `not an amount of money: "-1"`},
		"price long":        {`[{"sku":"a","name":"A","price":"1.005"}]`, `not an amount of money: "1.005"`},
		"price spaced":      {`[{"sku":"a","name":"A","price":" 1"}]`, `not an amount of money: " 1"`},
		"price wide":        {`[{"sku":"a","name":"A","price":"３9"}]`, `not an amount of money`},
		"price overflow":    {`[{"sku":"a","name":"A","price":100000000000}]`, `is more than 99999999999.99`},
		"price null":        {`[{"sku":"a","name":"A","price":null}]`, `price must be text or a number`},
		"price true":        {`[{"sku":"a","name":"A","price":true}]`, `price must be text or a number`},
		"price list":        {`[{"sku":"a","name":"A","price":[1]}]`, `price must be text or a number`},
	} {
		t.Run(name, func(t *testing.T) {
			entries, err := parse("p.json", []byte(tc.content))
			if err != nil {
				if tc.want == "" || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("got error %q, want %q", err, tc.want)
				}
				return
			}
			var got []string
			for _, e := range entries {
				got = append(got, fmt.Sprintf("%s|%s|%s|%s|%s", e.SKU, e.Name, e.Price, e.Image, e.URL))
			}
			if s := strings.Join(got, ";"); s != tc.want {
				t.Errorf("got %q, want %q", s, tc.want)
			}
		})
	}
}

func TestLinks(t *testing.T) {
	for _, ok := range []string{
		"", "/mug.jpg", "mug.jpg", "../mug/", "mug/?x=1#top", "http://example.com/a", "https://example.com", "HTTPS://example.com/ä", "/a:b", "/手冲.jpg",
	} {
		if err := checkLink(ok); err != nil {
			t.Errorf("%q: %v", ok, err)
		}
	}
	for _, bad := range []string{
		"javascript:alert(1)", "JavaScript:alert(1)", " javascript:alert(1)", "java\tscript:alert(1)", "data:text/html,x", "vbscript:x",
		"//evil.example", "/\\evil.example", "\\\\evil", "https:evil", "https://", "https:///x", "ftp://example.com", "http://[::1", "a b:c\n",
		"/" + strings.Repeat("x", 2000), "/\xff", "mailto:a@example.com",
	} {
		if err := checkLink(bad); err == nil {
			t.Errorf("%q: accepted", bad)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	big := filepath.Join(dir, "big.json")
	if err := os.WriteFile(big, []byte("["+strings.Repeat(" ", MaxFileBytes)+"]"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "p.json")
	write(t, file, "["+mug+"]", time.Hour)
	inline := Product{SKU: "mug", Name: "Mug", Price: 100}
	for name, tc := range map[string]struct {
		c    Config
		want string
	}{
		"absent":              {Config{File: filepath.Join(dir, "absent.json")}, "absent.json: no such file"},
		"directory":           {Config{File: dir}, "is not a regular file"},
		"too large":           {Config{File: big}, "is larger than 8 MiB"},
		"same sku inline":     {Config{Inline: []Product{inline, inline}}, `inline product 2: sku "mug" is taken by inline product 1`},
		"same sku in file":    {Config{Inline: []Product{inline}, File: file}, file + ` entry 1 (sku "mug"): sku "mug" is taken by inline product 1`},
		"inline without name": {Config{Inline: []Product{{SKU: "a", Price: 1}}}, "inline product 1: name is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Open(tc.c); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.json")
	write(t, path, "["+mug+"]", time.Hour)
	var reports []string
	now := time.Now()
	c, err := open(Config{
		Inline: []Product{{SKU: "pen", Name: "Pen", Price: 500}},
		File:   path,
		OnReload: func(n int, err error) {
			if err != nil {
				reports = append(reports, "broken")
				return
			}
			reports = append(reports, fmt.Sprint(n))
		},
	}, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	price := func() string {
		p, ok := c.Product("mug")
		if !ok {
			return "none"
		}
		return p.Price.String()
	}
	step := func(what, wantPrice, wantReports string) {
		t.Helper()
		now = now.Add(lookInterval)
		for range 2 {
			if got := price(); got != wantPrice {
				t.Errorf("%s: price %s, want %s", what, got, wantPrice)
			}
		}
		if got := strings.Join(reports, ","); got != wantReports {
			t.Errorf("%s: reports %q, want %q", what, got, wantReports)
		}
		reports = nil
	}

	step("unchanged", "39.00", "")
	write(t, path, `[{"sku":"mug","name":"Mug","price":40}]`, 59*time.Minute)
	if got := price(); got != "39.00" {
		t.Errorf("looked twice within a second: price %s", got)
	}
	step("new price", "40.00", "2")
	if err := os.Rename(path, path+".old"); err != nil { // keeps its inode from being used again
		t.Fatal(err)
	}
	write(t, path, `[{"sku":"mug","name":"Mug","price":42}]`, 59*time.Minute)
	step("same size and time, another file", "42.00", "2")
	write(t, path, `[{"sku":"mug"`, 58*time.Minute)
	step("broken", "42.00", "broken")
	step("still broken", "42.00", "")
	write(t, path, `[{"sku":"pen","name":"Pen","price":1}]`, 57*time.Minute)
	step("broken in another way: an inline sku", "42.00", "broken")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	step("deleted", "42.00", "broken")
	step("still deleted", "42.00", "")
	write(t, path, `[{"sku":"mug","name":"Mug","price":42}]`, 57*time.Minute)
	step("back", "42.00", "2")
	write(t, path, `[{"sku":"mug","name":"Mug","price":42}]`, 56*time.Minute)
	step("touched", "42.00", "")
	write(t, path, `[]`, 55*time.Minute)
	step("emptied", "none", "1")

	if got := c.All(); len(got) != 1 || got[0].SKU != "pen" {
		t.Errorf("got %v, want the inline pen alone", got)
	}
}

// A change within the granularity of time stamps keeps time and size.
func TestReloadSeesSwiftChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.json")
	write(t, path, `[{"sku":"mug","name":"Mug","price":41}]`, 0)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	now := info.ModTime().Add(time.Millisecond)
	c, err := open(Config{File: path}, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(`[{"sku":"mug","name":"Mug","price":42}]`)
	if err := errors.Join(err, f.Close(), os.Chtimes(path, info.ModTime(), info.ModTime())); err != nil {
		t.Fatal(err)
	}
	now = now.Add(lookInterval)
	if p, _ := c.Product("mug"); p.Price != 4200 {
		t.Errorf("got %s, want 42.00", p.Price)
	}
}

func TestConcurrentLookups(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.json")
	write(t, path, "["+mug+"]", time.Hour)
	start := time.Now()
	var ticks, reloads atomic.Int64
	c, err := open(Config{File: path, OnReload: func(int, error) { reloads.Add(1) }},
		func() time.Time { return start.Add(time.Duration(ticks.Add(1)) * lookInterval) })
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if p, ok := c.Product("mug"); !ok || !slices.Contains([]string{"39.00", "40.00"}, p.Price.String()) {
					t.Errorf("got %v, %v", p, ok)
				}
			}
		})
	}
	write(t, path, `[{"sku":"mug","name":"Mug","price":40}]`, 59*time.Minute)
	wg.Wait()
	c.All()
	if p, _ := c.Product("mug"); p.Price.String() != "40.00" || reloads.Load() == 0 {
		t.Errorf("price %s after %d reloads", p.Price, reloads.Load())
	}
}

func TestAllIsACopy(t *testing.T) {
	c, err := Open(Config{Inline: []Product{{SKU: "a", Name: "A", Price: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	c.All()[0].Price = 0
	if p, _ := c.Product("a"); p.Price != 1 {
		t.Errorf("price changed to %s", p.Price)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{`[]`, `[` + mug + `]`, `[{"sku":"a","name":"A","price":0.29}]`, `[{"price":1e2}]`, `[{`, "\ufeff[]"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		entries, err := parse("p.json", content)
		if err != nil {
			return
		}
		for _, e := range entries {
			if err := e.Check(); err != nil {
				t.Errorf("%s passed the parser: %v", e.place, err)
			}
		}
	})
}

func BenchmarkProduct(b *testing.B) {
	path := filepath.Join(b.TempDir(), "p.json")
	write(b, path, "["+mug+"]", time.Hour)
	c, err := Open(Config{File: path})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		c.Product("mug")
	}
}

// write replaces the content of a file that was changed age ago.
func write(t testing.TB, path, content string, age time.Duration) {
	t.Helper()
	next := path + ".next"
	changed := time.Now().Add(-age).Truncate(time.Minute)
	if err := errors.Join(
		os.WriteFile(next, []byte(content), 0o600),
		os.Chtimes(next, changed, changed),
		os.Rename(next, path),
	); err != nil {
		t.Fatal(err)
	}
}
