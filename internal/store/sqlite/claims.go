package sqlite

import (
	"sync"
	"time"
)

// maxClaims bounds the claims that are remembered, twice.
const maxClaims = 1 << 15

// claims remembers the latest claims of this process with their monotonic
// reading, which the file cannot hold. The zero claims is ready.
type claims struct {
	mu            sync.Mutex
	recent, older map[string]time.Time
}

// within reports whether key was claimed less than interval before now.
func (c *claims) within(key string, now time.Time, interval time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	last, ok := c.recent[key]
	if !ok {
		last, ok = c.older[key]
	}
	// Without a monotonic reading a clock set back makes the difference
	// negative; the time in the file decides then.
	d := now.Sub(last)
	return ok && d >= 0 && d < interval
}

func (c *claims) remember(key string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.recent == nil || len(c.recent) >= maxClaims {
		c.recent, c.older = make(map[string]time.Time), c.recent
	}
	c.recent[key] = now
}
