// Package payment holds the use cases: begin an order, apply a notify, ask the
// gateway, expire, and what the merchant decides. Every change of an order's
// state is made here, by [order.State.Next] alone, inside one transaction of
// the store together with the payment, the history and the outbox.
package payment

import (
	"context"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/caddy-checkout/checkout/internal/catalog"
	"github.com/caddy-checkout/checkout/internal/gateway"
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
	"github.com/caddy-checkout/checkout/internal/webhook"
)

// Defaults of Config.
const (
	DefaultExpire           = 2 * time.Hour
	DefaultQueriesPerSecond = 10
)

// Config is one shop: one checkout block. UID, Gateway, GatewayBase, Origin,
// Path and Catalog are required.
type Config struct {
	UID              string
	Gateway          *gateway.Client
	GatewayBase      string // names the gateway in the shop's identity
	Origin           string // http(s)://host[:port]
	Path             string // like "/checkout"
	Catalog          *catalog.Catalog
	Fields           []BuyerField  // what the buyer is asked, in the order of the form
	Expire           time.Duration // zero: DefaultExpire
	Webhooks         []string      // URLs told of every order of the shop
	MailMerchant     bool          // the merchant is told by mail
	MailBuyer        bool          // the buyer gets a receipt by mail
	Limits           store.PendingLimits
	QueriesPerSecond float64          // of the reconciler; zero: DefaultQueriesPerSecond
	Test             bool             // marks its orders as made against a sandbox
	Observer         Observer         // may be nil
	Now              func() time.Time // nil: time.Now

	// Jitter spreads the reconciler's delays. Nil: by ±10 % at random.
	Jitter func(time.Duration) time.Duration
}

// Observer hears what happened, after it is on disk. Implementations must be
// quick and safe for concurrent use.
type Observer interface {
	// OrderCreated hears every new order.
	OrderCreated(o *order.Order)
	// StateChanged hears every change of a state.
	StateChanged(o *order.Order, was order.State)
	// NotifyAnswered hears the verdict on every notify. The order id may be
	// forged and is for logs alone.
	NotifyAnswered(v Verdict, orderid string)
	// Alarm hears what a person must look at: AlarmReview, AlarmSecond or
	// AlarmOrphan.
	Alarm(kind, orderid, note string)
	// BalanceKnown hears every balance that the gateway told.
	BalanceKnown(amount string, at time.Time)
}

// Kinds of alarms.
const (
	AlarmReview = "review"
	AlarmSecond = "second_payment"
	AlarmOrphan = "orphan"
)

type silent struct{}

func (silent) OrderCreated(*order.Order)              {}
func (silent) StateChanged(*order.Order, order.State) {}
func (silent) NotifyAnswered(Verdict, string)         {}
func (silent) Alarm(_, _, _ string)                   {}
func (silent) BalanceKnown(string, time.Time)         {}

// Service runs the use cases of one shop. It is safe for concurrent use.
type Service struct {
	c         Config
	st        store.Store
	id        string
	notifyURL string
	pace      *rate.Limiter
	asks      sync.WaitGroup
	ctx       context.Context // of questions to the gateway that outlive a request
	close     context.CancelFunc

	mu     sync.Mutex
	wake   chan struct{} // closed, and made anew, to end the waits under way
	closed bool          // nothing is added to asks any more
}

// New makes the Service of a shop. Close it when done.
func New(c Config, st store.Store) *Service {
	if c.Expire == 0 {
		c.Expire = DefaultExpire
	}
	if c.QueriesPerSecond == 0 {
		c.QueriesPerSecond = DefaultQueriesPerSecond
	}
	if c.Observer == nil {
		c.Observer = silent{}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Jitter == nil {
		c.Jitter = jitter
	}
	s := &Service{
		c:         c,
		st:        st,
		id:        ShopID(c.UID, c.Origin, c.Path, c.GatewayBase),
		notifyURL: NotifyURL(c.Origin, c.Path),
		pace:      rate.NewLimiter(rate.Limit(c.QueriesPerSecond), max(1, int(c.QueriesPerSecond))),
	}
	s.ctx, s.close = context.WithCancel(context.Background())
	s.wake = make(chan struct{})
	return s
}

// EndWaits lets all that are in [Service.Wait] return with what is known, so
// that a server can shut down.
func (s *Service) EndWaits() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.wake)
	s.wake = make(chan struct{})
}

func (s *Service) waitsEnd() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wake
}

// Close ends questions to the gateway that are under way and waits for them.
func (s *Service) Close() {
	s.close()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.asks.Wait()
}

// ID is the identity of the shop, see [ShopID].
func (s *Service) ID() string { return s.id }

// ShopID is the identity of a shop, to which its orders belong: who is paid,
// where it is told, and by whom. A shop that changes one of them is another
// shop, and does not know the orders of the former.
func ShopID(uid, origin, path, gatewayBase string) string {
	id := uid + "@" + origin + path
	if gatewayBase != gateway.DefaultBase {
		id += " via " + gatewayBase
	}
	return id
}

// NotifyURL is where the gateway tells the result of payments.
func NotifyURL(origin, path string) string { return origin + path + "/notify" }

// ReturnURL is where the gateway sends the buyer back.
func ReturnURL(origin, path, orderid string) string {
	return origin + path + "/return/" + orderid
}

// Order reads an order and asks nobody. It returns store.ErrNotFound for ids
// that are malformed, unknown or another shop's.
func (s *Service) Order(ctx context.Context, id string) (*order.Order, error) {
	if !order.ValidID(id) {
		return nil, store.ErrNotFound
	}
	return s.st.Order(ctx, s.id, id)
}

// targets lists who is told of an event of the order.
func (s *Service) targets(eventType string, o *order.Order) []string {
	var targets []string
	seen := make(map[string]bool)
	add := func(url string) {
		if !seen[url] {
			seen[url] = true
			targets = append(targets, webhook.TargetWebhook+url)
		}
	}
	for _, url := range s.c.Webhooks {
		add(url)
	}
	for _, l := range o.Lines {
		if p, ok := s.c.Catalog.Product(l.SKU); ok {
			for _, url := range p.Webhooks {
				add(url)
			}
		}
	}
	if s.c.MailMerchant && eventType != EventExpired {
		targets = append(targets, webhook.MailMerchant)
	}
	if s.c.MailBuyer && eventType == EventPaid && o.Buyer.Email != "" {
		targets = append(targets, webhook.MailBuyer)
	}
	return targets
}

// plainReason makes a person's words fit for the history: one line, at most
// 500 bytes.
func plainReason(reason string) string {
	return gateway.Title(strings.Join(strings.Fields(reason), " "), 500)
}
