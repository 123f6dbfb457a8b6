package webhook

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
)

// mug is a paid order of one mug and two spoons.
func mug() *order.Order {
	return &order.Order{
		ID: "01KJVKTCGRAP08KEP423A9MZJT", Shop: "uid@shop.example.com/checkout", State: order.Paid,
		Lines: []order.Line{{SKU: "mug", Name: "杯子", Price: 3900, Qty: 1}, {SKU: "spoon", Name: "Spoon", Price: 150, Qty: 2}},
		Total: 4200, Buyer: order.Buyer{Name: "李雷", Email: "lilei@example.com"}, Language: "zh", Client: "192.0.2.7",
		CreatedAt: epoch, PaidAt: epoch.Add(time.Minute),
		Payments: []order.Payment{
			{PayID: "P0", RealPay: "1.00", Verdict: "mismatch"},
			{PayID: "P1", RealPay: "42.00", Verdict: "paid"},
			{PayID: "P2", RealPay: "42.00", Verdict: "second"},
		},
	}
}

func TestPayload(t *testing.T) {
	at := time.Date(2026, 3, 4, 13, 7, 7, 123_456_789, time.FixedZone("CST", 8*3600))
	got := string(Payload(TypePaid, mug(), at))
	const want = `{"type":"checkout.paid","timestamp":"2026-03-04T05:07:07.123Z","data":{` +
		`"id":"01KJVKTCGRAP08KEP423A9MZJT","shop":"uid@shop.example.com/checkout","state":"paid","late":false,"test":false,` +
		`"total":"42.00","lines":[{"sku":"mug","name":"杯子","price":"39.00","qty":1},{"sku":"spoon","name":"Spoon","price":"1.50","qty":2}],` +
		`"buyer":{"name":"李雷","email":"lilei@example.com"},"language":"zh","payid":"P1","realpay":"42.00",` +
		`"created_at":"2026-03-04T05:06:07Z","paid_at":"2026-03-04T05:07:07Z"}}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestPayloadTellsOfThePaymentOfItsEvent(t *testing.T) {
	for _, tc := range []struct {
		typ, want string
		payments  int
	}{
		{TypePaid, "P1", 3},
		{TypePaid, "P0", 1}, // confirmed by the merchant
		{TypeSecondPayment, "P2", 3},
		{TypeReview, "P0", 1},
		{TypeExpired, "", 0},
	} {
		o := mug()
		o.Payments = o.Payments[:tc.payments]
		var e Event
		if err := json.Unmarshal(Payload(tc.typ, o, epoch), &e); err != nil {
			t.Fatal(err)
		}
		if e.Data.PayID != tc.want {
			t.Errorf("%s of %d payments tells of %q, want %q", tc.typ, tc.payments, e.Data.PayID, tc.want)
		}
	}
}
