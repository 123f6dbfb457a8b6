package handlers

import (
	"net/http"
	"testing"
)

func TestWantsJSON(t *testing.T) {
	for accept, want := range map[string]bool{
		"":                                  false,
		"*/*":                               false,
		"application/json":                  true,
		"Application/JSON; charset=utf-8":   true,
		"application/*":                     true,
		"application/json, text/plain, */*": true,
		"application/json, */*;q=0.5":       true,
		"text/html, application/json":       false,
		"text/html;q=0.5, application/json": true,
		"text/html, application/json;q=0.9": false,
		"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8": false,
		"application/json;q=0":              false,
		"application/json;q=2":              false,
		"application/json;q=NaN":            false,
		"application/json;q=0, */*":         false,
		"*/*;q=0.1, application/json;q=0.2": true,
		"text/*, application/json;q=0.3":    false,
		"application/jsonx":                 false,
		";;,,;q=":                           false,
	} {
		r := &http.Request{Header: http.Header{"Accept": {accept}}}
		if got := wantsJSON(r); got != want {
			t.Errorf("%q: %v, want %v", accept, got, want)
		}
	}
}

func TestLanguageOf(t *testing.T) {
	for accept, want := range map[string]language{
		"":                         english,
		"zh-CN,zh;q=0.9,en;q=0.8":  chinese,
		"en-US,en;q=0.9,zh;q=0.8":  english,
		"en;q=0.1, zh-Hant-TW":     chinese,
		"ZH":                       chinese,
		"fr-FR, fr;q=0.9":          english,
		"fr, zh;q=0.1":             chinese,
		"zh;q=0, en;q=0.5":         english,
		"zh;q=0":                   english,
		"zhx":                      english,
		"*":                        english,
		"zh;q=0.5;q=0.9, en;q=0.8": chinese,
	} {
		r := &http.Request{Header: http.Header{"Accept-Language": {accept}}}
		if got := languageOf(r, english); got != want {
			t.Errorf("%q: %v, want %v", accept, got, want)
		}
	}
	if got := languageOf(&http.Request{}, chinese); got != chinese {
		t.Errorf("no header: %v, want the fallback", got)
	}
}
