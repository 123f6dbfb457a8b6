package sandbox

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// What one message may take in memory.
const (
	maxValueBytes = 600
	maxFields     = 16
)

// field is a named value in the order of the protocol's table.
type field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func valuesOf(fields []field) []string {
	values := make([]string, len(fields))
	for i, f := range fields {
		values[i] = f.Value
	}
	return values
}

// The kinds of messages.
const (
	kindPay     = "pay"
	kindNotify  = "notify"
	kindReturn  = "return"
	kindStatus  = "status"
	kindBalance = "balance"
)

// message is one that was received or sent. It is not changed once recorded.
type message struct {
	ID      int64     `json:"id"`
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"`
	Sent    bool      `json:"sent"` // false: received
	OrderID string    `json:"orderid"`
	URL     string    `json:"url,omitempty"` // where it was sent to
	Fields  []field   `json:"fields"`
	Try     int       `json:"try,omitempty"`  // of a notify, from 1
	HTTP    int       `json:"http,omitempty"` // status that was answered, by either side
	Reply   string    `json:"reply"`          // beginning of the body that was answered
	OK      bool      `json:"ok"`
	Hashed  string    `json:"hashed,omitempty"` // on a key mismatch: the string, token masked
	Verdict verdict   `json:"verdict"`
}

// MarshalJSON adds the first reason's code.
func (m *message) MarshalJSON() ([]byte, error) {
	type plain message
	return json.Marshal(struct {
		*plain
		Code string `json:"code"`
	}{(*plain)(m), m.Verdict.code()})
}

// journal keeps the newest max messages.
type journal struct {
	max     int
	last    int64
	all     []*message    // oldest first
	changed chan struct{} // closed and replaced by every record
}

// record bounds and masks m, and makes it visible.
func (g *Gateway) record(m *message) *message {
	if len(m.Fields) > maxFields {
		m.Fields = m.Fields[:maxFields]
	}
	fields := make([]field, len(m.Fields))
	for i, f := range m.Fields {
		fields[i] = field{g.shorten(f.Name), g.shorten(f.Value)}
	}
	m.Fields = fields
	m.OrderID, m.URL, m.Hashed = g.shorten(m.OrderID), g.mask(m.URL), g.mask(m.Hashed)
	m.Reply = g.shorten(m.Reply)
	m.Verdict = g.masked(m.Verdict)

	g.mu.Lock()
	g.log.last++
	m.ID = g.log.last
	if m.At.IsZero() {
		m.At = g.c.Now()
	}
	g.log.all = append(g.log.all, m)
	if len(g.log.all) > g.log.max {
		g.log.all[0] = nil
		g.log.all = g.log.all[1:]
	}
	close(g.log.changed)
	g.log.changed = make(chan struct{})
	g.mu.Unlock()

	g.c.Log.Debug("sandbox message", "kind", m.Kind, "sent", m.Sent, "orderid", m.OrderID, "verdict", m.Verdict.code())
	return m
}

// shorten masks before it cuts, so that no half token is left over.
func (g *Gateway) shorten(s string) string {
	s = g.mask(s)
	if len(s) <= maxValueBytes {
		return s
	}
	return strings.ToValidUTF8(s[:maxValueBytes], "") + "…"
}

// filter says which messages are wanted; zero members do not matter.
type filter struct {
	orderid, kind, code string
	after, before       int64
	limit               int
}

// find returns the matching messages, newest first, and a channel that is
// closed with the next record.
func (g *Gateway) find(f filter) ([]*message, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()

	found := []*message{}
	for _, m := range slices.Backward(g.log.all) {
		switch {
		case m.ID <= f.after || (f.limit > 0 && len(found) == f.limit):
			return found, g.log.changed
		case f.before > 0 && m.ID >= f.before,
			f.orderid != "" && m.OrderID != f.orderid,
			f.kind != "" && m.Kind != f.kind,
			f.code != "" && m.Verdict.code() != f.code:
			continue
		}
		found = append(found, m)
	}
	return found, g.log.changed
}
