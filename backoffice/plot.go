package backoffice

import (
	"math"
	"strconv"
)

// Geometry of the charts, in units of their view box. It suits a phone: there
// a unit is a little less than a pixel.
const (
	plotWidth  = 400
	plotHeight = 240
	plotLeft   = 46 // room for the axis
	plotTop    = 22 // room for a label
	plotBottom = 26 // room for the days
	rowHeight  = 28
	rowLeft    = 108
	rowRight   = 96
)

// plot is a chart that is ready to be drawn.
type plot struct {
	Name          string // prefix of its ids
	Title, Desc   string
	Width, Height int
	Lines         []plotText // of the grid, at Y
	Bars          []bar
	Texts         []plotText
}

// px is a place or a length.
type px float64

func (p px) String() string { return strconv.FormatFloat(float64(p), 'f', 1, 64) }

type bar struct {
	X, Y, Width, Height px
	Class               string // "solid" or "hatched"
	Title               string
	stack               int // which column it is in
}

type plotText struct {
	X, Y   px
	Anchor string // "start", "middle" or "end"
	Text   string
}

// columns are a chart of stacked bars side by side.
type columns struct {
	name   string
	axis   func(int64) string
	floor  int64 // the least distance of grid lines
	days   []string
	stacks [][]column
}

// column is a part of a stack.
type column struct {
	value int64
	class string
	title string
}

func (c *columns) add(day string, stack ...column) {
	c.days = append(c.days, day)
	c.stacks = append(c.stacks, stack)
}

func (c *columns) plot() plot {
	p := plot{Name: c.name, Width: plotWidth, Height: plotHeight}
	highest := int64(0)
	for _, stack := range c.stacks {
		sum := int64(0)
		for _, part := range stack {
			sum += part.value
		}
		highest = max(highest, sum)
	}
	step := gridStep(highest, c.floor)
	top := max(step, (highest+step-1)/step*step)
	ground := px(plotHeight - plotBottom)
	y := func(v int64) px { return ground - (ground-plotTop)*px(v)/px(top) }
	for v := int64(0); v <= top; v += step {
		p.Lines = append(p.Lines, plotText{plotLeft - 6, y(v), "end", c.axis(v)})
	}
	slot := px(plotWidth-plotLeft) / px(max(1, len(c.stacks)))
	width := min(max(slot*.72, 1.5), 36)
	for i, stack := range c.stacks {
		below := int64(0)
		for _, part := range stack {
			if part.value > 0 {
				p.Bars = append(p.Bars, bar{
					X: plotLeft + slot*px(i) + (slot-width)/2, Y: y(below + part.value),
					Width: width, Height: y(below) - y(below+part.value),
					Class: part.class, Title: part.title, stack: i,
				})
			}
			below += part.value
		}
	}
	c.labelDays(&p, slot)
	return p
}

// labelDays writes the first, the middle and the last day.
func (c *columns) labelDays(p *plot, slot px) {
	n := len(c.days)
	if n == 0 {
		return
	}
	at := func(i int, x px, anchor string) {
		p.Texts = append(p.Texts, plotText{x, plotHeight - 8, anchor, c.days[i][len("2006-"):]})
	}
	if n == 1 {
		at(0, plotLeft+slot/2, "middle")
		return
	}
	at(0, plotLeft, "start")
	if n >= 5 {
		at(n/2, plotLeft+slot*px(n/2)+slot/2, "middle")
	}
	at(n-1, plotWidth, "end")
}

// label writes a text over a stack of one part.
func (p *plot) label(stack int, text string) {
	for _, b := range p.Bars {
		if b.stack != stack {
			continue
		}
		t := plotText{b.X + b.Width/2, b.Y - 6, "middle", text}
		switch {
		case t.X < plotLeft+60:
			t.X, t.Anchor = b.X, "start"
		case t.X > plotWidth-60:
			t.X, t.Anchor = b.X+b.Width, "end"
		}
		p.Texts = append(p.Texts, t)
	}
}

// gridStep is a round distance of at most five grid lines up to highest.
func gridStep(highest, floor int64) int64 {
	rough := float64(highest) / 4
	if rough <= float64(floor) {
		return floor
	}
	power := math.Pow10(int(math.Floor(math.Log10(rough))))
	for _, m := range []float64{1, 2, 2.5, 5} {
		if step := m * power; step >= rough && step == math.Trunc(step) {
			return int64(step)
		}
	}
	return int64(10 * power)
}

// rows are a chart of bars one below the other.
func rows(name string, list []payTime) plot {
	p := plot{Name: name, Width: plotWidth, Height: rowHeight*len(list) + 4}
	most := 1
	for _, r := range list {
		most = max(most, r.N)
	}
	for i, r := range list {
		y := px(rowHeight * i)
		width := px(plotWidth-rowLeft-rowRight) * px(r.N) / px(most)
		p.Texts = append(p.Texts,
			plotText{rowLeft - 8, y + 19, "end", r.Name},
			plotText{rowLeft + width + 6, y + 19, "start", strconv.Itoa(r.N) + " · " + strconv.Itoa(r.Percent) + "%"})
		if r.N > 0 {
			p.Bars = append(p.Bars, bar{X: rowLeft, Y: y + 5, Width: max(width, 1), Height: rowHeight - 8, Class: "solid", Title: r.Name + ": " + strconv.Itoa(r.N), stack: i})
		}
	}
	return p
}
