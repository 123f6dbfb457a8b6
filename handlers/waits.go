package handlers

import "sync"

// Waits bounds the buyers that wait in status at the same time. A nil *Waits
// sets no limit. Safe for concurrent use.
type Waits struct {
	perClient, total int

	mu       sync.Mutex
	byClient map[string]int
	all      int
}

// NewWaits allows total waits at a time, perClient of them to one client
// address. Zero: no limit.
func NewWaits(perClient, total int) *Waits {
	return &Waits{perClient: perClient, total: total, byClient: make(map[string]int)}
}

// acquire takes a place, which release gives back.
func (w *Waits) acquire(client string) bool {
	if w == nil {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.total > 0 && w.all >= w.total || w.perClient > 0 && w.byClient[client] >= w.perClient {
		return false
	}
	w.all++
	w.byClient[client]++
	return true
}

func (w *Waits) release(client string) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all--
	if w.byClient[client]--; w.byClient[client] == 0 {
		delete(w.byClient, client)
	}
}
