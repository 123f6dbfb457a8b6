package backoffice

import (
	"bufio"
	"net/http"
	"time"
)

// csvBuffer holds the beginning of an export back, so that a store that does
// not answer is told as such.
const csvBuffer = 64 << 10

// csv is the download of the orders that fit the filter.
func (s *visit) csv() error {
	query, err := s.query()
	if err != nil {
		return err
	}
	_, f, err := parseFilter(query)
	if err != nil {
		return err
	}
	s.guard()
	h := s.w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="orders-`+s.c.Now().In(beijing).Format(time.DateOnly)+`.csv"`)
	if s.r.Method == http.MethodHead {
		s.w.WriteHeader(http.StatusOK)
		return nil
	}
	out := &begun{w: s.w}
	b := bufio.NewWriterSize(out, csvBuffer)
	if err = s.desk.WriteCSV(s.r.Context(), b, f, beijing); err == nil {
		err = b.Flush()
	}
	if err == nil {
		return nil
	}
	if out.yes {
		s.c.Log.Error("exporting orders", "error", err)
		panic(http.ErrAbortHandler) // half an export must not look whole
	}
	h.Del("Content-Disposition")
	return err
}

// begun knows whether anything was sent.
type begun struct {
	w   http.ResponseWriter
	yes bool
}

func (b *begun) Write(p []byte) (int, error) {
	b.yes = true
	return b.w.Write(p)
}
