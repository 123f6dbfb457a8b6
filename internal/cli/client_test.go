package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// failsafe bounds what a test waits for; nothing is expected to take so long.
const failsafe = 60 * time.Second

// endpoint serves commands by h.
func endpoint(t *testing.T, h http.HandlerFunc) Endpoint {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return Endpoint{
		Flags: func(*cobra.Command) {},
		Connect: func(*cobra.Command) (*Client, error) {
			return &Client{Name: "test", Base: srv.URL, HTTP: srv.Client()}, nil
		},
	}
}

func TestRefusals(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		body   string
		want   string
		exit   int
	}{
		"not found":   {404, `{"error":"not found"}`, "order X not found; look with: caddy checkout orders --text", exitNo},
		"conflict":    {409, `{"error":"order is not in a state for that"}`, "order is not in a state for that", exitNo},
		"unavailable": {503, `{"error":"store unavailable"}`, "store unavailable", exitFailed},
		"malformed":   {400, `{"error":"bad\u001b[2J"}`, "bad\ufffd[2J", exitFailed},
		"no plugin":   {404, "404 page not found\n", "was built without the checkout plugin", exitFailed},
		"no JSON":     {500, "oops", "Caddy answered 500", exitFailed},
		"not the API": {200, "<html>", "reading the answer of test", exitFailed},
	} {
		e := endpoint(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(tc.status)
			io.WriteString(w, tc.body)
		})
		_, err := execute(e.show(), "", "X")
		if err == nil || !strings.Contains(err.Error(), tc.want) || ExitCode(err) != tc.exit {
			t.Errorf("%s: got %v, status %d; want %q, %d", name, err, ExitCode(err), tc.want, tc.exit)
		}
	}
}

func TestUnreachable(t *testing.T) {
	e := Endpoint{
		Flags: func(*cobra.Command) {},
		Connect: func(*cobra.Command) (*Client, error) {
			// Nothing can listen on port 0.
			return &Client{Name: "localhost:2019", Base: "http://127.0.0.1:0", HTTP: http.DefaultClient}, nil
		},
	}
	for _, cmd := range []*cobra.Command{e.orders(), e.tail(), e.export()} {
		_, err := execute(cmd, "")
		if err == nil || !strings.Contains(err.Error(), "asking Caddy's admin endpoint at localhost:2019") || !strings.Contains(err.Error(), "is Caddy running there?") || ExitCode(err) != exitFailed {
			t.Errorf("%s: %v", cmd.Name(), err)
		}
	}
}

func TestRequests(t *testing.T) {
	for name, tc := range map[string]struct {
		make func(Endpoint) *cobra.Command
		args []string
		want string // method, target and body
	}{
		"filters":        {Endpoint.orders, []string{"--state", "paid", "--state", "review", "--text", "张 三", "--limit", "5"}, "GET /checkout/orders?limit=5&state=paid&state=review&text=%E5%BC%A0+%E4%B8%89 "},
		"no filters":     {Endpoint.orders, nil, "GET /checkout/orders "},
		"empty filter":   {Endpoint.orders, []string{"--text", ""}, "GET /checkout/orders?text= "},
		"id is one part": {Endpoint.show, []string{"../stop"}, "GET /checkout/orders/..%2Fstop "},
		"ship":           {Endpoint.ship, []string{"X", "--reason", "SF1", "--who", "bob"}, `POST /checkout/orders/X/shipped {"who":"bob","reason":"SF1"}`},
		"confirm":        {Endpoint.confirm, []string{"X", "-r", "seen", "--who", "bob"}, `POST /checkout/orders/X/confirm {"who":"bob","reason":"seen"}`},
		"refund":         {Endpoint.refund, []string{"X", "-r", "broken", "--who", "bob"}, `POST /checkout/orders/X/refunded {"who":"bob","reason":"broken"}`},
		"refresh":        {Endpoint.refresh, []string{"X"}, "POST /checkout/orders/X/refresh "},
		"redeliver":      {Endpoint.redeliver, []string{"7"}, "POST /checkout/deliveries/7/redeliver "},
		"deliveries":     {Endpoint.deliveries, []string{"--state", "failed"}, "GET /checkout/deliveries?state=failed "},
		"orphans":        {Endpoint.orphans, []string{"--cursor", "7"}, "GET /checkout/orphans?cursor=7 "},
		"summary":        {Endpoint.summary, []string{"--to", "2026-03-01"}, "GET /checkout/summary?to=2026-03-01 "},
		"recent summary": {Endpoint.summary, nil, "GET /checkout/summary?from=" + time.Now().AddDate(0, 0, -summaryDays).Format(time.DateOnly) + " "},
		"balance":        {Endpoint.balance, nil, "GET /checkout/balance "},
		"backup":         {Endpoint.backup, []string{"/x/../y.db"}, `POST /checkout/backup {"file":"/y.db"}`},
		"export":         {Endpoint.export, []string{"--sku", "mug"}, "GET /checkout/orders.csv?sku=mug "},
	} {
		var got string
		e := endpoint(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			got = r.Method + " " + r.RequestURI + " " + string(body)
			io.WriteString(w, `{"order":{"id":"X"}}`)
		})
		args := tc.args
		if name != "export" {
			args = append(args, "--json")
		}
		if _, err := execute(tc.make(e), "", args...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got != tc.want {
			t.Errorf("%s: asked %s, want %s", name, got, tc.want)
		}
	}
}

func TestUsage(t *testing.T) {
	e := endpoint(t, func(http.ResponseWriter, *http.Request) { t.Error("asked") })
	for want, run := range map[string]func() (string, error){
		"write one order id":       func() (string, error) { return execute(e.show(), "") },
		"write a --reason":         func() (string, error) { return execute(e.ship(), "", "X") },
		"write one delivery id":    func() (string, error) { return execute(e.redeliver(), "", "1", "2") },
		"write one file":           func() (string, error) { return execute(e.backup(), "") },
		"unknown flag: --stat":     func() (string, error) { return execute(e.orders(), "", "--stat", "paid") },
		`unknown command "paid"`:   func() (string, error) { return execute(e.orders(), "", "paid") },
		`invalid argument "x" for`: func() (string, error) { return execute(e.orders(), "", "--limit", "x") },
	} {
		if _, err := run(); err == nil || !strings.Contains(err.Error(), want) || ExitCode(err) != exitFailed {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// Ctrl-C leaves nothing of what buyers wrote.
func TestExportInterrupted(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no signals")
	}
	e := endpoint(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "\ufefforder\r\n")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = self.Signal(os.Interrupt)
		}
		if err != nil {
			t.Error(err)
		}
		<-r.Context().Done()
	})
	ignore, stop := signal.NotifyContext(t.Context(), os.Interrupt) // else a failure would end the tests
	defer stop()
	dir := t.TempDir()
	failed := make(chan error, 1)
	go func() {
		_, err := execute(e.export(), "", "-o", filepath.Join(dir, "orders.csv"))
		failed <- err
	}()
	<-ignore.Done()
	select {
	case err := <-failed:
		if err == nil || ExitCode(err) != exitFailed {
			t.Errorf("got %v", err)
		}
	case <-time.After(failsafe):
		t.Fatal("the export goes on")
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("files are left: %v, %v", files, err)
	}
}

func TestExport(t *testing.T) {
	cut := false
	e := endpoint(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "\ufefforder\r\n")
		if cut {
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	})
	dir := t.TempDir()
	file := filepath.Join(dir, "orders.csv")
	if out, err := execute(e.export(), ""); err != nil || out != "\ufefforder\r\n" {
		t.Errorf("standard output: %q, %v", out, err)
	}
	if _, err := execute(e.export(), "", "-o", file); err != nil {
		t.Error(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() == 0 {
		t.Errorf("file: %v, %v", info, err)
	}

	// Like /dev/stdout: what is no file is written to, not replaced.
	pipe := filepath.Join(dir, "pipe")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if err := os.Symlink(fmt.Sprintf("/dev/fd/%d", w.Fd()), pipe); err != nil {
		t.Skip(err)
	}
	if _, err := execute(e.export(), "", "-o", pipe); err != nil {
		t.Error(err)
	}
	if info, err := os.Lstat(pipe); err != nil || info.Mode().IsRegular() {
		t.Errorf("%v, %v: a file took its place", info, err)
	}
	if err := os.Remove(pipe); err != nil {
		t.Fatal(err)
	}

	cut = true
	if _, err := execute(e.export(), "", "-o", filepath.Join(dir, "cut.csv")); err == nil || !strings.Contains(err.Error(), "nothing was exported") {
		t.Errorf("an export that breaks off: %v", err)
	}
	if _, err := execute(e.export(), ""); err == nil || !strings.Contains(err.Error(), "not complete") {
		t.Errorf("an export that breaks off: %v", err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("files are left: %v, %v", files, err)
	}
}

// tail goes on after a feed that ended, and ends with its context.
func TestTailReconnects(t *testing.T) {
	var feeds atomic.Int32
	e := endpoint(t, func(w http.ResponseWriter, r *http.Request) {
		n := feeds.Add(1)
		if n == 2 {
			http.Error(w, `{"error":"not ready"}`, http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, `{"id":"N%d","state":"paid","was":"pending","order":{"total":"39.00","title":"手冲"}}`+"\n", n)
		_ = http.NewResponseController(w).Flush()
		if n > 2 {
			<-r.Context().Done()
		}
	})
	for _, args := range [][]string{nil, {"--json"}} {
		feeds.Store(0)
		ctx, cancel := context.WithCancel(t.Context())
		out := &watched{want: "N3", seen: make(chan struct{})}
		cmd := e.tail()
		cmd.SetOut(out)
		cmd.SetErr(io.Discard)
		cmd.SetArgs(args)
		done := make(chan error, 1)
		go func() { done <- cmd.ExecuteContext(ctx) }()
		select {
		case <-out.seen:
		case <-time.After(failsafe):
			t.Error("the second feed was not followed")
		}
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(failsafe):
			t.Fatal("tail does not end")
		}
		if !strings.Contains(out.String(), "N1") || !strings.Contains(out.String(), "手冲") || strings.HasPrefix(out.String(), "{") != (args != nil) {
			t.Errorf("got %s", out.String())
		}
	}
}

// watched tells when it was written what is wanted.
type watched struct {
	bytes.Buffer
	want string
	seen chan struct{}
}

func (w *watched) Write(p []byte) (int, error) {
	n, err := w.Buffer.Write(p)
	if strings.Contains(w.String(), w.want) {
		select {
		case <-w.seen:
		default:
			close(w.seen)
		}
	}
	return n, err
}

func TestTailRefusesNonsense(t *testing.T) {
	e := endpoint(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "nonsense\n") })
	if _, err := execute(e.tail(), ""); err == nil || !strings.Contains(err.Error(), "reading a line of the feed") {
		t.Errorf("got %v", err)
	}
}

// Every command has a line of help and an example.
func TestHelp(t *testing.T) {
	for _, command := range Commands(endpoint(t, nil)) {
		cmd := command()
		if cmd.Short == "" || cmd.Example == "" || !strings.Contains(cmd.Example, "caddy checkout "+cmd.Name()) || strings.Contains(cmd.Short, "\n") {
			t.Errorf("%s: Short %q, Example %q", cmd.Name(), cmd.Short, cmd.Example)
		}
	}
}
