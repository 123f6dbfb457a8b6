package store

import "sync"

// Hub wakes those that wait for changes in this process. The zero Hub is ready.
type Hub struct {
	mu      sync.Mutex
	waiting map[[2]string]*waiters
	feeds   map[chan Notice]struct{}
}

type waiters struct {
	changed chan struct{}
	n       int
}

// Watch is [Orders.Watch] for changes that are told to Publish.
func (h *Hub) Watch(shop, id string) (changed <-chan struct{}, stop func()) {
	key := [2]string{shop, id}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting == nil {
		h.waiting = make(map[[2]string]*waiters)
	}
	w := h.waiting[key]
	if w == nil {
		w = &waiters{changed: make(chan struct{})}
		h.waiting[key] = w
	}
	w.n++
	return w.changed, sync.OnceFunc(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if w.n--; w.n == 0 && h.waiting[key] == w {
			delete(h.waiting, key)
		}
	})
}

// Feed is [Orders.Feed] for changes that are told to Publish.
func (h *Hub) Feed() (notices <-chan Notice, stop func()) {
	feed := make(chan Notice, 256)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.feeds == nil {
		h.feeds = make(map[chan Notice]struct{})
	}
	h.feeds[feed] = struct{}{}
	return feed, sync.OnceFunc(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.feeds, feed)
	})
}

// Publish tells all who wait. It never blocks.
func (h *Hub) Publish(notices ...Notice) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range notices {
		if w := h.waiting[[2]string{n.Shop, n.ID}]; w != nil && n.State != n.Was {
			close(w.changed)
			delete(h.waiting, [2]string{n.Shop, n.ID})
		}
		for feed := range h.feeds {
			select {
			case feed <- n:
			default:
			}
		}
	}
}

// WakeAll closes every watched channel, for a store that may have missed
// changes of other machines.
func (h *Hub) WakeAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, w := range h.waiting {
		close(w.changed)
		delete(h.waiting, key)
	}
}
