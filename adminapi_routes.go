package checkout

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path/filepath"
	"time"

	"github.com/caddy-checkout/checkout/internal/merchant"
)

// adminDesk answers requests over a desk.
type adminDesk struct {
	*merchant.Desk
	app   context.Context // ends with the configuration
	query url.Values      // checked against what the route knows
}

func (d *adminDesk) orders(w http.ResponseWriter, r *http.Request) error {
	f, err := merchant.ParseFilter(d.query, time.Local)
	if err != nil {
		return err
	}
	n, err := merchant.ParseLimit(d.query.Get("limit"))
	if err != nil {
		return err
	}
	page, next, err := d.Orders(r.Context(), f, d.query.Get("cursor"), n)
	if err != nil {
		return err
	}
	return writeJSON(w, merchant.OrderPage{Orders: page, Next: next})
}

func (d *adminDesk) order(w http.ResponseWriter, r *http.Request) error {
	detail, err := d.Order(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeJSON(w, detail)
}

func (d *adminDesk) refresh(w http.ResponseWriter, r *http.Request) error {
	if err := readJSON(w, r, nil); err != nil {
		return err
	}
	o, asked, err := d.Refresh(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeJSON(w, merchant.Refreshed{Asked: asked, Order: o})
}

// decide serves an action.
func decide(a merchant.Action) func(*adminDesk, http.ResponseWriter, *http.Request) error {
	return func(d *adminDesk, w http.ResponseWriter, r *http.Request) error {
		decision := merchant.Decision{Who: "admin"}
		if err := readJSON(w, r, &decision); err != nil {
			return err
		}
		o, err := d.Decide(r.Context(), a, r.PathValue("id"), decision.Who, decision.Reason)
		if err != nil {
			return err
		}
		return writeJSON(w, o)
	}
}

func (d *adminDesk) csv(w http.ResponseWriter, r *http.Request) error {
	f, err := merchant.ParseFilter(d.query, time.Local)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="orders-`+time.Now().Format(time.DateOnly)+`.csv"`)
	sent := &sentWriter{w: w}
	b := bufio.NewWriterSize(sent, 32<<10)
	if err := d.WriteCSV(r.Context(), b, f, time.Local); err != nil {
		if !sent.begun {
			w.Header().Del("Content-Disposition")
			return err
		}
		// The status is out, so only a cut connection tells that this is not all.
		panic(http.ErrAbortHandler)
	}
	return b.Flush()
}

// sentWriter knows whether anything was sent.
type sentWriter struct {
	w     io.Writer
	begun bool
}

func (s *sentWriter) Write(p []byte) (int, error) {
	s.begun = true
	return s.w.Write(p)
}

func (d *adminDesk) balance(w http.ResponseWriter, r *http.Request) error {
	return writeJSON(w, merchant.BalanceList{Balances: d.Balances(r.Context())})
}

func (d *adminDesk) summary(w http.ResponseWriter, r *http.Request) error {
	f, err := merchant.ParseFilter(d.query, time.Local)
	if err != nil {
		return err
	}
	s, err := d.Summary(r.Context(), f.Shop, f.From, f.To, time.Local)
	if err != nil {
		return err
	}
	return writeJSON(w, s)
}

func (d *adminDesk) deliveries(w http.ResponseWriter, r *http.Request) error {
	n, err := merchant.ParseLimit(d.query.Get("limit"))
	if err != nil {
		return err
	}
	state, err := merchant.ParseDeliveryState(d.query["state"])
	if err != nil {
		return err
	}
	page, next, err := d.Deliveries(r.Context(), d.query.Get("shop"), state, d.query.Get("cursor"), n)
	if err != nil {
		return err
	}
	return writeJSON(w, merchant.DeliveryPage{Deliveries: page, Next: next})
}

func (d *adminDesk) redeliver(w http.ResponseWriter, r *http.Request) error {
	if err := readJSON(w, r, nil); err != nil {
		return err
	}
	if err := d.Redeliver(r.Context(), r.PathValue("id"), time.Now()); err != nil {
		return err
	}
	return writeJSON(w, merchant.Done{Done: true})
}

func (d *adminDesk) orphans(w http.ResponseWriter, r *http.Request) error {
	n, err := merchant.ParseLimit(d.query.Get("limit"))
	if err != nil {
		return err
	}
	page, next, err := d.Orphans(r.Context(), d.query.Get("shop"), d.query.Get("cursor"), n)
	if err != nil {
		return err
	}
	return writeJSON(w, merchant.OrphanPage{Orphans: page, Next: next})
}

func (d *adminDesk) feed(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(d.app, cancel)()
	w.Header().Set("Content-Type", "application/x-ndjson")
	flush := http.NewResponseController(w).Flush
	lines := json.NewEncoder(w)
	err := d.Feed(ctx, d.query.Get("shop"), flush, func(n merchant.Notice) error {
		if err := lines.Encode(n); err != nil {
			return err
		}
		return flush()
	})
	if err != nil {
		panic(http.ErrAbortHandler) // the status is out
	}
	return nil
}

func (d *adminDesk) backup(w http.ResponseWriter, r *http.Request) error {
	var b merchant.BackupFile
	if err := readJSON(w, r, &b); err != nil {
		return err
	}
	if !filepath.IsAbs(b.File) {
		return fmt.Errorf("%w: file %q must be an absolute path on the server", errBody, b.File)
	}
	err := d.Store.Backup(r.Context(), b.File)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return fmt.Errorf("%w for a PostgreSQL store: use pg_dump, which copies it while Caddy runs", errors.ErrUnsupported)
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%s exists already; it is not overwritten: %w", b.File, fs.ErrExist)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: the server cannot write there: %w", errBody, err)
	case err != nil:
		return err
	}
	return writeJSON(w, merchant.Done{Done: true})
}
