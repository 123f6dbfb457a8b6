package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-checkout/checkout/sign"
)

// maxWait bounds how long messages may be waited for.
const maxWait = time.Minute

var errCommand = errors.New("malformed command")

// command is the body of every POST under /sandbox/; each uses its own members.
type command struct {
	OrderID  string            `json:"orderid"`
	RealPay  string            `json:"realpay"`
	Force    bool              `json:"force"`
	Count    int               `json:"count"`
	Set      map[string]string `json:"set"`
	Key      string            `json:"key"`
	NewPayID bool              `json:"new_payid"`
	Wait     string            `json:"wait"`
	Status   *string           `json:"status"`
	Balance  *string           `json:"balance"`
	Notify   *string           `json:"notify"`
}

// noticeView is a delivery so far.
type noticeView struct {
	Code  string     `json:"code"` // of the last try; empty: none was answered
	Tries []*message `json:"tries"`
}

func (g *Gateway) serveCommand(w http.ResponseWriter, r *http.Request) {
	c, form, err := readCommand(r)
	if err != nil {
		writeError(w, err)
		return
	}
	var answer any
	switch name := r.PathValue("command"); name {
	case "pay":
		answer, err = g.commandPay(r, c)
	case "notify":
		answer, err = g.commandNotify(r, c)
	case "cancel":
		answer, err = g.commandShut(c, stateCancelled)
	case "timeout":
		answer, err = g.commandShut(c, stateTimeout)
	case "misbehave":
		answer, err = g.commandMisbehave(c)
	default:
		http.NotFound(w, r)
		return
	}
	switch {
	case err != nil && form:
		g.excuse(w, r, err)
	case err != nil:
		writeError(w, err)
	case form:
		http.Redirect(w, r, "/inspector", http.StatusSeeOther)
	default:
		writeJSON(w, http.StatusOK, answer)
	}
}

// readCommand reads JSON, or a form, whose "set.x" is the member x of set.
func readCommand(r *http.Request) (c command, form bool, err error) {
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if media == "application/x-www-form-urlencoded" {
		values, v := readBody(r)
		if v != nil {
			return c, true, fmt.Errorf("%w: %s", errCommand, v.text(english))
		}
		c.Set = make(map[string]string)
		for name := range values {
			value := values.Get(name)
			if key, ok := strings.CutPrefix(name, "set."); ok {
				c.Set[key] = value
				continue
			}
			switch name {
			case "orderid":
				c.OrderID = value
			case "realpay":
				c.RealPay = value
			case "force":
				c.Force = true
			case "count":
				if c.Count, err = strconv.Atoi(value); err != nil {
					return c, true, fmt.Errorf("%w: count is no number", errCommand)
				}
			case "key":
				c.Key = value
			case "new_payid":
				c.NewPayID = true
			case "status":
				c.Status = &value
			case "balance":
				c.Balance = &value
			case "notify":
				c.Notify = &value
			default:
				return c, true, fmt.Errorf("%w: unknown field %q", errCommand, name)
			}
		}
		return c, true, nil
	}
	if media != "application/json" {
		return c, false, fmt.Errorf("%w: want application/json", errCommand)
	}
	d := json.NewDecoder(io.LimitReader(r.Body, maxFormBytes))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return c, false, fmt.Errorf("%w: %w", errCommand, err)
	}
	return c, false, nil
}

func (g *Gateway) commandPay(r *http.Request, c command) (any, error) {
	if err := checkWait(c.Wait); err != nil {
		return nil, err
	}
	n, err := g.pay(c.OrderID, c.RealPay, c.Force)
	if err != nil {
		return nil, err
	}
	return g.sendAndWait(r, c, []*notice{n})
}

func (g *Gateway) commandNotify(r *http.Request, c command) (any, error) {
	if err := checkWait(c.Wait); err != nil {
		return nil, err
	}
	if c.Count == 0 {
		c.Count = 1
	}
	if c.Count < 1 || c.Count > MaxBurst {
		return nil, fmt.Errorf("%w: count is %d; want 1 to %d", errCommand, c.Count, MaxBurst)
	}
	n, err := g.spoil(c)
	if err != nil {
		return nil, err
	}
	return g.sendAndWait(r, c, slices.Repeat([]*notice{n}, c.Count))
}

// spoil makes the notify of the last payment, changed as c says.
func (g *Gateway) spoil(c command) (*notice, error) {
	g.mu.Lock()
	defer g.mu.Unlock()

	e, ok := g.book.byID[c.OrderID]
	if !ok {
		return nil, errUnknownOrder
	}
	if len(e.payments) == 0 {
		return nil, fmt.Errorf("%w: the order was not paid", errState)
	}
	n, err := g.noticeOf(e, e.payments[len(e.payments)-1])
	if err != nil {
		return nil, err
	}
	signed := n.fields[:len(n.fields)-1]
	if c.NewPayID {
		signed[0].Value = newPayID()
	}
	for name, value := range c.Set {
		i := slices.IndexFunc(signed, func(f field) bool { return f.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("%w: %q is no signed field of a notify", errCommand, name)
		}
		signed[i].Value = value
	}
	key := &n.fields[len(signed)].Value
	switch c.Key {
	case "", "right":
		if *key, err = sign.Notify.Key(g.c.Token, valuesOf(signed)...); err != nil {
			return nil, fmt.Errorf("%w: set: %w", errCommand, err)
		}
	case "old":
	case "wrong":
		*key = strings.Map(func(d rune) rune { return rune("fedcba9876543210"[strings.IndexRune("0123456789abcdef", d)]) }, *key)
	case "none":
		n.fields = signed
	default:
		return nil, fmt.Errorf("%w: key is %q; want right, old, wrong or none", errCommand, c.Key)
	}
	return n, nil
}

func (g *Gateway) commandShut(c command, state string) (any, error) {
	if err := g.shut(c.OrderID, state); err != nil {
		return nil, err
	}
	return map[string]any{"orders": g.orders(c.OrderID, 1)}, nil
}

func (g *Gateway) commandMisbehave(c command) (any, error) {
	g.mu.Lock()
	defer g.mu.Unlock()

	next := g.faults
	for _, s := range []struct {
		name  string
		want  *string
		dest  *string
		known []string
	}{
		{"status", c.Status, &next.status, StatusFaults},
		{"balance", c.Balance, &next.balance, BalanceFaults},
		{"notify", c.Notify, &next.notify, notifyFaults},
	} {
		if s.want == nil {
			continue
		}
		if *s.want != "" && !slices.Contains(s.known, *s.want) {
			return nil, fmt.Errorf("%w: %s cannot be %q; want \"\" or one of %s", errCommand, s.name, *s.want, strings.Join(s.known, ", "))
		}
		*s.dest = *s.want
	}
	g.faults = next
	return map[string]string{"status": next.status, "balance": next.balance, "notify": next.notify}, nil
}

func checkWait(wait string) error {
	if wait != "" && wait != "first" && wait != "done" {
		return fmt.Errorf("%w: wait is %q; want first or done", errCommand, wait)
	}
	return nil
}

// sendAndWait answers when what c waits for has happened, or the client or the
// sandbox is gone.
func (g *Gateway) sendAndWait(r *http.Request, c command, notices []*notice) (any, error) {
	deliveries, err := g.send(0, notices...)
	if err != nil {
		return nil, err
	}
	for _, d := range deliveries {
		var event chan struct{} // nil: never
		switch c.Wait {
		case "first":
			event = d.first
		case "done":
			event = d.done
		default:
			continue
		}
		select {
		case <-event:
		case <-r.Context().Done():
		}
	}

	g.mu.Lock()
	defer g.mu.Unlock()
	answer := struct {
		Order    *orderView   `json:"order,omitempty"`
		Notifies []noticeView `json:"notifies"`
	}{Notifies: make([]noticeView, len(deliveries))}
	if e, ok := g.book.byID[c.OrderID]; ok {
		v := g.view(e)
		answer.Order = &v
	}
	for i, d := range deliveries {
		answer.Notifies[i].Tries = append([]*message{}, d.tries...)
		if len(d.tries) > 0 {
			answer.Notifies[i].Code = d.tries[len(d.tries)-1].Verdict.code()
		}
	}
	return answer, nil
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func writeError(w http.ResponseWriter, err error) {
	writeJSON(w, statusOfError(err), map[string]string{"error": err.Error()})
}

func statusOfError(err error) int {
	switch {
	case errors.Is(err, errUnknownOrder):
		return http.StatusNotFound
	case errors.Is(err, errState):
		return http.StatusConflict
	case errors.Is(err, errCommand), errors.Is(err, errAmount):
		return http.StatusBadRequest
	}
	return http.StatusServiceUnavailable
}
