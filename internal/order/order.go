// Package order holds what an order is: its lines, its money, its states and
// the ways between them. It knows neither store nor gateway.
package order

import (
	"crypto/rand"
	"encoding/binary"
	"time"
)

// Limits of one order. They keep ordername, paymoney and the review page
// within their bounds.
const (
	MaxQty   = 999 // of one line
	MaxLines = 50
)

// Order is one purchase. A stored order always has an ID, a Shop, at least one
// Line and a Total that is the sum of its lines.
type Order struct {
	ID        string    `json:"id"`       // ULID form, 26 characters
	Shop      string    `json:"shop"`     // identity of the checkout block it belongs to
	State     State     `json:"state"`    // where it stands
	Late      bool      `json:"late"`     // paid after it had expired
	Lines     []Line    `json:"lines"`    // what was bought
	Total     Money     `json:"total"`    // what is to be paid
	Title     string    `json:"title"`    // ordername as signed
	Buyer     Buyer     `json:"buyer"`    // what the buyer told
	OrderUID  string    `json:"orderuid"` // buyer id sent to the gateway, may be empty
	Language  string    `json:"language"` // of the buyer's page: "zh" or "en"
	Client    string    `json:"client"`   // network address of the buyer, as limits count it
	Test      bool      `json:"test"`     // made against a sandbox gateway
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
	PaidAt    time.Time `json:"paid_at,omitzero"`

	// Note says, for the merchant, why the order is in review or what
	// happened after it was paid (a second payment). Empty for most.
	Note string `json:"note,omitempty"`

	// What the merchant did with a paid order. Zero: not yet.
	ShippedAt  time.Time `json:"shipped_at,omitzero"`
	RefundedAt time.Time `json:"refunded_at,omitzero"`

	// The last question to the gateway about this order. AskedAt is set when
	// the right to ask is claimed, AnsweredAt and Answer ("-2", "-1", "0" or
	// "1") when a usable reply came.
	AskedAt    time.Time `json:"asked_at,omitzero"`
	AnsweredAt time.Time `json:"answered_at,omitzero"`
	Answer     string    `json:"answer,omitempty"`

	Payments []Payment `json:"payments,omitempty"` // oldest first
	History  []Entry   `json:"history,omitempty"`  // oldest first; only where asked for
}

// Line is one product of an order, with the price at that time.
type Line struct {
	SKU   string `json:"sku"`
	Name  string `json:"name"`
	Price Money  `json:"price"` // of one
	Qty   int    `json:"qty"`
}

// Sum is the price of the whole line. Lines are bounded when they are made, so
// it cannot overflow.
func (l Line) Sum() Money { return l.Price * Money(l.Qty) }

// Buyer is what the buyer filled in. Fields that the shop does not ask for are
// empty.
type Buyer struct {
	Name    string `json:"name,omitempty"`
	Email   string `json:"email,omitempty"`
	Tel     string `json:"tel,omitempty"`
	Address string `json:"address,omitempty"`
	Note    string `json:"note,omitempty"`
}

// Field returns the place of the buyer field of that name: "name", "email",
// "tel", "address" or "note"; nil for any other.
func (b *Buyer) Field(name string) *string {
	switch name {
	case "name":
		return &b.Name
	case "email":
		return &b.Email
	case "tel":
		return &b.Tel
	case "address":
		return &b.Address
	case "note":
		return &b.Note
	}
	return nil
}

// Payment is a payment of the gateway that was verified: by the key of a
// notify, or by the gateway's own answer.
type Payment struct {
	PayID    string    `json:"payid"`    // the gateway's id; empty if a status reply had none
	PayMoney string    `json:"paymoney"` // as the gateway wrote it
	RealPay  string    `json:"realpay"`  // as the gateway wrote it
	Source   string    `json:"source"`   // SourceNotify or SourceQuery
	Verdict  string    `json:"verdict"`  // "paid", "late", "mismatch", "second", "reused"
	At       time.Time `json:"at"`
}

// Sources of a payment and of a history entry.
const (
	SourceNotify = "notify"
	SourceQuery  = "query"
	SourceClock  = "clock"
	SourceBuyer  = "buyer"
)

// Entry is one thing that happened to an order. Who is one of the sources
// above, or the name of the person at the merchant's who did it.
type Entry struct {
	At     time.Time `json:"at"`
	Who    string    `json:"who"`
	What   string    `json:"what"`             // "created", "paid", "expired", "review", "confirmed", "shipped", "refunded", "second_payment", …
	Reason string    `json:"reason,omitempty"` // a person's words or the cause
}

const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// NewID makes an order id in ULID form: 48 bits of Unix milliseconds and 80
// bits of crypto/rand.
func NewID(now time.Time) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli())<<16)
	rand.Read(b[6:]) // never fails, crypto/rand's promise
	var id [26]byte
	hi, lo := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	for i := len(id) - 1; i >= 0; i-- {
		id[i] = crockford[lo&31]
		lo = lo>>5 | hi<<59
		hi >>= 5
	}
	return string(id[:])
}

// ValidID reports whether id has the form that [NewID] makes. It says nothing
// of whether such an order exists.
func ValidID(id string) bool {
	if len(id) != 26 || id[0] > '7' {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if c < '0' || c > 'Z' || (c > '9' && c < 'A') || c == 'I' || c == 'L' || c == 'O' || c == 'U' {
			return false
		}
	}
	return true
}
