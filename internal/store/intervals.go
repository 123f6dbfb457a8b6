package store

import (
	"sync"
	"time"
)

// Intervals remembers, for one process, when something was granted and
// measures the time since on the monotonic clock, so that a wall clock set
// forward does not open an interval early. It says nothing of grants before
// the process began or on other machines: those are the database's. The zero
// Intervals is ready.
type Intervals struct {
	mu     sync.Mutex
	grants map[string]grant
	sweep  int // size of grants at which those that are over are dropped
}

type grant struct {
	at       time.Time
	interval time.Duration
}

// Over reports whether the interval since the last grant of key is over at
// now. It is true where now or the grant carries no monotonic reading.
func (v *Intervals) Over(key string, now time.Time, interval time.Duration) bool {
	if !monotonic(now) {
		return true
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	g, ok := v.grants[key]
	return !ok || now.Sub(g.at) >= interval
}

// Granted remembers that key was granted at now.
func (v *Intervals) Granted(key string, now time.Time, interval time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !monotonic(now) {
		delete(v.grants, key)
		return
	}
	if v.grants == nil {
		v.grants = make(map[string]grant)
	}
	if len(v.grants) >= max(v.sweep, 1024) {
		for k, g := range v.grants {
			if now.Sub(g.at) >= g.interval {
				delete(v.grants, k)
			}
		}
		v.sweep = 2 * len(v.grants)
	}
	v.grants[key] = grant{now, interval}
}

// monotonic reports whether t carries a reading of the monotonic clock.
func monotonic(t time.Time) bool {
	return t != t.Round(0)
}
