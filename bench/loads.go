package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"time"
)

// kind is one thing that is measured.
type kind struct {
	name     string
	store    string // the Caddy that is loaded: "sqlite", "full" or "postgres"
	app      string // the program behind it, if any
	status   string
	once     bool
	requests func(s *server, o options) ([][]byte, error)
	results  []measured
}

// measured is one round.
type measured struct {
	perSecond float64
	p50, p99  time.Duration
	cpu       time.Duration // of all servers, per request
}

func fixed(request func(s *server) []byte) func(*server, options) ([][]byte, error) {
	return func(s *server, _ options) ([][]byte, error) { return [][]byte{request(s)}, nil }
}

const (
	form       = "sku=mug&qty=2"
	reviewPage = "/checkout?sku=mug&qty=2"
)

// stores are the stores that may be measured.
var stores = []string{"sqlite", "full", "postgres"}

func storeName(store string, o options) string {
	switch store {
	case "full":
		return fmt.Sprintf("SQLite, %d orders", o.orders)
	case "postgres":
		return "PostgreSQL"
	}
	return "SQLite"
}

func (w *world) loads(o options) []*kind {
	loads := []*kind{
		{name: "respond", store: "sqlite", status: "200", requests: fixed(func(s *server) []byte { return post(s.addr, "/respond", form) })},
		{name: "proxied bare Go", store: "sqlite", app: "bare", status: "200", requests: fixed(func(s *server) []byte { return post(s.addr, "/bare", form) })},
		{name: "proxied order app", store: "sqlite", app: "orders", status: "200", requests: fixed(func(s *server) []byte { return post(s.addr, "/orders", form) })},
		{name: "review page", store: "sqlite", status: "200", requests: fixed(func(s *server) []byte { return get(s.addr, reviewPage) })},
	}
	for _, st := range stores {
		if w.caddy[st] == nil {
			continue
		}
		name := ", " + storeName(st, o)
		loads = append(loads,
			&kind{name: "checkout" + name, store: st, status: "200", requests: fixed(func(s *server) []byte { return post(s.addr, "/checkout", form) })},
			&kind{name: "notify" + name, store: st, status: "200", once: true, requests: notifies},
			&kind{name: "status, paid" + name, store: st, status: "200", requests: paidStatus},
		)
	}
	return loads
}

// notifies makes as many orders as may be paid in the time, and their notifies.
func notifies(s *server, o options) ([][]byte, error) {
	n := int(o.duration.Seconds() * 20000)
	requests := make([][]byte, n)
	errs := make([]error, o.clients)
	var wg sync.WaitGroup
	for c := range o.clients {
		wg.Go(func() {
			for i := c; i < n && errs[c] == nil; i += o.clients {
				var id string
				id, errs[c] = s.order()
				requests[i] = s.notify(id)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return requests, nil
}

// paidStatus asks for one order that is paid.
func paidStatus(s *server, o options) ([][]byte, error) {
	id, err := s.order()
	if err != nil {
		return nil, err
	}
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write(bytes.Replace(s.notify(id), []byte("\r\nAccept"), []byte("\r\nConnection: close\r\nAccept"), 1)); err != nil {
		return nil, err
	}
	said, err := io.ReadAll(conn)
	if err != nil || !bytes.Contains(said, []byte("success")) {
		return nil, fmt.Errorf("paying: %q, %w", said, err)
	}
	return [][]byte{get(s.addr, "/checkout/status?orderid="+id)}, nil
}

// measure runs one load of one kind.
func (w *world) measure(ctx context.Context, k *kind, o options) error {
	s := w.caddy[k.store]
	requests, err := k.requests(s, o)
	if err != nil {
		return err
	}
	job, err := json.Marshal(order{Addr: s.addr, Clients: o.clients, Duration: o.duration, Status: k.status, Requests: requests, Once: k.once})
	if err != nil {
		return err
	}
	before, err := w.cpu(k)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, w.self, "load")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(job), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return err
	}
	after, err := w.cpu(k)
	if err != nil {
		return err
	}
	var r result
	if err := json.Unmarshal(out, &r); err != nil {
		return err
	}
	if r.Requests == 0 {
		return fmt.Errorf("no request was answered")
	}
	k.results = append(k.results, measured{
		perSecond: float64(r.Requests) / r.Took.Seconds(), p50: r.P50, p99: r.P99, cpu: (after - before) / time.Duration(r.Requests),
	})
	return nil
}

// cpu is the processor time of all servers that answer a kind.
func (w *world) cpu(k *kind) (time.Duration, error) {
	sum, err := cpu(w.caddy[k.store].cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	if k.app != "" {
		used, err := cpu(w.apps[k.app].cmd.Process.Pid)
		if err != nil {
			return 0, err
		}
		sum += used
	}
	if k.store == "postgres" {
		sum += cpuOfPostgres()
	}
	return sum, nil
}

// measureWaiters lets n buyers wait for their orders and says what that costs.
func (w *world) measureWaiters(out io.Writer, n int) error {
	s := w.caddy["sqlite"]
	id, err := s.order()
	if err != nil {
		return err
	}
	before, err := residentKB(s.cmd.Process.Pid)
	if err != nil {
		return err
	}
	conns := make([]net.Conn, 0, n)
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	request := get(s.addr, "/checkout/status?orderid="+id+"&wait=30")
	for range n {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			return err
		}
		conns = append(conns, c)
		if _, err := c.Write(request); err != nil {
			return err
		}
	}
	time.Sleep(3 * time.Second) // the last ones settle; nothing tells when
	after, err := residentKB(s.cmd.Process.Pid)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "\n%d waiting buyers: %.1f kB each (resident memory %d MB, before %d MB)\n",
		n, float64(after-before)/float64(n), after/1024, before/1024)
	return err
}
