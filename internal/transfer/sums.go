package transfer

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-checkout/checkout/internal/store"
)

// Kinds of things in a store, in the order in which they are told.
const (
	kindOrders     = "orders" // with lines, buyer and next question
	kindPayments   = "payments"
	kindHistory    = "history"
	kindEvents     = "events"
	kindDeliveries = "deliveries"
	kindAttempts   = "attempts"
	kindOrphans    = "orphans"
	kindBalances   = "balances" // with when each was last asked for
)

// Kinds are the keys of [Sums], in the order in which people want them.
var Kinds = []string{
	kindOrders, kindPayments, kindHistory, kindEvents, kindDeliveries, kindAttempts, kindOrphans, kindBalances,
}

// Sums are what a store holds, by kind.
type Sums map[string]Sum

// Sum is how many things there are of a kind, and a hash over all of them.
type Sum struct {
	Count int    `json:"count"`
	Hash  []byte `json:"hash"` // SHA-256; nil for none
}

// differences says in which kinds two stores differ, and is empty if in none.
func (s Sums) differences(other Sums) string {
	var list []string
	for _, k := range Kinds {
		switch a, b := s[k], other[k]; {
		case a.Count != b.Count:
			list = append(list, fmt.Sprintf("%d %s were copied and there are %d", a.Count, k, b.Count))
		case !slices.Equal(a.Hash, b.Hash):
			list = append(list, k+" differ in what they say")
		}
	}
	return strings.Join(list, "; ")
}

// add counts what is in b.
func (s Sums) add(b store.Batch) error {
	for i := range b.Records {
		if err := s.addRecord(&b.Records[i]); err != nil {
			return err
		}
	}
	for _, o := range b.Orphans {
		if err := s.addThing(kindOrphans, "", o); err != nil {
			return err
		}
	}
	for _, q := range b.Questions {
		if err := s.addThing(kindBalances, q.Merchant, q); err != nil {
			return err
		}
	}
	return nil
}

func (s Sums) addRecord(r *store.Record) error {
	o := r.Order
	o.Payments, o.History = nil, nil
	if err := s.addThing(kindOrders, o.ID, []any{o, r.NextQuery}); err != nil {
		return err
	}
	for _, p := range r.Order.Payments {
		if err := s.addThing(kindPayments, o.ID, p); err != nil {
			return err
		}
	}
	for _, e := range r.Order.History {
		if err := s.addThing(kindHistory, o.ID, e); err != nil {
			return err
		}
	}
	for _, e := range r.Events {
		if err := s.addThing(kindEvents, o.ID, e); err != nil {
			return err
		}
	}
	for _, d := range r.Deliveries {
		log := d.Log
		d.Log = nil
		if err := s.addThing(kindDeliveries, o.ID, d); err != nil {
			return err
		}
		for _, a := range log {
			if err := s.addThing(kindAttempts, d.ID, a); err != nil {
				return err
			}
		}
	}
	return nil
}

// addThing counts a thing and hashes it, with what it belongs to, behind those
// before it.
func (s Sums) addThing(kind, of string, thing any) error {
	text, err := json.Marshal(thing)
	if err != nil {
		return fmt.Errorf("hashing %s of %s: %w", kind, of, err)
	}
	sum := s[kind]
	h := sha256.New()
	h.Write(sum.Hash)
	fmt.Fprintf(h, "%d %s ", len(of), of)
	h.Write(text)
	s[kind] = Sum{sum.Count + 1, h.Sum(nil)}
	return nil
}
