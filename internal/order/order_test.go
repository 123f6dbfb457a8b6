package order

import (
	"testing"
	"time"
)

// TestNext holds every state and event to where they lead. What is not listed
// leaves the state as it is.
func TestNext(t *testing.T) {
	ways := map[State]map[Event]State{
		Pending: {
			PaymentMatched: Paid, PaymentMismatched: Review, SecondPayment: Review,
			TimedOutWithMoney: Review, TimedOut: Expired, ExpiryReached: Expired,
		},
		Expired: {
			PaymentMatched: Paid, PaymentMismatched: Review, SecondPayment: Review, TimedOutWithMoney: Review,
		},
		Review: {MerchantConfirmed: Paid},
		Paid:   {},
	}
	for _, s := range States {
		for _, e := range Events {
			want, ok := ways[s][e]
			if !ok {
				want = s
			}
			if got := s.Next(e); got != want {
				t.Errorf("%v on %v leads to %v, want %v", s, e, got, want)
			}
		}
	}
	if len(States) != len(stateNames) || len(Events) != len(eventNames) {
		t.Error("a state or an event is not in the list of all")
	}
}

func TestStateText(t *testing.T) {
	for _, s := range States {
		text, err := s.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back State
		if err := back.UnmarshalText(text); err != nil || back != s {
			t.Errorf("%q read back as %v, %v", text, back, err)
		}
	}
	for _, bad := range []string{"", "Paid", "done", "0"} {
		if s, err := ParseState(bad); err == nil {
			t.Errorf("ParseState(%q) = %v", bad, s)
		}
	}
	if State(9).String() != "State(9)" || Event(99).String() != "Event(99)" {
		t.Error("unknown numbers have no name of their own")
	}
}

func TestNewID(t *testing.T) {
	// The first ten characters are the time: this one is 2016-07-30T23:54:10.259Z,
	// the example of the ULID specification.
	at := time.UnixMilli(1469922850259)
	seen := make(map[string]bool)
	for range 10_000 {
		id := NewID(at)
		if !ValidID(id) || id[:10] != "01ARZ3NDEK" || seen[id] {
			t.Fatalf("id %q", id)
		}
		seen[id] = true
	}
	if a, b := NewID(at), NewID(at.Add(time.Millisecond)); a >= b {
		t.Errorf("%q does not sort before the later %q", a, b)
	}
	// Every one of the 16 random characters takes many values.
	for i := 10; i < 26; i++ {
		values := make(map[byte]bool)
		for id := range seen {
			values[id[i]] = true
		}
		if len(values) != 32 {
			t.Errorf("character %d takes %d values", i, len(values))
		}
	}
}

func TestValidID(t *testing.T) {
	for _, bad := range []string{
		"", "1", "01ARZ3NDEKTSV4RRFFQ69G5FA", "01ARZ3NDEKTSV4RRFFQ69G5FAVV", "01arz3ndektsv4rrffq69g5fav",
		"01ARZ3NDEKTSV4RRFFQ69G5FAI", "01ARZ3NDEKTSV4RRFFQ69G5FAL", "01ARZ3NDEKTSV4RRFFQ69G5FAO", "01ARZ3NDEKTSV4RRFFQ69G5FAU",
		"81ARZ3NDEKTSV4RRFFQ69G5FAV", "01ARZ3NDEKTSV4RRFFQ69G5F V", "01ARZ3NDEKTSV4RRFFQ69G5F&V", "01ARZ3NDEKTSV4RRFFQ69G5F\x00V",
	} {
		if ValidID(bad) {
			t.Errorf("ValidID(%q)", bad)
		}
	}
	if !ValidID("01ARZ3NDEKTSV4RRFFQ69G5FAV") {
		t.Error("the specification's example is not valid")
	}
}

func TestBuyerField(t *testing.T) {
	var b Buyer
	for _, name := range []string{"name", "email", "tel", "address", "note"} {
		*b.Field(name) = name
	}
	if b != (Buyer{"name", "email", "tel", "address", "note"}) {
		t.Errorf("%+v", b)
	}
	if b.Field("price") != nil {
		t.Error("an unknown field has a place")
	}
}
