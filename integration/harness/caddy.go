package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// Token is the secret of the shops in tests. No log may ever hold it.
const Token = "canary-0f3b8c1d9e72a465-token"

// Caddy is a Caddy process with a directory, sockets and logs of its own. The
// test ends it.
type Caddy struct {
	Dir string   // its home: data and configuration live below
	Env []string // added to its small environment; set before Start

	t       testing.TB
	sockets []socket
	admin   *http.Client
	cmd     *exec.Cmd
	exited  chan struct{}
	exit    error
	log     *os.File
}

// socket is a listening socket that is handed to the process, so that nobody
// else can take its port, and requests wait while Caddy starts.
type socket struct {
	port int
	file *os.File
}

// NewCaddy makes a Caddy that does not run yet.
func NewCaddy(t testing.TB) *Caddy {
	t.Helper()
	// Not t.TempDir: the path of a Unix socket holds 100 bytes at most.
	dir, err := os.MkdirTemp("", "shop-caddy")
	if err != nil {
		t.Fatal(err)
	}
	c := &Caddy{t: t, Dir: dir}
	c.log, err = os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	c.admin = &http.Client{
		Timeout: Failsafe,
		Transport: &http.Transport{
			DisableKeepAlives: true, // each load closes the endpoint
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", c.adminSocket())
			},
		},
	}
	t.Cleanup(c.close)
	return c
}

// Listen opens a port on 127.0.0.1 that Caddy will serve, and returns it.
func (c *Caddy) Listen() int {
	c.t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	defer ln.Close()
	file, err := ln.(*net.TCPListener).File()
	if err != nil {
		c.t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	c.sockets = append(c.sockets, socket{port, file})
	return port
}

// Start runs Caddy with a Caddyfile and returns when it serves and its store,
// if it has one, is open: Caddy's own start waits for that only so long.
func (c *Caddy) Start(caddyfile string) {
	c.t.Helper()
	c.StartWithoutStore(caddyfile)
	Await(c.t, "the store to open", func() bool {
		_, metrics := c.Admin(http.MethodGet, "/metrics", nil)
		return !strings.Contains(metrics, "\ncaddy_checkout_store_up 0\n")
	})
}

// StartWithoutStore is Start for a Caddy whose store cannot be opened.
func (c *Caddy) StartWithoutStore(caddyfile string) {
	c.t.Helper()
	if err := c.TryStart(caddyfile); err != nil {
		c.t.Fatalf("%v\n%s", err, c.Logs())
	}
}

// TryStart is StartWithoutStore for a Caddy that may refuse.
func (c *Caddy) TryStart(caddyfile string) error {
	config, err := c.config(caddyfile)
	if err != nil {
		return err
	}
	file := filepath.Join(c.Dir, "config.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return err
	}
	c.cmd = c.Command("run", "--config", file)
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	for _, s := range c.sockets {
		c.cmd.ExtraFiles = append(c.cmd.ExtraFiles, s.file)
	}
	if err := c.cmd.Start(); err != nil {
		return err
	}
	c.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		c.exit = cmd.Wait()
		close(exited)
	}(c.cmd, c.exited)
	return c.awaitReady()
}

// awaitReady asks the admin endpoint until it knows of running apps.
func (c *Caddy) awaitReady() error {
	deadline := time.Now().Add(Failsafe)
	for {
		select {
		case <-c.exited:
			return fmt.Errorf("caddy exited: %w", c.exit)
		case <-time.After(20 * time.Millisecond):
		}
		if c.serves() {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.New("caddy did not get ready")
		}
	}
}

func (c *Caddy) serves() bool {
	resp, err := c.admin.Get("http://caddy/config/apps")
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return err == nil && resp.StatusCode == http.StatusOK && !bytes.Equal(bytes.TrimSpace(body), []byte("null"))
}

// Reload loads another Caddyfile into the running Caddy, and returns when the
// servers of the former one and its admin endpoint are gone: until then
// net/http closes connections that they accept, without an answer.
func (c *Caddy) Reload(caddyfile string) error {
	config, err := c.config(caddyfile)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(http.MethodPost, "http://caddy/load", bytes.NewReader(config))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Cache-Control", "must-revalidate") // load it though it is the same
	resp, err := c.admin.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("loading: %s: %s", resp.Status, body)
	}
	Await(c.t, "the former servers to stop", func() bool {
		_, goroutines, err := c.ask(http.MethodGet, "/debug/pprof/goroutine?debug=1", nil)
		return err == nil && !strings.Contains(goroutines, "caddyhttp.(*App).stop") && !strings.Contains(goroutines, "caddy/v2.stopAdminServer")
	})
	return nil
}

// Admin asks the admin endpoint; path begins with a slash.
func (c *Caddy) Admin(method, path string, body io.Reader) (status int, answer string) {
	c.t.Helper()
	status, answer, err := c.ask(method, path, body)
	if err != nil {
		c.t.Fatalf("asking the admin endpoint: %v\n%s", err, c.Logs())
	}
	return status, answer
}

func (c *Caddy) ask(method, path string, body io.Reader) (status int, answer string, err error) {
	req, err := http.NewRequest(method, "http://caddy"+path, body)
	if err != nil {
		return 0, "", err
	}
	resp, err := c.admin.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// AdminAddress is what the --address flag of Caddy's commands takes.
func (c *Caddy) AdminAddress() string { return "unix/" + c.adminSocket() }

func (c *Caddy) adminSocket() string { return filepath.Join(c.Dir, "admin.sock") }

// Run runs a command of Caddy to its end, with the environment of the process.
func (c *Caddy) Run(args ...string) (output string, err error) {
	out, err := c.Command(args...).CombinedOutput()
	return string(out), err
}

// Validate runs caddy validate on a Caddyfile.
func (c *Caddy) Validate(caddyfile string) (output string, err error) {
	file := filepath.Join(c.Dir, "Caddyfile.validate")
	if err := os.WriteFile(file, []byte(caddyfile), 0o600); err != nil {
		return "", err
	}
	return c.Run("validate", "--config", file, "--adapter", "caddyfile")
}

// Kill ends the process as a power failure does: at once.
func (c *Caddy) Kill() {
	if c.cmd == nil {
		return
	}
	_ = c.cmd.Process.Kill() // it may have ended by itself
	<-c.exited
	c.cmd = nil
}

// Stop asks Caddy to stop and waits until it has.
func (c *Caddy) Stop() {
	c.t.Helper()
	if c.cmd == nil {
		return
	}
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		c.t.Errorf("stopping caddy: %v", err)
	}
	select {
	case <-c.exited:
		c.cmd = nil
	case <-time.After(Failsafe):
		c.t.Errorf("caddy did not stop\n%s", c.Logs())
		c.Kill()
	}
}

// PID is the process's number.
func (c *Caddy) PID() int { return c.cmd.Process.Pid }

// Logs returns everything that Caddy wrote, from every start.
func (c *Caddy) Logs() string {
	b, err := os.ReadFile(c.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// AwaitLog waits until a line of the log holds every word.
func (c *Caddy) AwaitLog(words ...string) string {
	c.t.Helper()
	var found string
	Await(c.t, "a log line with "+strings.Join(words, ", "), func() bool {
		for line := range strings.Lines(c.Logs()) {
			if containsAll(line, words) {
				found = line
				return true
			}
		}
		return false
	})
	return found
}

func containsAll(s string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(s, w) {
			return false
		}
	}
	return true
}

// Await asks done until it is true.
func Await(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Failsafe); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// Command is a command of Caddy, with the environment of the process.
func (c *Caddy) Command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Dir = c.Dir
	cmd.Env = append([]string{
		asCaddy + "=1",
		"HOME=" + c.Dir,
		"PATH=" + os.Getenv("PATH"),
		"XDG_CONFIG_HOME=" + filepath.Join(c.Dir, "config"),
		"XDG_DATA_HOME=" + filepath.Join(c.Dir, "data"),
		"CHECKOUT_TOKEN=" + Token,
		"GORACE=halt_on_error=0",
	}, c.Env...)
	return cmd
}

// config adapts a Caddyfile and puts the test's sockets into it: the admin
// endpoint's, and those of the ports that Listen opened.
func (c *Caddy) config(caddyfile string) ([]byte, error) {
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return nil, fmt.Errorf("adapting: %w", err)
	}
	var config map[string]any
	if err := json.Unmarshal(adapted, &config); err != nil {
		return nil, fmt.Errorf("reading the adapted config: %w", err)
	}
	config["admin"] = map[string]any{"listen": c.AdminAddress()}
	if config["logging"] == nil {
		config["logging"] = map[string]any{"logs": map[string]any{"default": map[string]any{"level": "DEBUG"}}}
	}
	for _, server := range servers(config) {
		listen, _ := server["listen"].([]any)
		for i, address := range listen {
			for n, s := range c.sockets {
				if strings.HasSuffix(fmt.Sprint(address), fmt.Sprintf(":%d", s.port)) {
					listen[i] = fmt.Sprintf("fd/%d", 3+n)
				}
			}
		}
	}
	return json.Marshal(config)
}

func servers(config map[string]any) []map[string]any {
	apps, _ := config["apps"].(map[string]any)
	app, _ := apps["http"].(map[string]any)
	named, _ := app["servers"].(map[string]any)
	var all []map[string]any
	for _, s := range named {
		if server, ok := s.(map[string]any); ok {
			all = append(all, server)
		}
	}
	return all
}

// close ends the process and looks through what it wrote.
func (c *Caddy) close() {
	c.Stop()
	logs := c.Logs()
	for _, bad := range []string{"WARNING: DATA RACE", "\npanic: ", "http: panic serving", Token} {
		if at := strings.Index(logs, bad); at >= 0 {
			c.t.Errorf("the log holds %q:\n%s", bad, logs[max(0, at-500):min(len(logs), at+4000)])
		}
	}
	if c.t.Failed() {
		c.t.Logf("the end of caddy's log:\n%s", logs[max(0, len(logs)-20_000):])
	}
	for _, s := range c.sockets {
		s.file.Close()
	}
	c.log.Close()
	if err := os.RemoveAll(c.Dir); err != nil {
		c.t.Errorf("removing caddy's directory: %v", err)
	}
}
