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
	At     int64  `json:"at"`
	Who    string `json:"who"`
	What   string `json:"what"`
	Reason string `json:"reason,omitempty"`
}

// encodeHistory writes entries so that others can be appended.
func encodeHistory(entries []order.Entry) (string, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b) // ends each with a line break
	for _, e := range entries {
		if err := enc.Encode(&entry{ms(e.At), e.Who, e.What, e.Reason}); err != nil {
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
		entries = append(entries, order.Entry{At: at(e.At), Who: e.Who, What: e.What, Reason: e.Reason})
	}
	return entries, nil
}

// paid is an order.Payment as it is kept.
type paid struct {
	PayID    string `json:"payid"`
	PayMoney string `json:"paymoney"`
	RealPay  string `json:"realpay"`
	Source   string `json:"source"`
	Verdict  string `json:"verdict"`
	At       int64  `json:"at"`
}

func encodePayments(payments []order.Payment) (string, error) {
	if len(payments) == 0 {
		return "[]", nil
	}
	kept := make([]paid, len(payments))
	for i, p := range payments {
		kept[i] = paid{p.PayID, p.PayMoney, p.RealPay, p.Source, p.Verdict, ms(p.At)}
	}
	text, err := json.Marshal(kept)
	return string(text), err
}

func decodePayments(text []byte) (payments []order.Payment, err error) {
	if string(text) == "[]" {
		return nil, nil
	}
	var kept []paid
	if err := json.Unmarshal(text, &kept); err != nil {
		return nil, err
	}
	for _, p := range kept {
		payments = append(payments, order.Payment{PayID: p.PayID, PayMoney: p.PayMoney, RealPay: p.RealPay, Source: p.Source, Verdict: p.Verdict, At: at(p.At)})
	}
	return payments, nil
}
