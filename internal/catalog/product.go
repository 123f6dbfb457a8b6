package catalog

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of a product, in bytes.
const (
	MaxSKU  = 64
	MaxName = 200
	maxLink = 2000
)

// Check reports the first thing about p that is not as [Product] says, and
// what would be right.
func (p Product) Check() error {
	if err := checkText("sku", p.SKU, MaxSKU); err != nil {
		return err
	}
	if err := checkText("name", p.Name, MaxName); err != nil {
		return err
	}
	if p.Price <= 0 {
		return fmt.Errorf("price %s: must be more than 0.00", p.Price)
	}
	if err := checkLink(p.Image); err != nil {
		return fmt.Errorf("image %q: %w", p.Image, err)
	}
	if err := checkLink(p.URL); err != nil {
		return fmt.Errorf("url %q: %w", p.URL, err)
	}
	return nil
}

func checkText(what, s string, limit int) error {
	switch {
	case s == "":
		return fmt.Errorf("%s is missing or empty", what)
	case len(s) > limit:
		return fmt.Errorf("%s is %d bytes long; at most %d are allowed", what, len(s), limit)
	case !utf8.ValidString(s):
		return fmt.Errorf("%s %q is not valid UTF-8", what, s)
	case strings.ContainsFunc(s, unicode.IsControl):
		return fmt.Errorf("%s %q holds a control character", what, s)
	case strings.TrimSpace(s) != s:
		return fmt.Errorf("%s %q begins or ends with a space", what, s)
	}
	return nil
}

var errLink = errors.New("write a path like /mug.jpg or an http(s) URL")

// checkLink keeps everything away from pages that is not a plain link:
// javascript: and data: URLs, and what browsers read as another host.
func checkLink(s string) error {
	if s == "" {
		return nil
	}
	if len(s) > maxLink {
		return fmt.Errorf("%d bytes long; at most %d are allowed", len(s), maxLink)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) || strings.ContainsRune(s, '\\') || strings.TrimSpace(s) != s {
		return errLink
	}
	u, err := url.Parse(s)
	if err != nil || u.Opaque != "" {
		return errLink
	}
	switch strings.ToLower(u.Scheme) {
	case "":
		if u.Host != "" || strings.HasPrefix(s, "//") {
			return errLink
		}
	case "http", "https":
		if u.Hostname() == "" {
			return errLink
		}
	default:
		return errLink
	}
	return nil
}
