// Package payment holds the use cases: begin an order, apply a notify, ask the
// gateway, expire, and what the merchant decides. Every change of an order's
// state is made here.
package payment

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-checkout/checkout/internal/catalog"
	"github.com/caddy-checkout/checkout/internal/gateway"
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// Config is one shop: one checkout block.
type Config struct {
	UID                     string
	Gateway                 *gateway.Client
	GatewayBase             string // names the gateway in the shop's identity
	Origin                  string // http(s)://host[:port]
	Path                    string // "/checkout"
	Catalog                 *catalog.Catalog
	Fields                  []BuyerField  // what the buyer is asked, in order of the form
	Expire                  time.Duration // zero: 2h
	Webhooks                []string      // URLs told of every order of the shop
	MailMerchant, MailBuyer bool
	Limits                  store.PendingLimits
	QueriesPerSecond        float64 // of the reconciler; zero: 5
	Test                    bool
	Observer                Observer         // may be nil
	Now                     func() time.Time // nil: time.Now
}

// BuyerField is a field of the order form.
type BuyerField struct {
	Name     string // "name", "email", "tel", "address" or "note"
	Required bool
}

// Observer hears what happens, after it is on disk. Implementations must be quick
// and safe for concurrent use.
type Observer interface {
	OrderCreated(o *order.Order)
	StateChanged(o *order.Order, was order.State, late bool)
	// NotifyAnswered hears every notify: the verdict and, for logs, the order id (it may be forged).
	NotifyAnswered(v Verdict, orderid string)
	// Alarm hears what a person must look at: "review", "second_payment", "orphan".
	Alarm(kind, orderid, note string)
	BalanceKnown(amount string, at time.Time)
}

// Verdict is what became of a notify.
type Verdict string

// The verdicts.
const (
	NotifyPaid      Verdict = "paid"
	NotifyLate      Verdict = "late"
	NotifyDuplicate Verdict = "duplicate" // acknowledged, changes nothing
	NotifyReview    Verdict = "review"    // kept; a person decides
	NotifySecond    Verdict = "second"    // kept; the order was paid already
	NotifyOrphan    Verdict = "orphan"    // kept; no such order here
	NotifyMalformed Verdict = "malformed"
	NotifyBadKey    Verdict = "bad_key"
	NotifyFailed    Verdict = "failed" // could not be stored
)

// Service runs the use cases of one shop. Safe for concurrent use.
type Service struct {
	c  Config
	st store.Store
	id string
}

// New makes the Service of a shop.
func New(c Config, st store.Store) *Service { panic("unwritten") }

// ID is the identity of the shop: uid, origin, path and gateway. Orders belong
// to it.
func (s *Service) ID() string { return s.id }

// ShopID is Service.ID without a Service.
func ShopID(uid, origin, path, gatewayBase string) string { panic("unwritten") }

// Item is a wish of the buyer.
type Item struct {
	SKU string
	Qty int
}

// Quote is what items cost.
type Quote struct {
	Lines []QuoteLine
	Total order.Money
}

// QuoteLine is one priced item.
type QuoteLine struct {
	order.Line
	Product catalog.Product
}

var (
	// ErrNoItems: nothing was chosen.
	ErrNoItems = errors.New("no items")
	// ErrTooManyLines: more than order.MaxLines products.
	ErrTooManyLines = errors.New("too many products in one order")
	// ErrQty: a quantity outside 1 to order.MaxQty.
	ErrQty = errors.New("quantity out of range")
	// ErrTotal: nothing to pay, or more than order.MaxMoney.
	ErrTotal = errors.New("total out of range")
	// ErrUnknownSKU: no such product. Wrapped with the sku.
	ErrUnknownSKU = errors.New("unknown product")
)

// FieldError says what is wrong with buyer fields: name to problem, which is
// "missing", "too_long", "bad_email", "bad_tel" or "bad_characters".
type FieldError map[string]string

func (FieldError) Error() string { return "buyer fields are missing or wrong" }

// Quote prices items from the catalog; one sku asked for twice becomes one line. It returns the errors above.
func (s *Service) Quote(items []Item) (*Quote, error) { panic("unwritten") }

// Purchase is an order as the buyer sends it.
type Purchase struct {
	Items    []Item
	Buyer    order.Buyer
	OrderUID string // made fit for the gateway's 40 bytes
	Client   string // network address, as the pending limits count it
	Language string // "zh" or "en"
}

// Begin writes the order durably and returns it with the signed form. Besides
// Quote's errors: FieldError, *store.LimitError, store.ErrUnavailable.
func (s *Service) Begin(ctx context.Context, p Purchase) (*order.Order, *gateway.PayForm, error) {
	panic("unwritten")
}

// Notify verifies n and applies it. A nil error means: kept durably, answer by the verdict
// (NotifyOrphan: 404, NotifyBadKey: 403, else success). An error means: not
// kept, the gateway must try again.
func (s *Service) Notify(ctx context.Context, n gateway.Notify) (Verdict, error) { panic("unwritten") }

// Order reads the order and asks nobody. store.ErrNotFound for ids that are
// malformed, unknown or another shop's.
func (s *Service) Order(ctx context.Context, id string) (*order.Order, error) { panic("unwritten") }

// Status reads the order; if it may still be paid, and the right to ask is free, it asks the gateway first,
// for a few seconds at most. A gateway in trouble changes nothing.
func (s *Service) Status(ctx context.Context, id string) (*order.Order, error) { panic("unwritten") }

// Wait is Status, then, while the order is pending, waits until its state
// changes or d is over.
func (s *Service) Wait(ctx context.Context, id string, d time.Duration) (*order.Order, error) {
	panic("unwritten")
}

// Refresh asks the gateway now, for a person. asked is false when the limit
// does not allow it yet.
func (s *Service) Refresh(ctx context.Context, id string) (o *order.Order, asked bool, err error) {
	panic("unwritten")
}

// ErrNotThat: the order's state does not allow what the merchant asks. Wrapped with the reason.
var ErrNotThat = errors.New("order is not in a state for that")

// ErrNoReason: the merchant must say why.
var ErrNoReason = errors.New("a reason is required")

// Confirm takes an order in review as paid; idempotent.
func (s *Service) Confirm(ctx context.Context, id, who, reason string) (*order.Order, error) {
	panic("unwritten")
}

// Ship marks a paid order as shipped; idempotent. reason is e.g. the parcel's number.
func (s *Service) Ship(ctx context.Context, id, who, reason string) (*order.Order, error) {
	panic("unwritten")
}

// Refund marks an order that holds a payment as refunded; idempotent. The money itself goes back by the gateway's own means.
func (s *Service) Refund(ctx context.Context, id, who, reason string) (*order.Order, error) {
	panic("unwritten")
}

// Reconcile asks about the orders that are due, within the shop's rate, and applies the answers. It
// returns how many it asked about.
func (s *Service) Reconcile(ctx context.Context) (asked int, err error) { panic("unwritten") }

// Balance returns the last known balance, asking first when the right to ask is
// free. store.ErrNotFound before the first answer.
func (s *Service) Balance(ctx context.Context) (store.Balance, error) { panic("unwritten") }
