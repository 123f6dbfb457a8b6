// Package pgtest runs a PostgreSQL server for tests, from the binaries of the
// system's own packages, as an ordinary user, in a directory of its own.
package pgtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// RequireAll is the environment variable that makes missing binaries a failure
// instead of a skip when it is "1".
const RequireAll = "CHECKOUT_TEST_REQUIRE_ALL"

// failsafe bounds every wait for the server.
const failsafe = 2 * time.Minute

// Server is a PostgreSQL server. It listens on a Unix socket only.
type Server struct {
	bin, dir string
	settings []string

	mu      sync.Mutex
	process *process // nil while stopped
	schemas int
}

// Start makes a fresh server and ends it with the test. settings are those of
// postgresql.conf, as "name=value". Nothing is synced to the disk unless one
// of them says so. The test is skipped when the binaries are missing, or fails
// if [RequireAll] is set.
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	s, err := Launch(settings...)
	if err != nil {
		Missing(t, err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Missing ends the test because of an error of [Launch].
func Missing(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, errMissing) && os.Getenv(RequireAll) != "1" {
		t.Skip(err)
	}
	t.Fatal(err)
}

var errMissing = fmt.Errorf("the PostgreSQL server is not installed: no %s", filepath.Join(binDirs, "postgres"))

const binDirs = "/usr/lib/postgresql/*/bin"

// Launch is Start for a TestMain: the caller closes the server.
func Launch(settings ...string) (*Server, error) {
	found, err := filepath.Glob(filepath.Join(binDirs, "postgres"))
	if err != nil || len(found) == 0 {
		return nil, errMissing
	}
	slices.SortFunc(found, func(a, b string) int { return major(b) - major(a) })

	// Not t.TempDir: the path of a Unix socket is limited to 107 bytes.
	dir, err := os.MkdirTemp("", "pg")
	if err != nil {
		return nil, err
	}
	s := &Server{
		bin:      filepath.Dir(found[0]),
		dir:      dir,
		settings: append([]string{"fsync=off"}, settings...),
	}
	if err := s.init(); err != nil {
		return nil, fmt.Errorf("%w (left in %s)", err, dir)
	}
	return s, nil
}

// major is the version in /usr/lib/postgresql/<version>/bin/postgres.
func major(file string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(file))))
	return n
}

func (s *Server) init() error {
	if cred, err := ordinaryUser(); err != nil {
		return err
	} else if cred != nil {
		if err := os.Chown(s.dir, int(cred.Uid), int(cred.Gid)); err != nil {
			return err
		}
	}
	cmd, err := s.command("initdb", "-D", s.data(), "-U", "checkout", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	if err != nil {
		return err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("running initdb: %w\n%s", err, out)
	}
	return s.Resume()
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// command is one of the binaries, to be run as a user that is not root, since
// PostgreSQL refuses to run as root.
func (s *Server) command(name string, args ...string) (*exec.Cmd, error) {
	cmd := exec.CommandContext(context.Background(), filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"LC_ALL=C", "PATH=" + s.bin + ":/usr/bin:/bin", "TZ=UTC"}
	cred, err := ordinaryUser()
	if err != nil {
		return nil, err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	return cmd, nil
}

// ordinaryUser is whom to become, nil if the caller is not root.
func ordinaryUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, fmt.Errorf("running as root, and there is no user postgres or nobody to run PostgreSQL as")
}

// DSN is the address of the server's database.
func (s *Server) DSN() string {
	q := url.Values{"host": {s.dir}, "sslmode": {"disable"}}
	return "postgres://checkout@/postgres?" + q.Encode()
}

// Schema makes a new, empty schema and returns the DSN whose search_path it
// is.
func (s *Server) Schema(t testing.TB) string {
	t.Helper()
	s.mu.Lock()
	s.schemas++
	name := fmt.Sprint("test", s.schemas)
	s.mu.Unlock()
	s.Exec(t, "CREATE SCHEMA "+name)
	return s.DSN() + "&search_path=" + name
}

// Exec runs sql on a connection of its own.
func (s *Server) Exec(t testing.TB, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), failsafe)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatal(err)
	}
}

// Stop shuts the server down as an administrator does: clients are cut off.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return nil
	}
	p := s.process
	s.process = nil
	return p.end(syscall.SIGINT)
}

// Resume starts a stopped server and waits until it takes connections.
func (s *Server) Resume() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		return nil
	}
	args := []string{"-D", s.data(), "-c", "listen_addresses=", "-c", "unix_socket_directories=" + s.dir}
	for _, setting := range s.settings {
		args = append(args, "-c", setting)
	}
	cmd, err := s.command("postgres", args...)
	if err != nil {
		return err
	}
	s.process, err = start(cmd)
	return err
}

// Restart is Stop and Resume.
func (s *Server) Restart() error {
	if err := s.Stop(); err != nil {
		return err
	}
	return s.Resume()
}

// Close stops the server and removes all that it wrote.
func (s *Server) Close() error {
	if err := s.Stop(); err != nil {
		return err
	}
	return os.RemoveAll(s.dir)
}

// process is a running postmaster.
type process struct {
	cmd    *exec.Cmd
	exited chan error
	mu     sync.Mutex
	log    []string // its last lines
}

// start runs cmd and waits until it says that it is ready.
func start(cmd *exec.Cmd) (*process, error) {
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, exited: make(chan error, 1)}
	started, ready := make(chan error, 1), make(chan struct{})
	go func() {
		unlock := dieWithParent(cmd)
		defer unlock()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		p.read(stderr, ready)
		p.exited <- cmd.Wait()
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	select {
	case <-ready:
		return p, nil
	case err := <-p.exited:
		return nil, errors.Join(fmt.Errorf("starting PostgreSQL: it ended\n%s", p.tail()), err)
	case <-time.After(failsafe):
		return nil, errors.Join(fmt.Errorf("starting PostgreSQL: not ready after %s\n%s", failsafe, p.tail()), p.end(syscall.SIGQUIT))
	}
}

// read keeps the end of the server's log until it is closed.
func (p *process) read(stderr io.Reader, ready chan<- struct{}) {
	lines := bufio.NewScanner(stderr)
	for told := false; lines.Scan(); {
		p.mu.Lock()
		p.log = append(p.log, lines.Text())
		p.log = p.log[max(0, len(p.log)-50):]
		p.mu.Unlock()
		if !told && strings.Contains(lines.Text(), "ready to accept connections") {
			told = true
			close(ready)
		}
	}
	_, _ = io.Copy(io.Discard, stderr) // after a line too long to scan
}

func (p *process) tail() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.log, "\n")
}

func (p *process) end(sig syscall.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("stopping PostgreSQL: %w", err)
	}
	select {
	case err := <-p.exited:
		if err != nil {
			return fmt.Errorf("stopping PostgreSQL: %w\n%s", err, p.tail())
		}
		return nil
	case <-time.After(failsafe):
		_ = p.cmd.Process.Kill() // an error means that it has ended
		return fmt.Errorf("PostgreSQL did not stop\n%s", p.tail())
	}
}
