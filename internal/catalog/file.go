package catalog

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caddy-checkout/checkout/internal/order"
)

// MaxFileBytes bounds a catalog file.
const MaxFileBytes = 8 << 20

// settle is how long after its last change a file may still change without a
// new time stamp; file systems keep time as coarsely as two seconds.
const settle = 3 * time.Second

// file is a catalog file as it was last seen.
type file struct {
	info    fs.FileInfo // nil if it could not be read
	readAt  time.Time
	sum     [sha256.Size]byte // of the content, or of why there is none
	content []byte
}

// unchanged reports whether the file at path is the one that f was read from,
// without reading it.
func (f file) unchanged(path string) bool {
	if f.info == nil || f.readAt.Sub(f.info.ModTime()) < settle {
		return false
	}
	info, err := os.Stat(path)
	return err == nil && os.SameFile(info, f.info) &&
		info.ModTime().Equal(f.info.ModTime()) && info.Size() == f.info.Size()
}

// readFile reads a catalog file. The file that it returns beside an error
// tells one error from another by its sum.
func readFile(path string, now time.Time) (file, error) {
	info, content, err := readBounded(path)
	if err != nil {
		err = fmt.Errorf("reading catalog: %w", err)
		return file{readAt: now, sum: sha256.Sum256([]byte(err.Error()))}, err
	}
	return file{info: info, readAt: now, sum: sha256.Sum256(content), content: content}, nil
}

func readBounded(path string) (fs.FileInfo, []byte, error) {
	// Opening a pipe would wait for its writer.
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, nil, err
	}
	content, err := io.ReadAll(io.LimitReader(f, MaxFileBytes+1))
	if err != nil {
		return nil, nil, err
	}
	if len(content) > MaxFileBytes {
		return nil, nil, fmt.Errorf("%s is larger than %d MiB", path, MaxFileBytes>>20)
	}
	return info, content, nil
}

// entry is a product and where it was written.
type entry struct {
	Product
	place string
}

const fieldNames = "sku, name, price, image and url"

// parser reads the JSON array of a catalog file token by token: encoding/json
// alone would take "SKU" for "sku" and the last of two prices.
type parser struct {
	path    string
	content []byte
	dec     *json.Decoder
}

func parse(path string, content []byte) ([]entry, error) {
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	if !utf8.Valid(content) {
		return nil, fmt.Errorf("%s: not UTF-8 text; save the file as UTF-8", path)
	}
	p := &parser{path: path, content: content, dec: json.NewDecoder(bytes.NewReader(content))}
	if err := p.next('[', `the catalog must be a JSON list: [{"sku":"mug","name":"Coffee mug","price":"39.00"}]`); err != nil {
		return nil, err
	}
	var entries []entry
	for p.dec.More() {
		e, err := p.entry(len(entries) + 1)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	if err := p.next(']', "the list must end with ]"); err != nil {
		return nil, err
	}
	if _, err := p.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, p.errorf("unexpected text after the list")
	}
	return entries, nil
}

// next consumes a delimiter; another token is refused by saying what would be
// right.
func (p *parser) next(d json.Delim, right string) error {
	switch t, err := p.dec.Token(); {
	case errors.Is(err, io.EOF):
		return p.errorf("the file ends too early: %s", right)
	case err != nil:
		return p.errorf("not JSON: %w", err)
	case t != d:
		return p.errorf("%s", right)
	}
	return nil
}

// errorf names the file and the line that was reached.
func (p *parser) errorf(format string, args ...any) error {
	read := min(p.dec.InputOffset(), int64(len(p.content)))
	line := 1 + bytes.Count(p.content[:read], []byte("\n"))
	return fmt.Errorf("%s:%d: %w", p.path, line, fmt.Errorf(format, args...))
}

// entry reads the n-th object of the list.
func (p *parser) entry(n int) (entry, error) {
	place := fmt.Sprintf("entry %d", n)
	if err := p.next('{', place+` must be an object like {"sku":"mug","name":"Coffee mug","price":"39.00"}`); err != nil {
		return entry{}, err
	}
	e := entry{}
	seen := make(map[string]bool, 5)
	for p.dec.More() {
		t, err := p.dec.Token()
		if err != nil {
			return entry{}, p.errorf("%s: not JSON: %w", place, err)
		}
		key, _ := t.(string)
		if seen[key] {
			return entry{}, p.errorf("%s: %q is there twice", place, key)
		}
		seen[key] = true
		var value json.RawMessage
		if err := p.dec.Decode(&value); err != nil {
			return entry{}, p.errorf("%s: %q: not JSON: %w", place, key, err)
		}
		if err := e.set(key, value); err != nil {
			return entry{}, p.errorf("%s: %w", place, err)
		}
		if key == "sku" {
			place = fmt.Sprintf("entry %d (sku %q)", n, e.SKU)
		}
	}
	if err := p.next('}', place+" must end with }"); err != nil {
		return entry{}, err
	}
	if !seen["price"] {
		return entry{}, p.errorf("%s: price is missing", place)
	}
	if err := e.Check(); err != nil {
		return entry{}, p.errorf("%s: %w", place, err)
	}
	e.place = p.path + " " + place
	return e, nil
}

func (e *entry) set(key string, value json.RawMessage) error {
	var text *string
	switch key {
	case "sku":
		text = &e.SKU
	case "name":
		text = &e.Name
	case "image":
		text = &e.Image
	case "url":
		text = &e.URL
	case "price":
		return e.setPrice(value)
	default:
		return fmt.Errorf("unknown field %q; the fields are %s", key, fieldNames)
	}
	if value[0] != '"' {
		return fmt.Errorf("%s must be text in quotes", key)
	}
	return json.Unmarshal(value, text)
}

// setPrice takes a string or a number by its decimal text; a float would turn
// 0.29 into 28 fen.
func (e *entry) setPrice(value json.RawMessage) error {
	text := string(value)
	switch {
	case value[0] == '"':
		if err := json.Unmarshal(value, &text); err != nil {
			return fmt.Errorf("price: %w", err)
		}
	case !strings.ContainsAny(text[:1], "-0123456789"):
		return fmt.Errorf(`price must be text or a number, like "39.00"`)
	}
	price, err := order.ParsePrice(text)
	if err != nil {
		return fmt.Errorf("price: %w", err)
	}
	e.Price = price
	return nil
}
