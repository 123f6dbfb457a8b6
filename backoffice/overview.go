package backoffice

import (
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// How much the overview shows, and counts at most.
const (
	decisionRows = 5
	latestRows   = 10
	counted      = 100
)

// orphansNew is how long an orphan is on the overview: nothing else ends it.
const orphansNew = 7 * 24 * time.Hour

// tally is a number that was not counted to its end.
type tally struct {
	N    int
	More bool
}

type overviewPage struct {
	Today                                    string
	Created                                  int
	Money                                    order.Money
	Waiting                                  int
	ToShip, Decisions                        tally
	Reviews                                  []order.Order
	Orphans                                  []store.Orphan
	Failed                                   []store.Delivery
	MoreReviews, MoreOrphans, MoreDeliveries bool
	Latest                                   []order.Order
}

// overview is today at a glance, what needs a decision first.
func (s *visit) overview() error {
	var p overviewPage
	for _, load := range []func(*overviewPage) error{s.loadToday, s.loadDecisions, s.loadLatest} {
		if err := load(&p); err != nil {
			return err
		}
	}
	return s.render(page{Name: "overview", Live: true, Body: p})
}

func (s *visit) loadToday(p *overviewPage) error {
	ctx := s.r.Context()
	today := midnight(s.c.Now())
	p.Today = today.Format(time.DateOnly)
	sum, err := s.desk.Summary(ctx, "", today, today.AddDate(0, 0, 1), beijing)
	if err != nil {
		return err
	}
	for _, d := range sum.Days {
		for _, n := range d.Orders {
			p.Created += n
		}
		p.Money += d.Money[order.Paid.String()]
	}
	stats, err := s.desk.Store.Stats(ctx)
	if err != nil {
		return err
	}
	for _, states := range stats.Orders {
		p.Waiting += states[order.Pending.String()]
	}
	unshipped, more, err := s.desk.Orders(ctx, store.Filter{Todo: store.TodoShip}, "", counted)
	p.ToShip = tally{len(unshipped), more != ""}
	return err
}

// loadDecisions finds what a person must look at. An order in review that was
// refunded has been decided.
func (s *visit) loadDecisions(p *overviewPage) error {
	ctx := s.r.Context()
	reviews, next, err := s.desk.Orders(ctx, store.Filter{States: []order.State{order.Review}}, "", counted)
	if err != nil {
		return err
	}
	for _, o := range reviews {
		if o.RefundedAt.IsZero() {
			p.Reviews = append(p.Reviews, o)
		}
	}
	orphans, nextOrphan, err := s.desk.Orphans(ctx, "", "", counted)
	if err != nil {
		return err
	}
	for _, o := range orphans {
		if s.c.Now().Sub(o.At) < orphansNew {
			p.Orphans = append(p.Orphans, o)
		}
	}
	failed, nextFailed, err := s.desk.Deliveries(ctx, "", store.DeliveryFailed, "", counted)
	if err != nil {
		return err
	}
	p.Failed = failed
	p.Decisions = tally{
		N:    len(p.Reviews) + len(p.Orphans) + len(p.Failed),
		More: next != "" || nextFailed != "" || nextOrphan != "" && len(p.Orphans) == counted,
	}
	p.Reviews, p.MoreReviews = cut(p.Reviews, next)
	p.Orphans, p.MoreOrphans = cut(p.Orphans, nextOrphan)
	p.Failed, p.MoreDeliveries = cut(p.Failed, nextFailed)
	return nil
}

func (s *visit) loadLatest(p *overviewPage) (err error) {
	p.Latest, _, err = s.desk.Orders(s.r.Context(), store.Filter{}, "", latestRows)
	return err
}

// cut shortens a list for the overview and reports whether there is more of it.
func cut[T any](list []T, next string) ([]T, bool) {
	n := min(len(list), decisionRows)
	return list[:n], n < len(list) || n > 0 && next != ""
}

// midnight is when the day of t began in Beijing.
func midnight(t time.Time) time.Time {
	y, m, d := t.In(beijing).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, beijing)
}
