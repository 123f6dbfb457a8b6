package postgres

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
)

// proxy stands between a store and its server.
type proxy struct {
	server string
	socket net.Listener
	copies sync.WaitGroup

	mu      sync.Mutex
	refuses bool // new connections
	links   []*link
}

// link is a connection through a proxy.
type link struct {
	client, server net.Conn
	listens        atomic.Bool // it is the one that notices come by
	dead           atomic.Bool // what is said is swallowed, and nobody is told
}

// throughProxy returns a proxy and the DSN that leads through it.
func throughProxy(t testing.TB, dsn string) (*proxy, string) {
	t.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "pg") // not t.TempDir: the path of a Unix socket is limited to 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	const name = ".s.PGSQL.5432"
	p := &proxy{server: filepath.Join(cfg.Host, name)}
	if p.socket, err = (&net.ListenConfig{}).Listen(t.Context(), "unix", filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
	p.copies.Go(p.accept)
	t.Cleanup(func() {
		_ = p.socket.Close()
		p.each(func(l *link) { _, _ = l.client.Close(), l.server.Close() })
		p.copies.Wait()
		_ = os.RemoveAll(dir)
	})
	return p, strings.Replace(dsn, filepath.Base(cfg.Host), filepath.Base(dir), 1) // both are in the same folder
}

func (p *proxy) accept() {
	for {
		client, err := p.socket.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		server, err := net.Dial("unix", p.server)
		if p.refuses || err != nil {
			_ = client.Close()
			if err == nil {
				_ = server.Close()
			}
			p.mu.Unlock()
			continue
		}
		l := &link{client: client, server: server}
		p.links = append(p.links, l)
		p.mu.Unlock()
		p.copies.Go(func() { l.pass(client, server) })
		p.copies.Go(func() {
			l.pass(server, client)
			_ = client.Close()
		})
	}
}

// refuse sets whether new connections are refused.
func (p *proxy) refuse(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuses = yes
}

// each calls fn for every link there was.
func (p *proxy) each(fn func(*link)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.links {
		fn(l)
	}
}

// pass passes on what from says until it ends. That is not passed on to the
// server.
func (l *link) pass(from, to net.Conn) {
	buf := make([]byte, 1<<16)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if bytes.Contains(buf[:n], []byte("LISTEN ")) {
			l.listens.Store(true)
		}
		if !l.dead.Load() {
			_, _ = to.Write(buf[:n]) // that it is closed shows when it is read
		}
	}
}
