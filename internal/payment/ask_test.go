package payment

import (
	"sync"
	"testing"
)

// A request that outlasts the shop gets what is known, and no question begins
// that would outlast the store.
func TestNothingIsAskedAfterClose(t *testing.T) {
	s := newShop(t)
	o := s.buy(t)
	s.Close()
	if s.askInBackground(o) != nil {
		t.Error("a question began after Close")
	}
	if got, err := s.Status(t.Context(), o.ID); err != nil || got.ID != o.ID {
		t.Errorf("Status after Close: %v, %v", got, err)
	}
	if n := s.gw.questions(o.ID); n != 0 {
		t.Errorf("%d questions", n)
	}
}

// Requests may race with Close; the race detector looks on.
func TestCloseUnderRequests(t *testing.T) {
	s := newShop(t)
	var wg sync.WaitGroup
	began := make(chan struct{})
	for i := range 8 {
		o := s.buy(t)
		wg.Go(func() {
			if i == 0 {
				close(began)
			}
			if _, err := s.Status(t.Context(), o.ID); err != nil {
				t.Error(err)
			}
		})
	}
	<-began
	s.Close()
	wg.Wait()
}
