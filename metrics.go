package checkout

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/payment"
	"github.com/caddy-checkout/checkout/internal/store"
	"github.com/caddy-checkout/checkout/internal/webhook"
)

// counters count for the life of the process: a reload must not set them back.
// All labels are closed sets: shops and targets are configured, the rest is
// known here. Never an order id.
type counters struct {
	created    *prometheus.CounterVec   // shop
	states     *prometheus.CounterVec   // shop, state
	notifies   *prometheus.CounterVec   // shop, verdict
	alarms     *prometheus.CounterVec   // shop, kind
	gateway    *prometheus.HistogramVec // shop, call, outcome
	requests   *prometheus.HistogramVec // shop, route, code
	catalog    *prometheus.CounterVec   // shop, outcome
	deliveries *prometheus.HistogramVec // kind, outcome
	dropped    prometheus.Counter
}

const namespace, subsystem = "caddy", "checkout"

func counterVec(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help}, labels)
}

func histogramVec(name, help string, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Subsystem: subsystem, Name: name, Help: help,
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
	}, labels)
}

var theCounters = sync.OnceValue(func() *counters {
	c := &counters{
		created:    counterVec("orders_created_total", "Orders made.", "shop"),
		states:     counterVec("order_state_changes_total", "Orders that came into a state.", "shop", "state"),
		notifies:   counterVec("notifies_total", "Notifies of the gateway by what became of them.", "shop", "verdict"),
		alarms:     counterVec("alarms_total", "Payments that a person must look at.", "shop", "kind"),
		gateway:    histogramVec("gateway_call_duration_seconds", "Time of questions to the gateway.", "shop", "call", "outcome"),
		requests:   histogramVec("request_duration_seconds", "Time of requests below a shop's path.", "shop", "route", "code"),
		catalog:    counterVec("catalog_reloads_total", "Changes of catalog files that were read; a failed one keeps the old prices.", "shop", "outcome"),
		deliveries: histogramVec("delivery_duration_seconds", "Time of attempts to deliver an event.", "kind", "outcome"),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Subsystem: subsystem,
			Name: "events_dropped_total", Help: "Caddy events that were not emitted because their handlers are too slow."}),
	}
	for _, kind := range []string{"webhook", "mail"} {
		for _, outcome := range []string{"delivered", "retry", "failed", "gone"} {
			c.deliveries.WithLabelValues(kind, outcome) // seen as an increase from the first on
		}
	}
	return c
})

func (c *counters) all() []prometheus.Collector {
	return []prometheus.Collector{
		c.created, c.states, c.notifies, c.alarms, c.gateway, c.requests, c.catalog, c.deliveries, c.dropped,
	}
}

// metrics are the counters and the gauges of one configuration.
type metrics struct {
	*counters
	balance   *prometheus.GaugeVec // uid, gateway
	balanceAt *prometheus.GaugeVec // uid, gateway
}

// registerMetrics adds all metrics to the registry of a configuration.
func registerMetrics(reg prometheus.Registerer, current func() store.Store) (*metrics, error) {
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help}, []string{"uid", "gateway"})
	}
	m := &metrics{
		counters:  theCounters(),
		balance:   gauge("balance_yuan", "Last known balance of the merchant at the gateway."),
		balanceAt: gauge("balance_timestamp_seconds", "When the gateway told the balance."),
	}
	for _, c := range append(m.all(), m.balance, m.balanceAt, storeCollector{current}) {
		err := reg.Register(c)
		if _, there := errors.AsType[prometheus.AlreadyRegisteredError](err); err != nil && !there {
			return nil, err
		}
	}
	return m, nil
}

// expect makes the series of a shop appear at zero, so that the first event is
// seen as an increase.
func (m *metrics) expect(shop string) {
	m.created.WithLabelValues(shop)
	for _, s := range order.States[1:] {
		m.states.WithLabelValues(shop, s.String())
	}
	for _, v := range payment.Verdicts {
		m.notifies.WithLabelValues(shop, string(v))
	}
	for _, kind := range []string{payment.AlarmReview, payment.AlarmSecond, payment.AlarmOrphan} {
		m.alarms.WithLabelValues(shop, kind)
	}
	for _, outcome := range []string{"ok", "failed"} {
		m.catalog.WithLabelValues(shop, outcome)
	}
}

func (m *metrics) setBalance(uid, gateway string, b store.Balance) {
	yuan, err := strconv.ParseFloat(b.Amount, 64)
	if err != nil {
		return
	}
	m.balance.WithLabelValues(uid, gateway).Set(yuan)
	m.balanceAt.WithLabelValues(uid, gateway).Set(float64(b.At.Unix()))
}

var (
	descUp      = desc("store_up", "Whether orders can be written now.")
	descOrders  = desc("orders", "Orders that wait for payment or for a decision.", "shop", "state")
	descOrphans = desc("orphans", "Verified notifies that fit no order.", "shop")
	descPending = desc("outbox_pending", "Deliveries that wait, by target; webhooks are named by their host.", "target")
	descOldest  = desc("outbox_oldest_seconds", "Age of the oldest delivery that waits, by target.", "target")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, subsystem, name), help, labels, nil)
}

// storeCollector reads the gauges from the store when they are asked for.
type storeCollector struct {
	current func() store.Store // nil result: not open
}

// scrapeTimeout bounds how long a store in trouble holds up a scrape.
const scrapeTimeout = 3 * time.Second

func (storeCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descUp, descOrders, descOrphans, descPending, descOldest} {
		ch <- d
	}
}

func (c storeCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	st := c.current()
	if st == nil {
		gauge(descUp, 0)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	up := 1.0
	if st.Ping(ctx) != nil {
		up = 0
	}
	gauge(descUp, up)
	stats, err := st.Stats(ctx)
	if err != nil {
		return
	}
	for shop, states := range stats.Orders {
		for state, n := range states {
			gauge(descOrders, float64(n), shop, state)
		}
	}
	for shop, n := range stats.Orphans {
		gauge(descOrphans, float64(n), shop)
	}
	for target, n := range byLabel(stats.OutboxPending, func(a, b int) int { return a + b }) {
		gauge(descPending, float64(n), target)
	}
	for target, at := range byLabel(stats.OutboxOldest, earlier) {
		gauge(descOldest, time.Since(at).Seconds(), target)
	}
}

// byLabel joins the values of targets with one label.
func byLabel[V any](values map[string]V, join func(a, b V) V) map[string]V {
	out := make(map[string]V, len(values))
	for target, v := range values {
		label := targetLabel(target)
		if old, ok := out[label]; ok {
			v = join(old, v)
		}
		out[label] = v
	}
	return out
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// targetLabel names a webhook by its host: its path is a secret at some
// services.
func targetLabel(target string) string {
	raw, ok := strings.CutPrefix(target, webhook.TargetWebhook)
	if !ok {
		return target
	}
	u, err := url.Parse(raw)
	if err != nil {
		return webhook.TargetWebhook
	}
	return webhook.TargetWebhook + u.Host
}
