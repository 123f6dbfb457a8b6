package main

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	orders "github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/payment"
	"github.com/caddy-checkout/checkout/internal/store"
	"github.com/caddy-checkout/checkout/internal/store/postgres"
	"github.com/caddy-checkout/checkout/internal/store/sqlite"
)

const (
	uid   = "10000001400000"
	token = "token-of-the-benchmark"
)

// world is the servers of one run.
type world struct {
	dir   string
	self  string
	caddy map[string]*server // "sqlite", "postgres"
	apps  map[string]*server // "bare", "orders"
}

// server is a process that is loaded.
type server struct {
	cmd  *exec.Cmd
	addr string
}

func start(ctx context.Context, dir string, o options) (*world, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	w := &world{dir: dir, self: self, caddy: make(map[string]*server), apps: make(map[string]*server)}
	binary := filepath.Join(dir, "caddy")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/caddy")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return nil, fmt.Errorf("building Caddy (run this from the root of the repository): %w", err)
	}
	for name, args := range map[string][]string{"bare": nil, "orders": {filepath.Join(dir, "app.db")}} {
		addr, err := freeAddr()
		if err != nil {
			return nil, err
		}
		if err := w.process(w.apps, name, addr, self, append([]string{"serve-" + name, addr}, args...)...); err != nil {
			return nil, err
		}
	}
	stores := map[string]string{"sqlite": "sqlite " + filepath.Join(dir, "orders.db")}
	if o.postgres != "" {
		stores["postgres"] = "postgres {env.BENCH_DSN}"
	}
	for name, line := range stores {
		addr, err := freeAddr()
		if err != nil {
			return nil, err
		}
		if err := fill(ctx, name, dir, addr, o); err != nil {
			return nil, fmt.Errorf("filling the %s store: %w", name, err)
		}
		file := filepath.Join(dir, name+".Caddyfile")
		if err := os.WriteFile(file, []byte(w.caddyfile(addr, line)), 0o600); err != nil {
			return nil, err
		}
		if err := w.process(w.caddy, name, addr, binary, "run", "--config", file); err != nil {
			return nil, err
		}
	}
	return w, nil
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

// fill writes the orders that a store holds before, straight into it.
func fill(ctx context.Context, name, dir, addr string, o options) error {
	if o.orders == 0 {
		return nil
	}
	var st store.Store
	var err error
	if name == "sqlite" {
		st, err = sqlite.Open(ctx, filepath.Join(dir, "orders.db"))
	} else {
		st, err = postgres.Open(ctx, o.postgres, postgres.Options{})
	}
	if err != nil {
		return err
	}
	shop := payment.ShopID(uid, origin(addr), "/checkout", "http://127.0.0.1:1")
	errs := make(chan error)
	const writers = 256
	for n := range writers {
		go func() {
			for i := n; i < o.orders; i += writers {
				at := time.Now().Add(-time.Duration(o.orders-i) * time.Second)
				err := st.Create(ctx, &orders.Order{
					ID: orders.NewID(at), Shop: shop, State: orders.Paid, Total: 3900, Title: "Coffee mug", Client: "192.0.2.1", Language: "en",
					Lines:     []orders.Line{{SKU: "mug", Name: "Coffee mug", Price: 3900, Qty: 1}},
					Buyer:     orders.Buyer{Name: "Ann Example", Email: "ann@example.com"},
					CreatedAt: at, PaidAt: at, ExpiresAt: at.Add(2 * time.Hour),
					History: []orders.Entry{{At: at, Who: orders.SourceBuyer, What: "created"}, {At: at, Who: orders.SourceNotify, What: "paid"}},
				}, time.Time{}, store.PendingLimits{})
				if err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range writers {
		err = errors.Join(err, <-errs)
	}
	return errors.Join(err, st.Close())
}

// process starts a server and waits until it listens.
func (w *world) process(into map[string]*server, name, addr, binary string, args ...string) error {
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+w.dir, "XDG_CONFIG_HOME="+w.dir, "BENCH_DSN="+postgresDSN())
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return err
	}
	into[name] = &server{cmd: cmd, addr: addr}
	for range 600 {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			return conn.Close()
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("%s does not listen on %s: %s", name, addr, said.String())
}

// postgresDSN is the -postgres flag as it stands in the arguments, so that it
// need not be in a file.
func postgresDSN() string {
	for i, arg := range os.Args {
		if value, ok := strings.CutPrefix(strings.TrimPrefix(arg, "-"), "-postgres="); ok {
			return value
		}
		if (arg == "-postgres" || arg == "--postgres") && i+1 < len(os.Args) {
			return os.Args[i+1]
		}
	}
	return ""
}

func (w *world) stop() {
	for _, servers := range []map[string]*server{w.caddy, w.apps} {
		for _, s := range servers {
			_ = s.cmd.Process.Signal(os.Interrupt)
			_, _ = s.cmd.Process.Wait()
		}
	}
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// cpu is the processor time that a process has used.
func cpu(pid int) (time.Duration, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 13 {
		return 0, errors.New("reading /proc stat")
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	const tick = 10 * time.Millisecond // USER_HZ is 100 on Linux
	return time.Duration(user+system) * tick, errors.Join(err1, err2)
}

// cpuOfPostgres sums up the database's processes, which are found by name.
func cpuOfPostgres() (sum time.Duration) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		comm, err := os.ReadFile(d + "/comm")
		if err != nil || strings.TrimSpace(string(comm)) != "postgres" {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(d))
		if err != nil {
			continue
		}
		if used, err := cpu(pid); err == nil {
			sum += used
		}
	}
	return sum
}

// residentKB is the resident memory of a process.
func residentKB(pid int) (int, error) {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strconv.Atoi(strings.Fields(rest)[0])
		}
	}
	return 0, errors.New("no VmRSS")
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
