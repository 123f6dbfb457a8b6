package sandbox

import (
	"reflect"
	"regexp"
	"slices"
	"testing"
)

func TestEveryTextInEveryLanguage(t *testing.T) {
	for _, texts := range allTexts {
		v := reflect.ValueOf(texts)
		for i := range v.NumField() {
			if v.Field(i).Len() == 0 {
				t.Errorf("%s: no %s", texts.Lang, v.Type().Field(i).Name)
			}
		}
		if len(texts.kinds) != 5 || len(texts.states) != 4 || len(texts.excuses) != 4 {
			t.Errorf("%s: %d kinds, %d states", texts.Lang, len(texts.kinds), len(texts.states))
		}
	}
	verb := regexp.MustCompile(`%[a-z]`)
	for code, r := range reasons {
		en, zh := verb.FindAllString(r[english], -1), verb.FindAllString(r[chinese], -1)
		if r[english] == "" || r[chinese] == "" || !slices.Equal(en, zh) {
			t.Errorf("%s: %q, %q", code, r[english], r[chinese])
		}
	}
}
