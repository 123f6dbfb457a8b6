package order

import "fmt"

// State is where an order stands. The numbers are stored; never renumber them.
type State uint8

// The states of an order.
const (
	Pending State = iota // waiting for the buyer to pay
	Paid                 // paid in full, by one verified payment; final
	Expired              // never paid in time; a late payment still pays it
	Review               // money may have arrived that does not fit; a person decides
)

var stateNames = [...]string{"pending", "paid", "expired", "review"}

// States are all states, in the order of their numbers.
var States = []State{Pending, Paid, Expired, Review}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// ParseState is the inverse of [State.String].
func ParseState(name string) (State, error) {
	for i, n := range stateNames {
		if n == name {
			return State(i), nil
		}
	}
	return 0, fmt.Errorf("unknown order state %q: use pending, paid, expired or review", name)
}

// MarshalText writes the state's name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText parses the state's name.
func (s *State) UnmarshalText(text []byte) error {
	v, err := ParseState(string(text))
	if err != nil {
		return err
	}
	*s = v
	return nil
}

// Event is what may move an order from one state to another.
type Event uint8

// The events of an order.
const (
	// PaymentMatched: a verified notify or a status reply 0, both amounts
	// equal to the order's, and the first payment of this order.
	PaymentMatched Event = iota
	// PaymentMismatched: verified, but an amount differs, or its payid
	// belongs to another order.
	PaymentMismatched
	// SecondPayment: verified, but the order holds another payment already.
	SecondPayment
	// TimedOut: the gateway's status 1 without a realpay.
	TimedOut
	// TimedOutWithMoney: the gateway's status 1 with a realpay.
	TimedOutWithMoney
	// ExpiryReached: the order was not paid within its time, and the gateway
	// knows of no payment either.
	ExpiryReached
	// MerchantConfirmed: the merchant saw the money and takes the order as paid.
	MerchantConfirmed
)

var eventNames = [...]string{
	"payment_matched", "payment_mismatched", "second_payment", "timed_out",
	"timed_out_with_money", "expiry_reached", "merchant_confirmed",
}

func (e Event) String() string {
	if int(e) < len(eventNames) {
		return eventNames[e]
	}
	return fmt.Sprintf("Event(%d)", uint8(e))
}

// Events are all events, in the order of their numbers.
var Events = []Event{
	PaymentMatched, PaymentMismatched, SecondPayment, TimedOut,
	TimedOutWithMoney, ExpiryReached, MerchantConfirmed,
}

// Next returns the state that e leads to from s. A state without a way for e
// is returned unchanged. Paid is final: nothing leads out of it. Review ends
// by the merchant's word alone.
func (s State) Next(e Event) State {
	switch s {
	case Pending:
		switch e {
		case PaymentMatched:
			return Paid
		case PaymentMismatched, SecondPayment, TimedOutWithMoney:
			return Review
		case TimedOut, ExpiryReached:
			return Expired
		}
	case Expired:
		switch e {
		case PaymentMatched:
			return Paid
		case PaymentMismatched, SecondPayment, TimedOutWithMoney:
			return Review
		}
	case Review:
		if e == MerchantConfirmed {
			return Paid
		}
	}
	return s
}
