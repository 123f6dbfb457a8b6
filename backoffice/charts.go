package backoffice

import (
	"strconv"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

const (
	chartDays    = 30  // unless asked for otherwise
	maxChartDays = 366 // in one chart
	maxBars      = 92  // beyond, a bar is a week
)

// payTimeBounds name the buckets of [store.Summary].PayTimes.
var payTimeBounds = []string{"1m", "2m", "5m", "10m", "30m", "1h", "1d", "later"}

type chartsPage struct {
	From, To string
	Shop     string
	Shops    []string
	Ranges   []chartRange
	Weekly   bool
	Periods  []period
	Total    period
	PayTimes []payTime
	Paid     int // of which the time to payment is known
	Products []store.ProductSummary
	Money    plot
	Outcome  plot
	Times    plot
}

// chartRange is a link to the charts of the last days.
type chartRange struct {
	Days    int
	Link    string
	Current bool
}

// period is what was sold in a day or a week.
type period struct {
	Day                            string // its first
	Orders, Paid, Expired, Pending int
	Review                         int
	Money                          order.Money // of paid orders
}

// payTime is how many orders were paid within a time.
type payTime struct {
	Name    string
	N       int
	Percent int
}

// charts draws what was sold.
func (s *visit) charts() error {
	query, err := s.query()
	if err != nil {
		return err
	}
	form, f, err := parseFilter(query)
	if err != nil {
		return err
	}
	today := midnight(s.c.Now())
	if f.To.IsZero() {
		f.To = today.AddDate(0, 0, 1)
	}
	if f.From.IsZero() {
		f.From = f.To.AddDate(0, 0, -chartDays)
	}
	days := int(f.To.Sub(f.From).Hours() / 24)
	if days < 1 || days > maxChartDays {
		return errMalformed
	}
	sum, err := s.desk.Summary(s.r.Context(), form.Shop, f.From, f.To, beijing)
	if err != nil {
		return err
	}
	p := chartsPage{
		From: f.From.Format(time.DateOnly), To: f.To.AddDate(0, 0, -1).Format(time.DateOnly),
		Shop: form.Shop, Shops: s.shops(form.Shop), Weekly: days > maxBars, Products: sum.Products,
	}
	for _, n := range []int{7, chartDays, 90, maxChartDays - 1} {
		first := today.AddDate(0, 0, 1-n).Format(time.DateOnly)
		last := filter{Shop: form.Shop, From: first, To: today.Format(time.DateOnly)}
		p.Ranges = append(p.Ranges, chartRange{n, s.route.here("charts", last.values()), last.From == p.From && last.To == p.To})
	}
	p.Periods = periods(sum.Days, f.From, days, p.Weekly)
	for _, d := range p.Periods {
		p.Total.add(d)
	}
	p.PayTimes, p.Paid = s.payTimes(sum.PayTimes)
	p.Money = s.plotMoney(&p)
	p.Outcome = s.plotOutcome(&p)
	p.Times = s.plotTimes(&p)
	return s.render(page{Name: "charts", Body: p})
}

func (p *period) add(q period) {
	p.Orders += q.Orders
	p.Paid += q.Paid
	p.Expired += q.Expired
	p.Pending += q.Pending
	p.Review += q.Review
	p.Money += q.Money
}

// periods spreads the days of a summary over the days from from, or over weeks
// that begin with it. Those without orders are there too.
func periods(sum []store.DaySummary, from time.Time, days int, weekly bool) []period {
	step := 1
	if weekly {
		step = 7
	}
	known := make(map[string]store.DaySummary, len(sum))
	for _, d := range sum {
		known[d.Day] = d
	}
	var list []period
	for i := range days {
		name := from.AddDate(0, 0, i).Format(time.DateOnly)
		if i%step == 0 {
			list = append(list, period{Day: name})
		}
		d := known[name]
		q := period{
			Paid:    d.Orders[order.Paid.String()],
			Expired: d.Orders[order.Expired.String()],
			Pending: d.Orders[order.Pending.String()],
			Review:  d.Orders[order.Review.String()],
			Money:   d.Money[order.Paid.String()],
		}
		q.Orders = q.Paid + q.Expired + q.Pending + q.Review
		list[len(list)-1].add(q)
	}
	return list
}

func (s *visit) payTimes(counts []int) (list []payTime, sum int) {
	for _, n := range counts {
		sum += n
	}
	for i, name := range payTimeBounds {
		t := payTime{Name: s.lang.say("time_" + name)}
		if i < len(counts) {
			t.N = counts[i]
		}
		if sum > 0 {
			t.Percent = (t.N*100 + sum/2) / sum
		}
		list = append(list, t)
	}
	return list, sum
}

// unit is the word for what a bar stands for.
func (p *chartsPage) unit() string {
	if p.Weekly {
		return "week"
	}
	return "day"
}

func (s *visit) plotMoney(p *chartsPage) plot {
	best := 0
	c := columns{name: "money", axis: func(fen int64) string { return s.compact(float64(fen) / 100) }, floor: 100}
	for i, d := range p.Periods {
		if d.Money > p.Periods[best].Money {
			best = i
		}
		c.add(d.Day, column{int64(d.Money), "solid", d.Day + ": " + yuan(d.Money)})
	}
	pl := c.plot()
	pl.Title = s.lang.say("chart_money_" + p.unit())
	pl.Desc = s.lang.say("chart_none")
	if p.Total.Money > 0 {
		top := p.Periods[best]
		pl.Desc = s.lang.say("chart_money_desc", p.From, p.To, yuan(p.Total.Money), top.Day, yuan(top.Money))
		pl.label(best, yuan(top.Money))
	}
	return pl
}

func (s *visit) plotOutcome(p *chartsPage) plot {
	c := columns{name: "outcome", axis: func(n int64) string { return s.compact(float64(n)) }, floor: 1}
	for _, d := range p.Periods {
		c.add(d.Day,
			column{int64(d.Paid), "solid", d.Day + ": " + s.lang.say("state_paid") + " " + strconv.Itoa(d.Paid)},
			column{int64(d.Expired), "hatched", d.Day + ": " + s.lang.say("state_expired") + " " + strconv.Itoa(d.Expired)})
	}
	pl := c.plot()
	pl.Title = s.lang.say("chart_outcome_" + p.unit())
	pl.Desc = s.lang.say("chart_none")
	if n := p.Total.Paid + p.Total.Expired; n > 0 {
		pl.Desc = s.lang.say("chart_outcome_desc", p.From, p.To, p.Total.Paid, p.Total.Expired, (p.Total.Paid*100+n/2)/n)
	}
	return pl
}

func (s *visit) plotTimes(p *chartsPage) plot {
	pl := rows("times", p.PayTimes)
	pl.Title = s.lang.say("chart_times")
	pl.Desc = s.lang.say("chart_none")
	if p.Paid > 0 {
		quick := p.PayTimes[0].N + p.PayTimes[1].N + p.PayTimes[2].N
		pl.Desc = s.lang.say("chart_times_desc", p.Paid, (quick*100+p.Paid/2)/p.Paid)
	}
	return pl
}

// compact writes a number for an axis, as short as the language allows.
func (s *visit) compact(v float64) string {
	size, suffix := 1.0, ""
	switch {
	case s.lang == chinese && v >= 1e8:
		size, suffix = 1e8, "亿"
	case s.lang == chinese && v >= 1e4:
		size, suffix = 1e4, "万"
	case s.lang == english && v >= 1e6:
		size, suffix = 1e6, "M"
	case s.lang == english && v >= 1e3:
		size, suffix = 1e3, "k"
	}
	return strconv.FormatFloat(v/size, 'f', -1, 64) + suffix
}
