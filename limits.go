package checkout

import (
	"math"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"golang.org/x/time/rate"
)

// Defaults of Limits. Buyers behind one carrier's address share a client's.
const (
	defaultPendingPerClient   = 50
	defaultPendingTotal       = 100_000
	defaultCheckoutsPerClient = 60
	defaultCheckoutsWindow    = time.Minute
	defaultWaitsPerClient     = 20
	defaultWaitsTotal         = 10_000
	defaultGatewayRate        = 10
	maxGatewayRate            = 1000
)

// Limits bound what one client, or all of them, may take of a shop. A client
// is an IPv4 address or an IPv6 /64 network; behind a proxy, set Caddy's
// trusted_proxies, or all buyers count as one. A zero value means the default,
// a negative one that there is no limit.
type Limits struct {
	// Turns all limits off but gateway_rate. Default: false.
	Off bool `json:"off,omitempty"`

	// Orders of one client that wait for payment. One more is answered 429.
	// Default: 50.
	PendingPerClient int `json:"pending_per_client,omitempty"`

	// Orders of the shop that wait for payment. One more is answered 429.
	// Default: 100000.
	PendingTotal int `json:"pending_total,omitempty"`

	// Orders that one client may make within checkouts_window. One more is
	// answered 429. Default: 60.
	CheckoutsPerClient int `json:"checkouts_per_client,omitempty"`

	// The time that checkouts_per_client is about. Default: 1m.
	CheckoutsWindow caddy.Duration `json:"checkouts_window,omitempty"`

	// Status requests of one client that wait for a change at the same time.
	// One more is answered at once. Default: 20.
	WaitsPerClient int `json:"waits_per_client,omitempty"`

	// Status requests of the shop that wait for a change at the same time.
	// Default: 10000.
	WaitsTotal int `json:"waits_total,omitempty"`

	// Questions per second to the gateway about orders that nobody told us
	// of. Default: 10.
	GatewayRate float64 `json:"gateway_rate,omitempty"`
}

// effective fills in the defaults; zero then means no limit.
func (l *Limits) effective() Limits {
	e := Limits{}
	if l != nil {
		e = *l
	}
	if e.GatewayRate == 0 {
		e.GatewayRate = defaultGatewayRate
	}
	if e.Off {
		return Limits{Off: true, GatewayRate: e.GatewayRate}
	}
	e.PendingPerClient = bound(e.PendingPerClient, defaultPendingPerClient)
	e.PendingTotal = bound(e.PendingTotal, defaultPendingTotal)
	e.CheckoutsPerClient = bound(e.CheckoutsPerClient, defaultCheckoutsPerClient)
	e.CheckoutsWindow = bound(e.CheckoutsWindow, caddy.Duration(defaultCheckoutsWindow))
	e.WaitsPerClient = bound(e.WaitsPerClient, defaultWaitsPerClient)
	e.WaitsTotal = bound(e.WaitsTotal, defaultWaitsTotal)
	return e
}

func bound[N ~int | ~int64](n, byDefault N) N {
	if n == 0 {
		return byDefault
	}
	return max(n, 0)
}

// maxBuckets bounds the memory of a rateLimit: about 150 bytes each.
const maxBuckets = 100_000

// rateLimit lets each client do n things in a window.
type rateLimit struct {
	n     int
	every time.Duration // one is earned back
	now   func() time.Time

	mu      sync.Mutex
	buckets map[string]*rate.Limiter
	swept   time.Time
}

func newRateLimit(n int, window time.Duration) *rateLimit {
	return &rateLimit{
		n:       n,
		every:   window / time.Duration(n),
		now:     time.Now,
		buckets: make(map[string]*rate.Limiter),
	}
}

// allow takes one of the client's turns, or says in how many seconds there is
// one again.
func (l *rateLimit) allow(client string) (retryAfterSeconds int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	b := l.buckets[client]
	if b == nil {
		l.makeRoom(now)
		b = rate.NewLimiter(rate.Every(l.every), l.n)
		l.buckets[client] = b
	}
	if b.AllowN(now, 1) {
		return 0, true
	}
	missing := 1 - b.TokensAt(now)
	return max(1, int(math.Ceil(missing*l.every.Seconds()))), false
}

// makeRoom forgets, once in a window, the clients that have all their turns.
// If a flood from many addresses fills the room meanwhile, it forgets any.
func (l *rateLimit) makeRoom(now time.Time) {
	if now.Sub(l.swept) >= l.every*time.Duration(l.n) {
		l.swept = now
		for client, b := range l.buckets {
			if b.TokensAt(now) >= float64(l.n) {
				delete(l.buckets, client)
			}
		}
	}
	for client := range l.buckets {
		if len(l.buckets) < maxBuckets {
			return
		}
		delete(l.buckets, client)
	}
}

// clientOf returns the network address of a request's client as limits count
// it, trusted proxies respected. Whoever has one IPv6 address has the /64.
func clientOf(r *http.Request) string {
	text, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return text
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	network, err := addr.Prefix(64)
	if err != nil {
		return text
	}
	return network.String()
}
