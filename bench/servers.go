package main

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/caddy-checkout/checkout/internal/store/postgres/pgtest"
)

const (
	uid   = "10000001400000"
	token = "token-of-the-benchmark"
)

// world is the servers of one run.
type world struct {
	dir      string
	self     string
	caddy    map[string]*server // by store, see stores
	apps     map[string]*server // "bare", "orders"
	postgres *pgtest.Server     // nil: none
}

// server is a process that is loaded.
type server struct {
	cmd      *exec.Cmd
	addr     string
	startup  time.Duration // until it answered
	perOrder int64         // bytes on disk, 0: not known
}

// start starts all servers. The world is to be stopped even after an error.
func start(ctx context.Context, dir string, o options) (*world, error) {
	w := &world{dir: dir, caddy: make(map[string]*server), apps: make(map[string]*server)}
	var err error
	if w.self, err = os.Executable(); err != nil {
		return w, err
	}
	binary := filepath.Join(dir, "caddy")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/caddy")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return w, fmt.Errorf("building Caddy (run this from the root of the repository): %w", err)
	}
	for name, args := range map[string][]string{"bare": nil, "orders": {filepath.Join(dir, "app.db")}} {
		addr, err := freeAddr()
		if err != nil {
			return w, err
		}
		s := &server{addr: addr}
		if err := w.process(s, "/", w.self, append([]string{"serve-" + name, addr}, args...)...); err != nil {
			return w, fmt.Errorf("starting %s: %w", name, err)
		}
		w.apps[name] = s
	}
	lines := map[string]string{"sqlite": "sqlite " + filepath.Join(dir, "orders.db")}
	if o.orders > 0 {
		lines["full"] = "sqlite " + filepath.Join(dir, "full.db")
	}
	if o.postgres {
		// As durable as SQLite is.
		if w.postgres, err = pgtest.Launch("fsync=on", "synchronous_commit=on"); err != nil {
			return w, err
		}
		lines["postgres"] = "postgres {env.BENCH_DSN}"
	}
	for name, line := range lines {
		if w.caddy[name], err = w.startCaddy(ctx, name, binary, line, o.orders); err != nil {
			return w, fmt.Errorf("starting Caddy with %s: %w", storeName(name, o), err)
		}
	}
	return w, nil
}

func (w *world) startCaddy(ctx context.Context, name, binary, storeLine string, orders int) (*server, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	s := &server{addr: addr}
	if name == "full" {
		if s.perOrder, err = fill(ctx, filepath.Join(w.dir, "full.db"), addr, orders); err != nil {
			return nil, fmt.Errorf("filling the store: %w", err)
		}
	}
	file := filepath.Join(w.dir, name+".Caddyfile")
	if err := os.WriteFile(file, []byte(w.caddyfile(addr, storeLine)), 0o600); err != nil {
		return nil, err
	}
	return s, w.process(s, reviewPage, binary, "run", "--config", file)
}

func origin(addr string) string { return "http://" + addr }

func (w *world) caddyfile(addr, storeLine string) string {
	return `{
	admin off
	auto_https off
	log {
		level ERROR
	}
	checkout {
		store ` + storeLine + `
	}
}
http://` + addr + ` {
	handle /respond {
		header Content-Type application/json
		respond ` + "`" + answer + "`" + `
	}
	handle /bare {
		reverse_proxy ` + w.apps["bare"].addr + `
	}
	handle /orders {
		reverse_proxy ` + w.apps["orders"].addr + `
	}
	checkout {
		uid ` + uid + `
		token ` + token + `
		origin ` + origin(addr) + `
		gateway http://127.0.0.1:1
		product mug 39.00 "Coffee mug"
		expire 720h
		limits off
	}
}
`
}

// process starts a server and waits until it answers a GET of page.
func (w *world) process(s *server, page, binary string, args ...string) error {
	s.cmd = exec.Command(binary, args...)
	s.cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+w.dir, "XDG_CONFIG_HOME="+w.dir)
	if w.postgres != nil {
		s.cmd.Env = append(s.cmd.Env, "BENCH_DSN="+w.postgres.DSN())
	}
	var said bytes.Buffer
	s.cmd.Stdout, s.cmd.Stderr = &said, &said
	began := time.Now()
	if err := s.cmd.Start(); err != nil {
		return err
	}
	for time.Since(began) < time.Minute {
		if resp, err := http.Get(origin(s.addr) + page); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode < http.StatusInternalServerError {
				s.startup = time.Since(began)
				return nil
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	end(s.cmd)
	return fmt.Errorf("no answer from %s: %s", s.addr, said.String())
}

func (w *world) stop() {
	for _, servers := range []map[string]*server{w.caddy, w.apps} {
		for _, s := range servers {
			if s != nil {
				end(s.cmd)
			}
		}
	}
	if w.postgres != nil {
		if err := w.postgres.Close(); err != nil {
			log.Print(err)
		}
	}
}

func end(cmd *exec.Cmd) {
	_ = cmd.Process.Signal(os.Interrupt)
	_, _ = cmd.Process.Wait()
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// order makes a pending order and returns its id.
func (s *server) order() (string, error) {
	r, err := http.NewRequest(http.MethodPost, origin(s.addr)+"/checkout", strings.NewReader("sku=mug&qty=1"))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	var o struct {
		OrderID string `json:"orderid"`
	}
	if err := json.Unmarshal(body, &o); err != nil || o.OrderID == "" {
		return "", fmt.Errorf("ordering: %s: %s", resp.Status, body)
	}
	return o.OrderID, nil
}

// notify is the notify of an order of one mug.
func (s *server) notify(id string) []byte {
	payid := "P" + id
	sum := md5.Sum([]byte("payid=" + payid + "&orderid=" + id + "&orderuid=&paymoney=39.00&realpay=39.00&token=" + token))
	return post(s.addr, "/checkout/notify", "payid="+payid+"&orderid="+id+"&orderuid=&paymoney=39.00&realpay=39.00&key="+hex.EncodeToString(sum[:]))
}
