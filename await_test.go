package checkout

import (
	"testing"
	"testing/synctest"
	"time"
)

// Requests that come before Start wait for the store, but not for ever.
func TestAwaitStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shop{app: &App{tried: make(chan struct{})}}
		start := time.Now()
		s.awaitStore(t.Context())
		if waited := time.Since(start); waited != firstAttempt {
			t.Errorf("without a start, waited %v, want %v", waited, firstAttempt)
		}

		start = time.Now()
		time.AfterFunc(time.Second, func() { close(s.app.tried) })
		s.awaitStore(t.Context())
		if waited := time.Since(start); waited != time.Second {
			t.Errorf("started after a second, waited %v", waited)
		}
	})
}
