package backoffice

import (
	"fmt"
	"net/http"

	"golang.org/x/text/language"
)

// lang is a language of the pages, an index into messages.
type lang int

const (
	english lang = iota
	chinese
	languages // how many there are
)

var matcher = language.NewMatcher([]language.Tag{english: language.English, chinese: language.SimplifiedChinese})

func langOf(r *http.Request) lang {
	_, i := language.MatchStrings(matcher, r.Header.Get("Accept-Language"))
	return lang(i)
}

// text returns a message with its verbs filled in. An unknown key is an error,
// so that no page goes out half translated.
func (l lang) text(key string, args ...any) (string, error) {
	m, ok := messages[key]
	if !ok {
		return "", fmt.Errorf("no message %q", key)
	}
	if len(args) == 0 {
		return m[l], nil
	}
	return fmt.Sprintf(m[l], args...), nil
}

// say is text for keys that are part of the program.
func (l lang) say(key string, args ...any) string {
	s, err := l.text(key, args...)
	if err != nil {
		return key
	}
	return s
}
