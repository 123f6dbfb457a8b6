package sandbox

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// ReplyBytes is how much of an answer to a notify is shown.
	ReplyBytes = 200
	// MaxBurst is how many notifies one command can send at once.
	MaxBurst = 256

	maxSending   = 1024
	maxReplyRead = 64 << 10
)

var errBusy = errors.New("too many notifies under way")

// notice is a notify ready to be sent. It is not changed once made.
type notice struct {
	url, orderid string
	fields       []field
}

// delivery is a notice and its tries. Gateway.mu guards tries.
type delivery struct {
	n     *notice
	tries []*message
	first chan struct{} // closed when the first try is over, or none will be made
	done  chan struct{} // closed when no try is left
}

// notifyClient bounds the time and follows no redirect: a merchant must answer
// at notifyurl itself.
func notifyClient(c Config) *http.Client {
	client := &http.Client{}
	if c.Client != nil {
		*client = *c.Client
	} else {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.Proxy = nil
		client.Transport = t
	}
	client.Timeout = c.NotifyTimeout
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client
}

// send delivers every notice at once, each in a goroutine of its own, after delay.
func (g *Gateway) send(delay time.Duration, notices ...*notice) ([]*delivery, error) {
	g.mu.Lock()
	defer g.mu.Unlock()

	if g.closed {
		return nil, errors.New("sandbox is closed")
	}
	if g.sending+len(notices) > maxSending {
		return nil, errBusy
	}
	deliveries := make([]*delivery, len(notices))
	for i, n := range notices {
		d := &delivery{n: n, first: make(chan struct{}), done: make(chan struct{})}
		deliveries[i] = d
		g.sending++
		g.notices.Go(func() { g.deliver(d, delay) })
	}
	return deliveries, nil
}

func (g *Gateway) deliver(d *delivery, delay time.Duration) {
	defer func() {
		g.mu.Lock()
		g.sending--
		g.mu.Unlock()
		close(d.done)
	}()

	ok := g.sleep(delay)
	if !ok {
		close(d.first)
		return
	}
	for try := 1; ; try++ {
		m := g.record(g.try(d.n, try))
		g.mu.Lock()
		d.tries = append(d.tries, m)
		g.mu.Unlock()
		if try == 1 {
			close(d.first)
		}
		switch m.Verdict.code() {
		case "acknowledged", "lost", "aborted":
			return
		}
		if try > g.c.NotifyRetries || !g.sleep(g.c.NotifyInterval) {
			return
		}
	}
}

// try posts n once and says what came of it.
func (g *Gateway) try(n *notice, try int) *message {
	m := &message{At: g.c.Now(), Kind: kindNotify, Sent: true, OrderID: n.orderid, URL: n.url, Fields: n.fields, Try: try}
	g.mu.Lock()
	lose := g.faults.notify == notifyLose
	g.mu.Unlock()
	if lose {
		m.Verdict = because("lost")
		return m
	}

	form := make(url.Values, len(n.fields))
	for _, f := range n.fields {
		form.Add(f.Name, f.Value)
	}
	req, err := http.NewRequestWithContext(g.ctx, http.MethodPost, n.url, strings.NewReader(form.Encode()))
	if err != nil {
		m.Verdict = because("no_answer", "notifyurl cannot be requested")
		return m
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("User-Agent", "checkout-sandbox")
	resp, err := g.client.Do(req)
	if err != nil {
		m.Verdict = because("no_answer", reasonOf(err))
		if g.ctx.Err() != nil {
			m.Verdict = because("aborted")
		}
		return m
	}
	defer resp.Body.Close()

	// The status alone counts; a body that breaks off changes nothing.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, ReplyBytes))
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxReplyRead))
	m.HTTP = resp.StatusCode
	m.Reply = strings.ToValidUTF8(string(body), "�")
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		m.OK = true
		m.Verdict = because("acknowledged", resp.StatusCode)
	case resp.StatusCode < 400:
		m.Verdict = because("redirected", resp.StatusCode)
	default:
		m.Verdict = because("refused", resp.StatusCode)
	}
	return m
}

// reasonOf leaves out the URL, which the message shows already.
func reasonOf(err error) string {
	var nerr net.Error
	if errors.Is(err, context.DeadlineExceeded) || (errors.As(err, &nerr) && nerr.Timeout()) {
		return "timeout"
	}
	var uerr *url.Error
	if errors.As(err, &uerr) {
		err = uerr.Err
	}
	return err.Error()
}

// sleep reports whether d went by before Close.
func (g *Gateway) sleep(d time.Duration) bool {
	if d <= 0 {
		return g.ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-g.ctx.Done():
		return false
	}
}
