package simulation

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/internal/store"
	"github.com/caddy-checkout/checkout/internal/store/sqlite"
)

// number reads a number from the environment.
func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestHistories runs CHECKOUT_SIMULATIONS histories (default 2,000) from
// CHECKOUT_SEED (default: at random) on. To see one history step by step, run
//
//	CHECKOUT_SEED=… CHECKOUT_SIMULATIONS=1 go test -v -run TestHistories ./internal/simulation
func TestHistories(t *testing.T) {
	runs := number(t, "CHECKOUT_SIMULATIONS", 2000)
	first := number(t, "CHECKOUT_SEED", rand.Uint64N(1<<40))
	t.Logf("%d histories from seed %d", runs, first)
	var trace func(string, ...any)
	if runs == 1 {
		trace = t.Logf
	}
	began := time.Now()
	stats := each(t, first, runs, func() store.Store { return newMemory() }, trace)
	t.Logf("%+v in %v", stats, time.Since(began).Round(time.Millisecond))
	if runs >= 1000 && (stats.Paid == 0 || stats.Late == 0 || stats.Review == 0 || stats.Expired == 0 || stats.Faults == 0) {
		t.Errorf("histories that never pay, expire, fail or need a review prove nothing: %+v", stats)
	}
}

// each runs histories on all processors, and stops at the tenth that breaks.
func each(t *testing.T, first, runs uint64, open func() store.Store, trace func(string, ...any)) Stats {
	t.Helper()
	var next, broken atomic.Uint64
	var mu sync.Mutex
	var sum Stats
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < runs && broken.Load() < 10; i = next.Add(1) - 1 {
				stats, err := Run(first+i, open(), trace)
				if err != nil {
					broken.Add(1)
					t.Error(err)
				}
				mu.Lock()
				sum.Add(stats)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return sum
}

// TestReplay: a seed gives the same history each time.
func TestReplay(t *testing.T) {
	first := number(t, "CHECKOUT_SEED", rand.Uint64N(1<<40))
	t.Logf("from seed %d", first)
	for seed := first; seed < first+50; seed++ {
		a, errA := Run(seed, newMemory(), nil)
		b, errB := Run(seed, newMemory(), nil)
		if a != b || (errA == nil) != (errB == nil) {
			t.Errorf("seed %d: %+v %v, then %+v %v", seed, a, errA, b, errB)
		}
	}
}

// TestHistoriesOnDisk runs the same histories on the model and on the embedded
// store: they must come to the same.
func TestHistoriesOnDisk(t *testing.T) {
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "orders.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	first := number(t, "CHECKOUT_SEED", rand.Uint64N(1<<40))
	t.Logf("from seed %d", first)
	const runs = 30
	onDisk := each(t, first, runs, func() store.Store { return st }, nil)
	model := each(t, first, runs, func() store.Store { return newMemory() }, nil)
	if onDisk != model {
		t.Errorf("on disk: %+v\nmodel:   %+v", onDisk, model)
	}
}
