package sqlite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(childRole); role != "" {
		os.Exit(child(role))
	}
	goleak.VerifyTestMain(m)
}

// The test binary runs itself again as another process that uses the file
// childFile, in the role childRole.
const (
	childRole = "SQLITE_TEST_CHILD"
	childFile = "SQLITE_TEST_FILE"
)

const (
	roleCreate  = "create"  // creates childOrders orders, one line for each
	roleLoad    = "load"    // creates and pays until it is killed, one line for each write
	roleOpen    = "open"    // opens the file, not as root, and reports what kind of error that gives
	roleCramped = "cramped" // has its files' size limited for a while
)

const childOrders = 200

func child(role string) int {
	// The default of a signal for a file grown too large ends the process.
	signal.Ignore(syscall.SIGXFSZ)
	if err := map[string]func(file string) error{
		roleCreate:  childCreate,
		roleLoad:    childLoad,
		roleOpen:    childOpen,
		roleCramped: childCramped,
	}[role](os.Getenv(childFile)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// startChild starts the role and returns its output. It is killed at the end
// of the test, if it still runs then.
func startChild(t *testing.T, role, file string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "/proc/self/exe")
	cmd.Env = append(os.Environ(), childRole+"="+role, childFile+"="+file)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended, mostly
		_ = cmd.Wait()
	})
	return cmd, bufio.NewScanner(out)
}

// runChild runs the role to its end and returns its lines.
func runChild(t *testing.T, role, file string) (lines []string) {
	t.Helper()
	cmd, out := startChild(t, role, file)
	for out.Scan() {
		lines = append(lines, out.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("child %s: %v", role, err)
	}
	return lines
}

func childCreate(file string) error {
	ctx := context.Background()
	s, err := Open(ctx, file)
	if err != nil {
		return err
	}
	for range childOrders {
		o, err := create(ctx, s)
		if err != nil {
			return err
		}
		fmt.Println(o.ID)
	}
	return s.Close()
}

func childLoad(file string) error {
	ctx := context.Background()
	s, err := Open(ctx, file)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	say := func(line string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println(line) // one write, so a line is whole
	}
	failed := make(chan error)
	for range 16 {
		go func() {
			for {
				o, err := create(ctx, s)
				if err != nil {
					failed <- err
					return
				}
				say("created " + o.ID)
				if err := pay(ctx, s, o); err != nil {
					failed <- err
					return
				}
				say("paid " + o.ID)
			}
		}()
	}
	return <-failed
}

func childOpen(file string) error {
	if err := becomeNobody(); err != nil {
		return err
	}
	s, err := Open(context.Background(), file)
	if err == nil {
		return errors.Join(errors.New("it opened"), s.Close())
	}
	fmt.Println(errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrReadOnlyFile), err)
	return nil
}

// childCramped prints the ids of the orders that were acknowledged.
func childCramped(file string) error {
	ctx := context.Background()
	s, err := Open(ctx, file)
	if err != nil {
		return err
	}
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		return err
	}
	for round := range 3 {
		log, err := os.Stat(file + "-wal")
		if err != nil {
			return err
		}
		cramped := was
		cramped.Cur = uint64(log.Size()) + uint64(round)*5000
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &cramped); err != nil {
			return err
		}
		refused := false
		for range 40 {
			o, err := create(ctx, s)
			if err == nil {
				fmt.Println(o.ID)
				continue
			}
			if !errors.Is(err, store.ErrUnavailable) {
				return fmt.Errorf("with no room: %w", err)
			}
			refused = true
		}
		if !refused {
			return errors.New("no write was refused")
		}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
			return err
		}
		for range 5 {
			o, err := create(ctx, s)
			if err != nil {
				return fmt.Errorf("with room again: %w", err)
			}
			fmt.Println(o.ID)
		}
	}
	return s.Close()
}

// becomeNobody gives up the rights of root, whom no file's permissions stop. It
// is for a child to do: the binary may be one that only its owner can run.
func becomeNobody() error {
	if os.Getuid() != 0 {
		return nil
	}
	const nobody = 65534
	return errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody))
}

func TestTwoProcesses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "orders.db")
	s := mustOpen(t, file)
	first, err := create(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	changed, stop := s.Watch(first.Shop, first.ID)
	defer stop()
	cmd, out := startChild(t, roleCreate, file)
	ended := make(chan error, 1)
	theirs := make(map[string]bool)
	go func() {
		for out.Scan() {
			theirs[out.Text()] = true
		}
		ended <- cmd.Wait()
	}()
	mine := 1
	for running := true; running; {
		if _, err := create(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		mine++
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			running = false
		default:
		}
	}
	orders := checkWhole(t, s)
	for id := range theirs {
		if _, there := orders[id]; !there {
			t.Errorf("order %s of the other process is not there", id)
		}
	}
	if len(theirs) != childOrders || len(orders) != mine+childOrders {
		t.Errorf("%d orders of mine, %d of theirs, %d there", mine, len(theirs), len(orders))
	}
	select {
	case <-changed:
	case <-time.After(time.Minute):
		t.Error("a watcher was not woken by the other process")
	}
}

func TestKill(t *testing.T) {
	file := filepath.Join(t.TempDir(), "orders.db")
	created, paid := make(map[string]bool), make(map[string]bool)
	for round := range 4 {
		cmd, out := startChild(t, roleLoad, file)
		for lines := 0; out.Scan(); lines++ {
			if lines == 100+150*round {
				_ = cmd.Process.Kill()
			}
			what, id, whole := strings.Cut(out.Text(), " ")
			if !whole || !order.ValidID(id) {
				t.Fatalf("child said %q", out.Text())
			}
			created[id] = true
			if what == "paid" {
				paid[id] = true
			}
		}
		_ = cmd.Wait()
		s := mustOpen(t, file)
		orders := checkWhole(t, s)
		for id := range created {
			if state, there := orders[id]; !there || (paid[id] && state != order.Paid) {
				t.Fatalf("round %d: acknowledged order %s is there: %v, state %s, paid: %v", round, id, there, state, paid[id])
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "orders.db")
	s := mustOpen(t, file)
	if _, err := create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{file: 0o444, dir: 0o555} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o755) })
	for name, path := range map[string]string{
		"file": file, "missing file": filepath.Join(dir, "other.db"), "missing directory": filepath.Join(dir, "sub", "orders.db"),
	} {
		t.Run(name, func(t *testing.T) {
			got := runChild(t, roleOpen, path)
			if len(got) != 1 || !strings.HasPrefix(got[0], "true true opening store "+path) {
				t.Errorf("got %q, want ErrUnavailable and ErrReadOnlyFile", got)
			}
		})
	}
}

func TestNoRoom(t *testing.T) {
	file := filepath.Join(t.TempDir(), "orders.db")
	acknowledged := runChild(t, roleCramped, file)
	orders := checkWhole(t, mustOpen(t, file))
	if len(orders) != len(acknowledged) {
		t.Errorf("%d orders were acknowledged, %d are there", len(acknowledged), len(orders))
	}
	for _, id := range acknowledged {
		if _, there := orders[id]; !there {
			t.Errorf("acknowledged order %s is not there", id)
		}
	}
}

// TestFullDisk fills a real file system, where it may make one.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Logf("not run, because no file system can be mounted here (%v); TestFull and TestNoRoom stand in", err)
		return
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	file := filepath.Join(dir, "orders.db")
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 300<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, file)
	acknowledged := 0
	var err error
	for range 10000 {
		if _, err = create(t.Context(), s); err != nil {
			break
		}
		acknowledged++
	}
	if !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, store.ErrFull) {
		t.Fatalf("after %d orders: got %v, want ErrUnavailable and ErrFull", acknowledged, err)
	}
	if err := s.Ping(t.Context()); err == nil {
		t.Log("a write that needs no new page still fits")
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if _, err := create(t.Context(), s); err != nil {
		t.Fatalf("with space again: %v", err)
	}
	if orders := checkWhole(t, s); len(orders) != acknowledged+1 {
		t.Errorf("%d orders were acknowledged, %d are there", acknowledged+1, len(orders))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
