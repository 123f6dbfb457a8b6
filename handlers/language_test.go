package handlers

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/caddy-checkout/checkout/internal/payment"
)

func TestMessagesAreComplete(t *testing.T) {
	for key, message := range messages {
		for l, text := range message {
			if strings.TrimSpace(text) == "" && (key != "pay_with" || language(l) != chinese) {
				t.Errorf("%s: nothing in %s", key, language(l))
			}
		}
	}
	need := func(key string) {
		if messages[key][english] == "" {
			t.Errorf("message %q is missing", key)
		}
	}
	for _, p := range problems {
		need(p.code + "_text")
		if p.code != badFields.code { // shown as the review page
			need(p.code + "_title")
		}
	}
	for name := range payment.BuyerFields {
		need("field_" + name)
	}
	for _, reason := range []string{payment.FieldMissing, payment.FieldTooLong, payment.FieldBadEmail, payment.FieldBadTel, payment.FieldBadCharacters} {
		need(reason)
	}
}

func TestNoMessageIsUnused(t *testing.T) {
	used := make(map[string]bool)
	err := fs.WalkDir(files, "pages", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := files.ReadFile(path)
		for _, found := range placeholder.FindAllStringSubmatch(string(content), -1) {
			used[found[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		used[p.code+"_title"], used[p.code+"_text"] = true, true
	}
	for name := range payment.BuyerFields {
		used["field_"+name] = true
	}
	for _, reason := range []string{payment.FieldMissing, payment.FieldTooLong, payment.FieldBadEmail, payment.FieldBadTel, payment.FieldBadCharacters} {
		used[reason] = true
	}
	for key := range messages {
		if !used[key] {
			t.Errorf("message %q is on no page", key)
		}
	}
}

func TestTranslateRefusesUnknownMessages(t *testing.T) {
	if _, err := english.translate("<p>[[no_such_message]]</p>"); err == nil {
		t.Error("no error")
	}
}

func TestOrderLanguage(t *testing.T) {
	for l := range languages {
		if got := orderLanguage(l.String()); got != l {
			t.Errorf("%s becomes %s", l, got)
		}
	}
}
