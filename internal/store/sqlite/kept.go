package sqlite

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/caddy-checkout/checkout/internal/order"
)

// entry is an order.Entry as it is kept.
type entry struct {
	order.Entry
	At int64 `json:"at"`
}

// encodeHistory writes entries so that others can be appended.
func encodeHistory(entries []order.Entry) (string, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b) // ends each with a line break
	for _, e := range entries {
		if err := enc.Encode(&entry{e, ms(e.At)}); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

func decodeHistory(text []byte) (entries []order.Entry, err error) {
	for line := range bytes.Lines(text) {
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("history: %w", err)
		}
		e.Entry.At = at(e.At)
		entries = append(entries, e.Entry)
	}
	return entries, nil
}

// payment is an order.Payment as it is kept.
type payment struct {
	order.Payment
	At int64 `json:"at"`
}

const noPayments = "[]"

func encodePayments(payments []order.Payment) (string, error) {
	if len(payments) == 0 {
		return noPayments, nil
	}
	kept := make([]payment, len(payments))
	for i, p := range payments {
		kept[i] = payment{p, ms(p.At)}
	}
	text, err := json.Marshal(kept)
	return string(text), err
}

func decodePayments(text []byte) (payments []order.Payment, err error) {
	if string(text) == noPayments {
		return nil, nil
	}
	var kept []payment
	if err := json.Unmarshal(text, &kept); err != nil {
		return nil, err
	}
	for _, p := range kept {
		p.Payment.At = at(p.At)
		payments = append(payments, p.Payment)
	}
	return payments, nil
}
