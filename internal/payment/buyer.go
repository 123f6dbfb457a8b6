package payment

import (
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-checkout/checkout/internal/order"
)

// BuyerField is a field of the order form.
type BuyerField struct {
	Name     string // "name", "email", "tel", "address" or "note"
	Required bool
}

// BuyerFields are the names that a BuyerField may have, and the most
// characters that each holds.
var BuyerFields = map[string]int{
	"name":    100,
	"email":   254,
	"tel":     32,
	"address": 500,
	"note":    1000,
}

// Problems of a buyer field.
const (
	FieldMissing       = "missing"
	FieldTooLong       = "too_long"
	FieldBadEmail      = "bad_email"
	FieldBadTel        = "bad_tel"
	FieldBadCharacters = "bad_characters"
)

// FieldError says what is wrong with buyer fields: name to problem.
type FieldError map[string]string

func (FieldError) Error() string { return "buyer fields are missing or wrong" }

// checkBuyer returns the fields of b that the shop asks for, trimmed, or a
// FieldError. Fields that it does not ask for are dropped.
func checkBuyer(fields []BuyerField, b order.Buyer) (order.Buyer, error) {
	var kept order.Buyer
	wrong := make(FieldError)
	for _, f := range fields {
		value := strings.TrimSpace(strings.ReplaceAll(*b.Field(f.Name), "\r\n", "\n"))
		if problem := fieldProblem(f, value); problem != "" {
			wrong[f.Name] = problem
			continue
		}
		*kept.Field(f.Name) = value
	}
	if len(wrong) > 0 {
		return order.Buyer{}, wrong
	}
	return kept, nil
}

func fieldProblem(f BuyerField, value string) string {
	if value == "" {
		if f.Required {
			return FieldMissing
		}
		return ""
	}
	if !utf8.ValidString(value) {
		return FieldBadCharacters
	}
	if utf8.RuneCountInString(value) > BuyerFields[f.Name] {
		return FieldTooLong
	}
	multiline := f.Name == "address" || f.Name == "note"
	for _, r := range value {
		if unicode.IsControl(r) && (r != '\n' || !multiline) {
			return FieldBadCharacters
		}
	}
	switch f.Name {
	case "email":
		a, err := mail.ParseAddress(value)
		if err != nil || a.Address != value || !strings.Contains(value, "@") || strings.ContainsAny(value, "\"<> ") {
			return FieldBadEmail
		}
	case "tel":
		digits := 0
		for _, r := range value {
			switch {
			case r >= '0' && r <= '9':
				digits++
			case !strings.ContainsRune("+-() ./#*x", r):
				return FieldBadTel
			}
		}
		if digits < 3 {
			return FieldBadTel
		}
	}
	return ""
}
