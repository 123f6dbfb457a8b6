package payment

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/internal/gateway"
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func mug(state order.State, payments ...order.Payment) order.Order {
	return order.Order{
		ID: "01HZX0000000000000000000A1", Shop: "shop", State: state, Total: 3900,
		Lines:     []order.Line{{SKU: "mug", Name: "Coffee mug", Price: 3900, Qty: 1}},
		CreatedAt: noon.Add(-time.Minute), ExpiresAt: noon.Add(time.Hour), Payments: payments,
	}
}

func payment(payid, paymoney, realpay string) order.Payment {
	return order.Payment{PayID: payid, PayMoney: paymoney, RealPay: realpay, Source: order.SourceNotify, At: noon}
}

func TestSettle(t *testing.T) {
	full := payment("P1", "39.00", "39.00")
	for name, c := range map[string]struct {
		before  order.Order
		payidOf string
		pay     order.Payment
		state   order.State
		verdict Verdict
		event   string // "": nothing is told
		kept    string // verdict kept with the payment; "": not added
		late    bool
	}{
		"pending, fits":                       {before: mug(order.Pending), pay: full, state: order.Paid, verdict: NotifyPaid, event: EventPaid, kept: "paid"},
		"expired, fits":                       {before: mug(order.Expired), pay: full, state: order.Paid, verdict: NotifyLate, event: EventPaid, kept: "late", late: true},
		"review, fits":                        {before: mug(order.Review), pay: full, state: order.Review, verdict: NotifyReview, event: EventReview, kept: "paid"},
		"confirmed without payment, fits":     {before: mug(order.Paid), pay: full, state: order.Paid, verdict: NotifyDuplicate, kept: "paid"},
		"paid, again":                         {before: mug(order.Paid, full), pay: full, state: order.Paid, verdict: NotifyDuplicate},
		"paid, second payid":                  {before: mug(order.Paid, full), pay: payment("P2", "39.00", "39.00"), state: order.Paid, verdict: NotifySecond, event: EventSecond, kept: "second"},
		"paid, second payid of less":          {before: mug(order.Paid, full), pay: payment("P2", "39.00", "0.01"), state: order.Paid, verdict: NotifySecond, event: EventSecond, kept: "second"},
		"paid, same payid, other amount":      {before: mug(order.Paid, full), pay: payment("P1", "39.00", "0.01"), state: order.Paid, verdict: NotifySecond, event: EventSecond},
		"pending, realpay too little":         {before: mug(order.Pending), pay: payment("P1", "39.00", "0.01"), state: order.Review, verdict: NotifyReview, event: EventReview, kept: "mismatch"},
		"pending, realpay too much":           {before: mug(order.Pending), pay: payment("P1", "39.00", "39.01"), state: order.Review, verdict: NotifyReview, event: EventReview, kept: "mismatch"},
		"pending, paymoney differs":           {before: mug(order.Pending), pay: payment("P1", "0.01", "39.00"), state: order.Review, verdict: NotifyReview, event: EventReview, kept: "mismatch"},
		"pending, no decimals":                {before: mug(order.Pending), pay: payment("P1", "39.00", "39"), state: order.Review, verdict: NotifyReview, event: EventReview, kept: "mismatch"},
		"pending, three decimals":             {before: mug(order.Pending), pay: payment("P1", "39.000", "39.000"), state: order.Review, verdict: NotifyReview, event: EventReview, kept: "mismatch"},
		"pending, full-width digit":           {before: mug(order.Pending), pay: payment("P1", "3９.00", "3９.00"), state: order.Review, verdict: NotifyReview, event: EventReview, kept: "mismatch"},
		"pending, no realpay":                 {before: mug(order.Pending), pay: payment("P1", "39.00", ""), state: order.Review, verdict: NotifyReview, event: EventReview, kept: "mismatch"},
		"expired, too little":                 {before: mug(order.Expired), pay: payment("P1", "39.00", "0.01"), state: order.Review, verdict: NotifyReview, event: EventReview, kept: "mismatch"},
		"pending, payid of another order":     {before: mug(order.Pending), payidOf: "other", pay: full, state: order.Review, verdict: NotifyReview, event: EventReview},
		"review, mismatch again":              {before: mug(order.Review, payment("P1", "39.00", "0.01")), pay: payment("P1", "39.00", "0.01"), state: order.Review, verdict: NotifyDuplicate},
		"review, right amounts, same payid":   {before: mug(order.Review, payment("P1", "39.00", "0.01")), pay: full, state: order.Review, verdict: NotifyReview, event: EventReview},
		"review, right amounts, other payid":  {before: mug(order.Review, payment("P1", "39.00", "0.01")), pay: payment("P2", "39.00", "39.00"), state: order.Review, verdict: NotifyReview, event: EventReview, kept: "second"},
		"paid by a query without payid":       {before: mug(order.Paid, payment("", "39.00", "39.00")), pay: full, state: order.Paid, verdict: NotifyDuplicate, kept: "adopted"},
		"paid without payid, another's payid": {before: mug(order.Paid, payment("", "39.00", "39.00")), payidOf: "other", pay: full, state: order.Paid, verdict: NotifySecond, event: EventSecond},
		"paid, then a query without payid":    {before: mug(order.Paid, full), pay: payment("", "39.00", "39.00"), state: order.Paid, verdict: NotifyDuplicate},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, nil)
			ch, out := s.settle(store.Subject{Order: c.before, PayidOf: c.payidOf}, c.pay)
			if out.verdict != c.verdict {
				t.Errorf("verdict %q, want %q", out.verdict, c.verdict)
			}
			after := c.before
			event, kept := "", ""
			if ch != nil {
				after = ch.Order
				if len(ch.Events) > 0 {
					event = ch.Events[0].Type
				}
				switch {
				case ch.AdoptID:
					kept = "adopted"
				case ch.Payment != nil:
					kept = ch.Payment.Verdict
				}
			}
			if after.State != c.state || after.Late != c.late {
				t.Errorf("state %v late %v, want %v %v", after.State, after.Late, c.state, c.late)
			}
			if event != c.event {
				t.Errorf("event %q, want %q", event, c.event)
			}
			if kept != c.kept {
				t.Errorf("payment kept as %q, want %q", kept, c.kept)
			}
			if (after.State == order.Paid && c.before.State != order.Paid) != (event == EventPaid) {
				t.Error("a paid transition and its event must come together")
			}
		})
	}
}

// TestSettleTwice applies what settle wrote a second time: nothing happens.
func TestSettleTwice(t *testing.T) {
	s := newService(t, nil)
	for _, before := range []order.Order{
		mug(order.Pending), mug(order.Expired), mug(order.Review), mug(order.Paid),
		mug(order.Paid, payment("P0", "39.00", "39.00")), mug(order.Review, payment("P0", "39.00", "1.00")),
	} {
		for _, p := range []order.Payment{payment("P1", "39.00", "39.00"), payment("P1", "39.00", "0.01"), payment("P0", "39.00", "2.00"), payment("", "39.00", "39.00")} {
			for _, payidOf := range []string{"", "other"} {
				c, _ := s.settle(store.Subject{Order: before, PayidOf: payidOf}, p)
				if c == nil {
					continue
				}
				after := c.Order
				if c.Payment != nil && !c.AdoptID {
					after.Payments = append(append([]order.Payment(nil), before.Payments...), *c.Payment)
				}
				again, out := s.settle(store.Subject{Order: after, PayidOf: payidOf}, p)
				if again != nil || out.verdict != NotifyDuplicate {
					t.Errorf("%v with %d payments, payid %q realpay %s (of another: %q): the repeat changes something: %+v %+v",
						before.State, len(before.Payments), p.PayID, p.RealPay, payidOf, again, out)
				}
			}
		}
	}
}

func TestAnswer(t *testing.T) {
	paidReply := gateway.StatusReply{PayID: "P1", PayMoney: "39.00", RealPay: "39.00", Status: "0"}
	with := func(r gateway.StatusReply, set func(*gateway.StatusReply)) gateway.StatusReply { set(&r); return r }
	old := func(o order.Order) order.Order { o.ExpiresAt = noon.Add(-time.Second); return o }
	for name, c := range map[string]struct {
		before order.Order
		reply  gateway.StatusReply
		state  order.State
		event  string
	}{
		"waiting":                     {mug(order.Pending), gateway.StatusReply{Status: "-1"}, order.Pending, ""},
		"waiting, time is over":       {old(mug(order.Pending)), gateway.StatusReply{Status: "-1"}, order.Expired, EventExpired},
		"query error, time is over":   {old(mug(order.Pending)), gateway.StatusReply{Status: "-2"}, order.Expired, EventExpired},
		"query error":                 {mug(order.Pending), gateway.StatusReply{Status: "-2"}, order.Pending, ""},
		"paid":                        {mug(order.Pending), paidReply, order.Paid, EventPaid},
		"paid, time is over":          {old(mug(order.Pending)), paidReply, order.Paid, EventPaid},
		"paid after expiry":           {old(mug(order.Expired)), paidReply, order.Paid, EventPaid},
		"paid, other amount":          {mug(order.Pending), with(paidReply, func(r *gateway.StatusReply) { r.RealPay = "0.01" }), order.Review, EventReview},
		"timed out":                   {mug(order.Pending), gateway.StatusReply{Status: "1", PayMoney: "39.00"}, order.Expired, EventExpired},
		"timed out, realpay zero":     {mug(order.Pending), gateway.StatusReply{Status: "1", RealPay: "0.00"}, order.Expired, EventExpired},
		"timed out with money":        {mug(order.Pending), with(paidReply, func(r *gateway.StatusReply) { r.Status = "1" }), order.Review, EventReview},
		"timed out with strange text": {mug(order.Pending), gateway.StatusReply{Status: "1", RealPay: "x"}, order.Review, EventReview},
		"expired, timed out":          {mug(order.Expired), gateway.StatusReply{Status: "1"}, order.Expired, ""},
		"expired with money":          {mug(order.Expired), with(paidReply, func(r *gateway.StatusReply) { r.Status = "1" }), order.Review, EventReview},
		"paid, told timed out":        {mug(order.Paid, payment("P1", "39.00", "39.00")), with(paidReply, func(r *gateway.StatusReply) { r.Status = "1" }), order.Paid, ""},
		"paid, told waiting":          {mug(order.Paid), gateway.StatusReply{Status: "-1"}, order.Paid, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, nil)
			s.c.Now = func() time.Time { return noon }
			ch, _ := s.answer(store.Subject{Order: c.before}, c.reply, true)
			event := ""
			if len(ch.Events) > 0 {
				event = ch.Events[0].Type
			}
			if ch.Order.State != c.state || event != c.event {
				t.Errorf("state %v event %q, want %v %q", ch.Order.State, event, c.state, c.event)
			}
			if ch.Order.Answer != c.reply.Status || !ch.Order.AnsweredAt.Equal(noon) {
				t.Errorf("answer kept as %q at %v", ch.Order.Answer, ch.Order.AnsweredAt)
			}
		})
	}
}

func TestCheckBuyer(t *testing.T) {
	fields := []BuyerField{{"email", true}, {"name", false}, {"tel", false}, {"address", false}, {"note", false}}
	for name, c := range map[string]struct {
		buyer order.Buyer
		field string
		want  string
	}{
		"fine":              {order.Buyer{Email: "a@b.cn", Name: "王小明", Tel: "+86 138-0013-8000", Note: "two\r\nlines"}, "email", ""},
		"missing":           {order.Buyer{Email: "  "}, "email", FieldMissing},
		"no at":             {order.Buyer{Email: "a.b.cn"}, "email", FieldBadEmail},
		"with a name":       {order.Buyer{Email: "A <a@b.cn>"}, "email", FieldBadEmail},
		"header injection":  {order.Buyer{Email: "a@b.cn\nBcc: x@y.z"}, "email", FieldBadCharacters},
		"two":               {order.Buyer{Email: "a@b.cn,c@d.cn"}, "email", FieldBadEmail},
		"long email":        {order.Buyer{Email: strings.Repeat("a", 250) + "@b.cn"}, "email", FieldTooLong},
		"letters in tel":    {order.Buyer{Email: "a@b.cn", Tel: "call me"}, "tel", FieldBadTel},
		"newline in name":   {order.Buyer{Email: "a@b.cn", Name: "a\nb"}, "name", FieldBadCharacters},
		"NUL in note":       {order.Buyer{Email: "a@b.cn", Note: "a\x00b"}, "note", FieldBadCharacters},
		"not UTF-8":         {order.Buyer{Email: "a@b.cn", Address: "\xc4\xe3"}, "address", FieldBadCharacters},
		"long Chinese note": {order.Buyer{Email: "a@b.cn", Note: strings.Repeat("请", 1001)}, "note", FieldTooLong},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := checkBuyer(fields, c.buyer)
			var wrong FieldError
			errors.As(err, &wrong)
			if wrong[c.field] != c.want || (c.want == "") != (err == nil) {
				t.Errorf("%v: %q, want %q", err, wrong[c.field], c.want)
			}
		})
	}
	kept, err := checkBuyer(fields[:1], order.Buyer{Email: " a@b.cn ", Note: "not asked for"})
	if err != nil || kept != (order.Buyer{Email: "a@b.cn"}) {
		t.Errorf("kept %+v, %v", kept, err)
	}
}
