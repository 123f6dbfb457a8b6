package sqlite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// The test binary runs itself again as another process that uses the file
// childFile, in the role childRole.
const (
	childRole = "SQLITE_TEST_CHILD"
	childFile = "SQLITE_TEST_FILE"
)

const (
	roleCreate  = "create"  // creates childOrders orders, one line for each
	roleLoad    = "load"    // creates and pays until it is killed, one line for each write
	roleOpen    = "open"    // opens the file and reports what kind of error that gives
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
func startChild(t *testing.T, role, file string, attr *syscall.SysProcAttr) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "/proc/self/exe")
	cmd.Env = append(os.Environ(), childRole+"="+role, childFile+"="+file)
	cmd.SysProcAttr = attr
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
func runChild(t *testing.T, role, file string, attr *syscall.SysProcAttr) (lines []string) {
	t.Helper()
	cmd, out := startChild(t, role, file, attr)
	for out.Scan() {
		lines = append(lines, out.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("child %s: %v", role, err)
	}
	return lines
}

func newOrder() *order.Order {
	now := time.Now()
	return &order.Order{
		ID: order.NewID(now), Shop: "shop", Lines: []order.Line{{SKU: "mug", Name: "Mug", Price: 3900, Qty: 1}}, Total: 3900,
		Client: "192.0.2.1", CreatedAt: now, ExpiresAt: now.Add(time.Hour), History: []order.Entry{{At: now, Who: "buyer", What: "created"}},
	}
}

func create(ctx context.Context, s *Store) (*order.Order, error) {
	o := newOrder()
	return o, s.Create(ctx, o, o.CreatedAt, store.PendingLimits{})
}

func pay(ctx context.Context, s *Store, o *order.Order) error {
	_, err := s.Update(ctx, o.Shop, o.ID, o.ID, func(sub store.Subject) (*store.Change, error) {
		now := time.Now()
		c := &store.Change{Order: sub.Order, SetNextQuery: true}
		c.Order.State, c.Order.PaidAt = order.Paid, now
		c.Payment = &order.Payment{PayID: o.ID, PayMoney: "39.00", RealPay: "39.00", Source: order.SourceNotify, Verdict: "paid", At: now}
		c.Entries = []order.Entry{{At: now, Who: order.SourceNotify, What: "paid"}}
		c.Events = []store.Event{{ID: order.NewID(now), Type: "checkout.paid", At: now, Payload: []byte("{}"), Targets: []string{"webhook:x"}}}
		return c, nil
	})
	return err
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
		for range 200 {
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

// checkWhole fails the test unless all that belongs to an order is there.
func checkWhole(t *testing.T, s *Store) (orders map[string]order.State) {
	t.Helper()
	orders = make(map[string]order.State)
	pending := 0
	if err := s.Each(t.Context(), store.Filter{}, func(o *order.Order) error {
		got, deliveries, err := s.Detail(t.Context(), o.ID)
		if err != nil {
			return err
		}
		want := 1
		if got.State == order.Paid {
			want = 2
		} else {
			pending++
		}
		if len(got.History) != want || len(got.Payments) != want-1 || len(deliveries) != want-1 {
			t.Errorf("order %s is %s with %d entries, %d payments, %d deliveries", got.ID, got.State, len(got.History), len(got.Payments), len(deliveries))
		}
		orders[o.ID] = got.State
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	bySKU := 0
	if err := s.Each(t.Context(), store.Filter{SKU: "mug"}, func(*order.Order) error { bySKU++; return nil }); err != nil {
		t.Fatal(err)
	}
	st, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if bySKU != len(orders) || (len(orders) > 0 && st.Orders["shop"]["pending"] != pending) {
		t.Errorf("%d orders, %d by product; %d pending, counted as %d", len(orders), bySKU, pending, st.Orders["shop"]["pending"])
	}
	var verdict string
	if _, err := one(s.reader(t.Context()), "PRAGMA integrity_check", nil, &verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity check: %s, %v", verdict, err)
	}
	return orders
}

func mustOpen(t *testing.T, file string) *Store {
	t.Helper()
	s, err := Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return s
}

// nobody is how to run a process that a file's permissions hold for.
func nobody() *syscall.SysProcAttr {
	if os.Getuid() != 0 {
		return nil
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
}
