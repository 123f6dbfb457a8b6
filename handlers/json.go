package handlers

import (
	"encoding/json"
	"net/http"
	"unicode/utf8"
)

// appendString appends s as a JSON string. Most strings are plain ASCII and
// need no more than quotes.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			quoted, _ := json.Marshal(s) // a string cannot fail
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func writeJSON(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	send(w, r, status, "application/json", body)
}
