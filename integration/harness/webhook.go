package harness

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// Receiver takes webhooks.
type Receiver struct {
	URL string

	mu     sync.Mutex
	got    []Delivery
	answer func(Delivery) int
}

// Delivery is a webhook as it arrived.
type Delivery struct {
	Header http.Header
	Body   []byte
}

// NewReceiver starts a receiver that answers 204, or what answer says.
func NewReceiver(t testing.TB, answer func(Delivery) int) *Receiver {
	r := &Receiver{answer: answer}
	server := httptest.NewServer(http.HandlerFunc(r.receive))
	r.URL = server.URL
	t.Cleanup(server.Close)
	return r
}

func (r *Receiver) receive(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	d := Delivery{req.Header.Clone(), body}
	r.mu.Lock()
	r.got = append(r.got, d)
	r.mu.Unlock()
	status := http.StatusNoContent
	if r.answer != nil {
		status = r.answer(d)
	}
	w.WriteHeader(status)
}

// Deliveries returns what arrived so far.
func (r *Receiver) Deliveries() []Delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Delivery(nil), r.got...)
}
