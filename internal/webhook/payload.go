package webhook

import (
	"encoding/json"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
)

// Types of events.
const (
	TypePaid          = "checkout.paid"           // paid; Data.Late if it had expired before
	TypeReview        = "checkout.review"         // money may have arrived that does not fit; Data.Note says why
	TypeExpired       = "checkout.expired"        // not paid in time
	TypeSecondPayment = "checkout.second_payment" // another payment for an order that is paid already
)

// Event is what a webhook receives, as JSON.
type Event struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"` // when it happened: RFC 3339, UTC
	Data      Data      `json:"data"`
}

// Data is the order as it stood after the event. Money is in yuan, as a string
// with two decimals.
type Data struct {
	ID        string      `json:"id"`
	Shop      string      `json:"shop"`
	State     order.State `json:"state"` // "paid", "review" or "expired"
	Late      bool        `json:"late"`
	Test      bool        `json:"test"` // made against a sandbox gateway: deliver nothing
	Total     order.Money `json:"total"`
	Lines     []Line      `json:"lines"`
	Buyer     order.Buyer `json:"buyer"`
	OrderUID  string      `json:"orderuid,omitempty"`
	Language  string      `json:"language"` // of the buyer: "zh" or "en"
	PayID     string      `json:"payid,omitempty"`
	RealPay   string      `json:"realpay,omitempty"`
	Note      string      `json:"note,omitempty"`
	CreatedAt time.Time   `json:"created_at"`
	PaidAt    time.Time   `json:"paid_at,omitzero"`
}

// Line is one product of the order.
type Line struct {
	SKU   string      `json:"sku"`
	Name  string      `json:"name"`
	Price order.Money `json:"price"` // of one
	Qty   int         `json:"qty"`
}

// Payload is the JSON of an [Event]. o is the order as it stands after the
// change, with the payment that caused it among its payments.
func Payload(eventType string, o *order.Order, at time.Time) []byte {
	e := Event{Type: eventType, Timestamp: utc(at), Data: Data{
		ID: o.ID, Shop: o.Shop, State: o.State, Late: o.Late, Test: o.Test,
		Total: o.Total, Lines: make([]Line, len(o.Lines)), Buyer: o.Buyer,
		OrderUID: o.OrderUID, Language: o.Language, Note: o.Note,
		CreatedAt: utc(o.CreatedAt), PaidAt: utc(o.PaidAt),
	}}
	for i, l := range o.Lines {
		e.Data.Lines[i] = Line(l)
	}
	if p := paymentOf(eventType, o); p != nil {
		e.Data.PayID, e.Data.RealPay = p.PayID, p.RealPay
	}
	b, _ := json.Marshal(e) // fails only on a year past 9999
	return b
}

// paymentOf is the payment that the event tells of: the one that paid the
// order, and for other events, or an order that the merchant confirmed, the
// last.
func paymentOf(eventType string, o *order.Order) *order.Payment {
	if len(o.Payments) == 0 {
		return nil
	}
	if eventType == TypePaid {
		for i := range o.Payments {
			if v := o.Payments[i].Verdict; v == "paid" || v == "late" {
				return &o.Payments[i]
			}
		}
	}
	return &o.Payments[len(o.Payments)-1]
}

// utc is t as stores keep it, to the millisecond.
func utc(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
