package sandbox

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-checkout/checkout/internal/gateway"
	"github.com/caddy-checkout/checkout/sign"
)

// maxPayments bounds what one order remembers.
const maxPayments = 16

// The states of an order.
const (
	stateWaiting   = "waiting"
	statePaid      = "paid"
	stateCancelled = "cancelled"
	stateTimeout   = "timeout"
)

var (
	errUnknownOrder = errors.New("no such order")
	errState        = errors.New("not possible in this state")
	errAmount       = errors.New("want yuan with exactly two decimals, more than zero, like 39.00")
)

// entry is an order as the gateway knows it. Gateway.mu guards it.
type entry struct {
	values    map[string]string // the signed form, raw, without its key
	created   time.Time
	cancelled bool
	timedOut  bool
	payments  []payment
	held      []*notice // to be sent after the return
	asked     time.Time // last good status query
}

type payment struct {
	PayID   string    `json:"payid"`
	RealPay string    `json:"realpay"`
	At      time.Time `json:"at"`
	Late    bool      `json:"late"` // the order was closed already
}

func (e *entry) state(now time.Time, timeout time.Duration) string {
	switch {
	case len(e.payments) > 0:
		return statePaid
	case e.cancelled:
		return stateCancelled
	case e.timedOut || now.Sub(e.created) >= timeout:
		return stateTimeout
	}
	return stateWaiting
}

// orderView is an order as the control API and the pages show it.
type orderView struct {
	OrderID  string    `json:"orderid"`
	State    string    `json:"state"`
	Status   string    `json:"status"` // in the protocol's numbers
	PayMoney string    `json:"paymoney"`
	Created  time.Time `json:"created"`
	Deadline time.Time `json:"deadline"`
	Payments []payment `json:"payments"`
	Fields   []field   `json:"fields"`
}

// Field is the value of the signed form's field.
func (o orderView) Field(name string) string {
	for _, f := range o.Fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// Cashier is where the order can be paid.
func (o orderView) Cashier() string { return cashierURL(o.OrderID) }

// view must be called with g.mu held.
func (g *Gateway) view(e *entry) orderView {
	state := e.state(g.c.Now(), g.c.PayTimeout)
	fields := make([]field, len(sign.Pay))
	for i, name := range sign.Pay {
		fields[i] = field{name, e.values[name]}
	}
	return orderView{
		OrderID:  e.values["orderid"],
		State:    state,
		Status:   statusOf(state),
		PayMoney: e.values["paymoney"],
		Created:  e.created,
		Deadline: e.created.Add(g.c.PayTimeout),
		Payments: append([]payment{}, e.payments...),
		Fields:   fields,
	}
}

func statusOf(state string) string {
	switch state {
	case statePaid:
		return gateway.StatusPaid
	case stateWaiting:
		return gateway.StatusWaiting
	}
	return gateway.StatusTimeout
}

// book keeps the newest max orders.
type book struct {
	max  int
	byID map[string]*entry
	ids  []string // oldest first
}

func (b *book) add(e *entry) {
	id := e.values["orderid"]
	b.byID[id] = e
	b.ids = append(b.ids, id)
	if len(b.ids) > b.max {
		delete(b.byID, b.ids[0])
		b.ids = b.ids[1:]
	}
}

// pay records a payment of realpay (empty: the full amount) and returns its
// notify, unsent. Unless force, only a waiting order can be paid.
func (g *Gateway) pay(orderid, realpay string, force bool) (*notice, error) {
	g.mu.Lock()
	defer g.mu.Unlock()

	e, ok := g.book.byID[orderid]
	if !ok {
		return nil, errUnknownOrder
	}
	now := g.c.Now()
	state := e.state(now, g.c.PayTimeout)
	if state != stateWaiting && !force {
		return nil, fmt.Errorf("%w: the order is %s", errState, state)
	}
	if len(e.payments) == maxPayments {
		return nil, fmt.Errorf("%w: the order was paid %d times", errState, maxPayments)
	}
	if realpay == "" {
		realpay = e.values["paymoney"]
	}
	fen, ok := parseFen(realpay)
	if !ok || fen == 0 {
		return nil, fmt.Errorf("realpay: %w", errAmount)
	}

	p := payment{
		PayID:   newPayID(),
		RealPay: realpay,
		At:      now,
		Late:    state == stateTimeout || state == stateCancelled,
	}
	n, err := g.noticeOf(e, p)
	if err != nil {
		return nil, err
	}
	e.payments = append(e.payments, p)
	g.earned += fen
	return n, nil
}

// noticeOf is the genuine notify of p. It must be called with g.mu held.
func (g *Gateway) noticeOf(e *entry, p payment) (*notice, error) {
	n := &notice{url: e.values["notifyurl"], orderid: e.values["orderid"], fields: []field{
		{"payid", p.PayID},
		{"orderid", e.values["orderid"]},
		{"orderuid", e.values["orderuid"]},
		{"paymoney", e.values["paymoney"]},
		{"realpay", p.RealPay},
	}}
	key, err := sign.Notify.Key(g.c.Token, valuesOf(n.fields)...)
	if err != nil {
		return nil, fmt.Errorf("signing notify: %w", err)
	}
	n.fields = append(n.fields, field{"key", key})
	return n, nil
}

// shut cancels a waiting order or lets its time be over.
func (g *Gateway) shut(orderid, state string) error {
	g.mu.Lock()
	defer g.mu.Unlock()

	e, ok := g.book.byID[orderid]
	if !ok {
		return errUnknownOrder
	}
	if s := e.state(g.c.Now(), g.c.PayTimeout); s != stateWaiting {
		return fmt.Errorf("%w: the order is %s", errState, s)
	}
	e.cancelled = state == stateCancelled
	e.timedOut = state == stateTimeout
	return nil
}

var amountForm = regexp.MustCompile(`^(0|[1-9][0-9]{0,10})\.[0-9]{2}$`)

// parseFen is on purpose not the shop's parser: this is the other side.
func parseFen(s string) (int64, bool) {
	if !amountForm.MatchString(s) {
		return 0, false
	}
	fen, err := strconv.ParseInt(strings.Replace(s, ".", "", 1), 10, 64)
	return fen, err == nil
}

// newPayID is random, because shops remember payids for longer than a sandbox lives.
func newPayID() string {
	var b [8]byte
	rand.Read(b[:])
	return fmt.Sprintf("9%018d", binary.BigEndian.Uint64(b[:])%1e18)
}

func formatFen(fen int64) string {
	return fmt.Sprintf("%d.%02d", fen/100, fen%100)
}
