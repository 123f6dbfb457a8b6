package backoffice

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// heartbeat finds out about browsers that have gone.
const heartbeat = 25 * time.Second

// live streams a line for every new order and every change, until the browser
// goes or the server ends. The browser then asks again by itself.
func (s *visit) live() error {
	notices, stop := s.desk.Store.Feed()
	defer stop()
	s.guard()
	h := s.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store, no-transform") // a compressor would hold lines back
	if s.r.Method == http.MethodHead {
		s.w.WriteHeader(http.StatusOK)
		return nil
	}
	control := http.NewResponseController(s.w)
	_ = control.SetWriteDeadline(time.Time{}) // a server's limit for answers is not for streams
	send := func(line string) bool {
		if _, err := s.w.Write([]byte(line)); err != nil {
			return false
		}
		return control.Flush() == nil
	}
	if !send("retry: 3000\n\n") {
		return nil
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case n := <-notices:
			b, _ := json.Marshal(n) // a notice cannot fail
			if !send(fmt.Sprintf("data: %s\n\n", b)) {
				return nil
			}
		case <-beat.C:
			if !send(": still here\n\n") {
				return nil
			}
		case <-s.r.Context().Done():
			return nil
		case <-s.c.End:
			return nil
		}
	}
}
