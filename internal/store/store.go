// Package store says what every store of orders does. The embedded store and
// the PostgreSQL store implement [Store]; storetest holds both to it.
//
// Whatever a method wrote is on disk when it returns nil. Whatever it could
// not write is not there at all: there is no half order. Times are kept to the
// millisecond, in UTC.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
)

var (
	// ErrNotFound: no such order in that shop, or no such delivery.
	ErrNotFound = errors.New("not found")

	// ErrExists: an order with that id is there already, in this or another shop.
	ErrExists = errors.New("order exists already")

	// ErrUnavailable is wrapped by every error that means "not now": the
	// database cannot be reached, is locked, full, read-only or damaged.
	// Nothing was written.
	ErrUnavailable = errors.New("store unavailable")

	// ErrReadOnlyFile, ErrFull and ErrCorrupt are wrapped beside
	// ErrUnavailable where the cause is known.
	ErrReadOnlyFile = errors.New("database is read-only")
	ErrFull         = errors.New("no space left for the database")
	ErrCorrupt      = errors.New("database is damaged")
)

// LimitError is returned by Create when an order would be one pending order
// too many. Nothing was written.
type LimitError struct {
	PerClient bool // the client's limit; else the shop's
	Limit     int
}

func (e *LimitError) Error() string {
	if e.PerClient {
		return fmt.Sprintf("client has %d pending orders already", e.Limit)
	}
	return fmt.Sprintf("shop has %d pending orders already", e.Limit)
}

// PendingLimits bound how many pending orders there may be. Zero: no limit.
type PendingLimits struct {
	PerClient int // of one Order.Client within one shop
	Total     int // of one shop
}

// Store keeps orders, payments, the outbox and what the gateway was asked.
// All methods may be called concurrently and honour ctx while they wait; a
// write that has begun is finished.
type Store interface {
	Orders
	Questions
	Outbox
	Records

	// Ping reports whether the store can write now: nil, or an error that
	// wraps ErrUnavailable.
	Ping(ctx context.Context) error

	// Close waits for writes under way and lets the database go.
	Close() error
}

// Orders is what a payment needs.
type Orders interface {
	// Create writes a new order and its history (o.History). It returns
	// ErrExists or *LimitError and then writes nothing. The first question
	// of the reconciler is due at firstQuery.
	Create(ctx context.Context, o *order.Order, firstQuery time.Time, limits PendingLimits) error

	// Order returns the order with its payments, without its history.
	// ErrNotFound if the id is unknown or another shop's. A change that another
	// process or machine made may show some seconds late.
	Order(ctx context.Context, shop, id string) (*order.Order, error)

	// Update shows decide the order as it stands and writes what decide
	// returns, in one transaction, so that no other change comes between.
	// payid, if not empty, also looks up whose that payment is. decide may run
	// more than once and must not have effects. A nil Change writes nothing.
	// An error of decide is returned as it is and writes nothing. Returns the
	// order as it stands afterwards.
	Update(ctx context.Context, shop, id, payid string, decide func(Subject) (*Change, error)) (*order.Order, error)

	// KeepOrphan keeps a verified notify that fits no order. The same one
	// (shop, payid, orderid, paymoney, realpay) is kept once; fresh reports
	// whether it was new.
	KeepOrphan(ctx context.Context, o Orphan) (fresh bool, err error)

	// Watch returns a channel that is closed at the next change of the
	// order's state, on whichever machine it happens (at most a second
	// later). It may also be closed without one. Call stop when done.
	Watch(shop, id string) (changed <-chan struct{}, stop func())

	// Feed returns notices of new orders and changed states, for live views.
	// A reader that falls behind misses some. Call stop when done.
	Feed() (notices <-chan Notice, stop func())
}

// Notice tells of a new order or a changed state.
type Notice struct {
	Shop  string      `json:"shop"`
	ID    string      `json:"id"`
	State order.State `json:"state"`
	Was   order.State `json:"was"` // equal to State for a new order and for a change that leaves the state as it is
	New   bool        `json:"new"`
}

// Subject is what decide sees: the order with its payments, and the id of
// another order (of the same shop) that holds the payid already, if any.
type Subject struct {
	Order   order.Order
	PayidOf string
}

// Change is what an Update writes. Order is the order as it shall stand: of
// it State, Late, Note, PaidAt, ShippedAt, RefundedAt, AnsweredAt and Answer
// are written, nothing else.
type Change struct {
	Order        order.Order
	Payment      *order.Payment // added; its payid is unique within the shop: if another order holds it, the Update fails. A Payment with the payid of one already kept for this order is not added again; one without payid neither, if its amounts are the same too
	AdoptID      bool           // Payment.PayID is given to this order's payment of the same amounts that has none, instead of adding one. Without such a one it is added
	Entries      []order.Entry  // added to the history
	Events       []Event        // added to the outbox
	NextQuery    time.Time      // when the reconciler asks next; zero: never again. Ignored unless SetNextQuery
	SetNextQuery bool
}

// Orphan is a verified notify for which there is no order.
type Orphan struct {
	ID       string    `json:"id"` // made by the store
	Shop     string    `json:"shop"`
	OrderID  string    `json:"orderid"`
	PayID    string    `json:"payid"`
	OrderUID string    `json:"orderuid"`
	PayMoney string    `json:"paymoney"`
	RealPay  string    `json:"realpay"`
	At       time.Time `json:"at"`
	Seen     int       `json:"seen"` // how often it was told
}

// Questions keep the gateway's limits on asking, across restarts, reloads and
// machines, and know which orders are to be asked about.
//
// A claim that lies in the future (the clock was set back) is moved to now and
// refused, so that it blocks for one interval at most. Within one process an
// interval is also measured on the monotonic clock that now carries, if it
// does, so that a clock set forward does not open it early.
type Questions interface {
	// ClaimQuestion claims the right to ask about the order: granted once per
	// interval. AskedAt is set when granted. ErrNotFound as in Order.
	ClaimQuestion(ctx context.Context, shop, id string, now time.Time, interval time.Duration) (granted bool, err error)

	// ClaimDue claims up to n orders of the shop, pending or expired, whose
	// next question is due, newest first, and grants each as ClaimQuestion does (those asked about
	// within interval are passed over and stay due). next says when each is due again, so
	// that an order whose answer never comes is asked about again. Orders
	// created after youngest are not looked at: where the caller knows that
	// none of them is due, reading them is spared.
	ClaimDue(ctx context.Context, shop string, now, youngest time.Time, interval time.Duration, n int, next func(order.Order) time.Time) ([]order.Order, error)

	// ClaimBalance claims the right to ask for the balance of a merchant
	// (uid and gateway): granted once per interval.
	ClaimBalance(ctx context.Context, merchant string, now time.Time, interval time.Duration) (granted bool, err error)

	// SaveBalance and Balance keep the last known balance of a merchant.
	// Balance returns ErrNotFound before the first.
	SaveBalance(ctx context.Context, b Balance) error
	Balance(ctx context.Context, merchant string) (Balance, error)
}

// Balance is what the gateway said a merchant has.
type Balance struct {
	Merchant string    `json:"merchant"`
	Amount   string    `json:"amount"` // yuan, as the gateway wrote it
	At       time.Time `json:"at"`
}

// Event is something the merchant is told. It is written in the transaction
// of the change that it tells of.
type Event struct {
	ID      string    // order.NewID form; also the webhook-id
	Type    string    // "checkout.paid", "checkout.review", "checkout.expired", …
	At      time.Time // its deliveries are due from then on
	Payload []byte    // JSON, sent as it is
	Targets []string  // one delivery for each; an event without any is not kept
}

// Delivery states.
const (
	DeliveryPending  = "pending"
	DeliveryDone     = "done"
	DeliveryFailed   = "failed"   // given up
	DeliveryDisabled = "disabled" // the target answered 410 Gone
)

// Delivery is one event on its way to one target.
type Delivery struct {
	ID        string    `json:"id"`
	Shop      string    `json:"shop"`
	OrderID   string    `json:"orderid"`
	EventID   string    `json:"event_id"`
	Type      string    `json:"type"`
	Target    string    `json:"target"` // "webhook:<url>", "mail:merchant", "mail:buyer"
	State     string    `json:"state"`
	Attempts  int       `json:"attempts"`
	NextAt    time.Time `json:"next_at,omitzero"` // of a pending one
	CreatedAt time.Time `json:"created_at"`
	Payload   []byte    `json:"-"`
	Log       []Attempt `json:"log,omitempty"` // oldest first; only where asked for
}

// Attempt is one try to deliver.
type Attempt struct {
	At     time.Time     `json:"at"`
	Took   time.Duration `json:"took_ns"`
	Status int           `json:"status"` // HTTP or SMTP status; 0: no answer
	Answer string        `json:"answer"` // its first KiB, or why there was none
}

// Outbox is the queue of deliveries.
type Outbox interface {
	// ClaimDeliveries takes up to n pending deliveries to one target that are
	// due, oldest first, and hides them until now+lease. Of one order only
	// the oldest pending delivery to a target is ever given out, so that its events
	// arrive in order.
	ClaimDeliveries(ctx context.Context, target string, now time.Time, lease time.Duration, n int) ([]Delivery, error)

	// RecordAttempt adds an attempt and sets the delivery's state; a pending
	// one is due again at next. On a delivery that is no longer pending the
	// attempt is kept and nothing else changes. ErrNotFound.
	RecordAttempt(ctx context.Context, deliveryID string, a Attempt, state string, next time.Time) error

	// Redeliver makes a delivery pending and due at now; its attempts are
	// kept. ErrNotFound.
	Redeliver(ctx context.Context, deliveryID string, now time.Time) error

	// PendingTargets returns the targets that have pending deliveries.
	PendingTargets(ctx context.Context) ([]string, error)
}

// Records are what people and gauges read.
type Records interface {
	// Detail returns the order, of any shop, with payments and history, and
	// its deliveries with their log.
	Detail(ctx context.Context, id string) (*order.Order, []Delivery, error)

	// List returns a page of orders, newest first, without history, and the
	// cursor of the next page ("" at the end). A cursor that is none is an
	// error that does not wrap ErrUnavailable, here and below.
	List(ctx context.Context, f Filter, cursor string, n int) (page []order.Order, next string, err error)

	// Each calls fn for every order that fits, newest first, in flat memory.
	// fn may use the store. An error of fn ends it and is returned as it is.
	Each(ctx context.Context, f Filter, fn func(*order.Order) error) error

	// Summarize counts orders by day of creation (in loc; nil: UTC) and state.
	// An empty shop, from or to does not filter, as in Filter.
	Summarize(ctx context.Context, shop string, from, to time.Time, loc *time.Location) (*Summary, error)

	// Deliveries lists deliveries, newest first. state "" means all.
	Deliveries(ctx context.Context, shop, state, cursor string, n int) (page []Delivery, next string, err error)

	// Orphans lists orphans, newest first.
	Orphans(ctx context.Context, shop, cursor string, n int) (page []Orphan, next string, err error)

	// Stats are counts for gauges. It is cheap at a million orders.
	Stats(ctx context.Context) (*Stats, error)

	// Purge deletes up to n expired, never paid orders without any payment
	// that were created before the time, with their history and deliveries. It returns how many.
	Purge(ctx context.Context, before time.Time, n int) (int, error)

	// Backup writes a consistent copy into a file that must not exist yet.
	// A store that has better tools of its own returns errors.ErrUnsupported.
	Backup(ctx context.Context, file string) error
}

// Filter picks orders. A zero field does not filter.
type Filter struct {
	Shop   string
	States []order.State
	From   time.Time // created at or after
	To     time.Time // created before
	SKU    string    // with a line of it
	Text   string    // in id, payid, orderuid or a buyer field, ignoring ASCII case
	Todo   string    // TodoShip: paid, neither shipped nor refunded
}

// TodoShip is a value of Filter.Todo.
const TodoShip = "ship"

// Summary is what was sold in a time.
type Summary struct {
	Days     []DaySummary     `json:"days"`      // oldest first; days without orders are left out
	Products []ProductSummary `json:"products"`  // of paid orders, most money first, at most 20
	PayTimes []int            `json:"pay_times"` // paid orders by time from order to payment: within 1m, 2m, 5m, 10m, 30m, 1h, 1 day, later
}

// DaySummary is one day.
type DaySummary struct {
	Day    string                 `json:"day"`    // 2006-01-02
	Orders map[string]int         `json:"orders"` // by state
	Money  map[string]order.Money `json:"money"`  // by state
}

// ProductSummary is one product.
type ProductSummary struct {
	SKU   string      `json:"sku"`
	Name  string      `json:"name"`
	Qty   int         `json:"qty"`
	Money order.Money `json:"money"`
}

// Stats are counts of what is in the store now.
type Stats struct {
	Orders        map[string]map[string]int // by shop and state: pending and review only
	Orphans       map[string]int            // by shop
	OutboxPending map[string]int            // by target
	OutboxOldest  map[string]time.Time      // by target: creation of the oldest pending delivery
}
