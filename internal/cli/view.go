package cli

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-checkout/checkout/internal/merchant"
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// Columns of the terminal that long text is cut at.
const (
	maxTitle = 32
	maxBuyer = 24
	maxNote  = 48
)

func stateCell(s order.State) cell { return cell{s.String(), stateColour(s)} }

// marks are what else is to be known of an order beside its state.
func marks(o *order.Order) string {
	var m []string
	for _, mark := range []struct {
		name string
		set  bool
	}{
		{"test", o.Test}, {"late", o.Late},
		{"shipped", !o.ShippedAt.IsZero()}, {"refunded", !o.RefundedAt.IsZero()},
	} {
		if mark.set {
			m = append(m, mark.name)
		}
	}
	return strings.Join(m, ", ")
}

func (s *screen) orders(orders []order.Order) {
	if len(orders) == 0 {
		s.printf("No orders.\n")
		return
	}
	t := table{names: []string{"ORDER", "MADE", "STATE", ">YUAN", "TITLE", "BUYER", "NOTE"}}
	for i := range orders {
		o := &orders[i]
		buyer := cmp.Or(o.Buyer.Name, o.Buyer.Email, o.Buyer.Tel, o.OrderUID)
		note := strings.Join(strings.FieldsFunc(marks(o)+"\n"+o.Note, func(r rune) bool { return r == '\n' }), "; ")
		t.add(
			cell{text: o.ID}, cell{text: clock(o.CreatedAt)}, stateCell(o.State), cell{text: o.Total.String()},
			cell{text: shorten(clean(o.Title), maxTitle)}, cell{text: shorten(clean(buyer), maxBuyer)}, cell{text: shorten(clean(note), maxNote)},
		)
	}
	t.write(s)
}

// state writes an order in one line.
func (s *screen) state(o *order.Order) {
	line := o.ID + " is " + s.paint(o.State.String(), stateColour(o.State))
	if m := marks(o); m != "" {
		line += " (" + m + ")"
	}
	s.printf("%s, %s yuan\n", line, o.Total)
	if o.Note != "" {
		s.printf("Note: %s\n", clean(o.Note))
	}
}

// field writes a labelled value, if there is one. Its lines are kept apart.
func (s *screen) field(label, value, colour string) {
	for i, line := range strings.Split(value, "\n") {
		if value == "" {
			return
		}
		if i > 0 {
			label = ""
		}
		s.printf("%-10s %s\n", label, s.paint(clean(line), colour))
	}
}

func (s *screen) section(name string) { s.printf("\n%s\n", s.paint(name, bold)) }

func (s *screen) detail(d *merchant.Detail) {
	o := d.Order
	s.field("Order", o.ID, bold)
	s.field("Shop", o.Shop, "")
	s.field("State", o.State.String(), stateColour(o.State))
	s.field("", marks(o), "")
	s.field("Note", o.Note, red)
	s.field("Total", o.Total.String()+" yuan", "")
	s.field("Made", clock(o.CreatedAt), "")
	s.field("Paid", clock(o.PaidAt), "")
	if o.State == order.Pending {
		s.field("Expires", clock(o.ExpiresAt), "")
	}
	s.field("Asked", clock(o.AskedAt), "")

	s.section("Lines")
	lines := table{names: []string{"SKU", "PRODUCT", ">PRICE", ">QTY", ">SUM"}}
	for _, l := range o.Lines {
		lines.add(plain(l.SKU, l.Name, l.Price.String(), strconv.Itoa(l.Qty), l.Sum().String())...)
	}
	lines.write(s)

	if o.Buyer != (order.Buyer{}) || o.OrderUID != "" {
		s.section("Buyer")
		s.field("Name", o.Buyer.Name, "")
		s.field("E-mail", o.Buyer.Email, "")
		s.field("Telephone", o.Buyer.Tel, "")
		s.field("Address", o.Buyer.Address, "")
		s.field("Note", o.Buyer.Note, "")
		s.field("Orderuid", o.OrderUID, "")
	}
	if len(o.Payments) > 0 {
		s.section("Payments")
		t := table{names: []string{"AT", "PAYID", ">PAYMONEY", ">REALPAY", "TOLD BY", "VERDICT"}}
		for _, p := range o.Payments {
			t.add(plain(clock(p.At), p.PayID, p.PayMoney, p.RealPay, p.Source, p.Verdict)...)
		}
		t.write(s)
	}
	s.section("History")
	t := table{names: []string{"AT", "WHO", "WHAT", "WHY"}}
	for _, e := range o.History {
		t.add(plain(clock(e.At), e.Who, e.What, e.Reason)...)
	}
	t.write(s)
	if len(d.Deliveries) > 0 {
		s.section("Deliveries")
		s.deliveries(d.Deliveries)
	}
}

func deliveryColour(state string) string {
	switch state {
	case store.DeliveryDone:
		return green
	case store.DeliveryPending:
		return yellow
	}
	return red
}

func (s *screen) deliveries(deliveries []store.Delivery) {
	if len(deliveries) == 0 {
		s.printf("No deliveries.\n")
		return
	}
	t := table{names: []string{"DELIVERY", "MADE", "STATE", ">TRIES", "EVENT", "ORDER", "TARGET", "NEXT OR LAST"}}
	for _, d := range deliveries {
		last := ""
		if n := len(d.Log); n > 0 {
			last = lastAttempt(d.Log[n-1])
		}
		if d.State == store.DeliveryPending {
			last = clock(d.NextAt)
		}
		t.add(
			cell{text: clean(d.ID)}, cell{text: clock(d.CreatedAt)}, cell{d.State, deliveryColour(d.State)}, cell{text: strconv.Itoa(d.Attempts)},
			cell{text: clean(d.Type)}, cell{text: clean(d.OrderID)}, cell{text: shorten(clean(d.Target), maxNote)}, cell{text: last},
		)
	}
	t.write(s)
}

func lastAttempt(a store.Attempt) string {
	if a.Status == 0 {
		return shorten(clean(a.Answer), maxNote)
	}
	return fmt.Sprintf("%d at %s", a.Status, clock(a.At))
}

func (s *screen) orphans(orphans []store.Orphan) {
	if len(orphans) == 0 {
		s.printf("No orphans: every verified notify fits an order.\n")
		return
	}
	t := table{names: []string{"AT", "ORDERID", "PAYID", ">PAYMONEY", ">REALPAY", ">SEEN", "SHOP"}}
	for _, o := range orphans {
		t.add(plain(clock(o.At), o.OrderID, o.PayID, o.PayMoney, o.RealPay, strconv.Itoa(o.Seen), o.Shop)...)
	}
	t.write(s)
}

func (s *screen) balances(balances []merchant.Balance) {
	if len(balances) == 0 {
		s.printf("No shops are configured.\n")
		return
	}
	t := table{names: []string{"MERCHANT", ">YUAN", "AS OF", "SHOP", "PROBLEM"}}
	for _, b := range balances {
		row := plain(b.Merchant, b.Amount, clock(b.At), b.Shop, b.Error)
		row[len(row)-1].colour = red
		t.add(row...)
	}
	t.write(s)
}

// payTimes name the counts of Summary.PayTimes.
var payTimes = []string{"1 minute", "2 minutes", "5 minutes", "10 minutes", "30 minutes", "an hour", "a day"}

func (s *screen) summary(sum *merchant.Summary) {
	if len(sum.Days) == 0 {
		s.printf("No orders in that time.\n")
		return
	}
	t := table{names: []string{"DAY", ">PAID", ">YUAN", ">PENDING", ">EXPIRED", ">REVIEW"}}
	total := store.DaySummary{Day: "all", Orders: make(map[string]int), Money: make(map[string]order.Money)}
	row := func(d store.DaySummary) []cell {
		count := func(state order.State) string { return strconv.Itoa(d.Orders[state.String()]) }
		return plain(d.Day, count(order.Paid), d.Money[order.Paid.String()].String(), count(order.Pending), count(order.Expired), count(order.Review))
	}
	for _, d := range sum.Days {
		t.add(row(d)...)
		for state, n := range d.Orders {
			total.Orders[state] += n
		}
		for state, m := range d.Money {
			total.Money[state] += m
		}
	}
	last := row(total)
	for i := range last {
		last[i].colour = bold
	}
	t.add(last...)
	t.write(s)

	if len(sum.Products) > 0 {
		s.section("Products, paid")
		t := table{names: []string{"SKU", "PRODUCT", ">QTY", ">YUAN"}}
		for _, p := range sum.Products {
			t.add(plain(p.SKU, shorten(clean(p.Name), maxNote), strconv.Itoa(p.Qty), p.Money.String())...)
		}
		t.write(s)
	}
	if line := paidWithin(sum.PayTimes); line != "" {
		s.printf("\n%s\n", line)
	}
	s.printf("\nDays are those of the server's time zone, %s.\n", clean(sum.Zone))
}

// paidWithin says how soon half and nine tenths of the paid orders were paid.
func paidWithin(counts []int) string {
	total := 0
	for _, n := range counts {
		total += n
	}
	if total == 0 {
		return ""
	}
	within := func(share int) string {
		sum := 0
		for i, n := range counts {
			if sum += n; sum*100 >= total*share && i < len(payTimes) {
				return "within " + payTimes[i]
			}
		}
		return "in more than a day"
	}
	return fmt.Sprintf("Half of the paid orders were paid %s, nine of ten %s.", within(50), within(90))
}

// notice writes one line of a live view.
func (s *screen) notice(n *merchant.Notice, now time.Time) {
	o := n.Order
	what := cell{n.State.String(), stateColour(n.State)}
	switch {
	case n.New:
		what = cell{"new", bold}
	case n.State == n.Was:
		what = cell{"changed", faint}
	}
	pad := strings.Repeat(" ", max(0, len("changed")-len(what.text)))
	line := fmt.Sprintf("%s  %s  %s%s  %10s  %s", now.Local().Format(time.TimeOnly), clean(n.ID), s.paint(what.text, what.colour), pad, o.Total, shorten(clean(o.Title), maxTitle))
	if m := marks(o); m != "" {
		line += "  (" + m + ")"
	}
	s.printf("%s\n", line)
}
