package postgres

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-checkout/checkout/internal/store"
)

const (
	// maxPayload keeps a notice under the 8000 bytes that NOTIFY takes.
	maxPayload = 7900

	// silence is how long a listening connection may say nothing before it is
	// tried.
	silence = 10 * time.Second

	minBackoff = 50 * time.Millisecond
	maxBackoff = time.Second
)

// payloads are the notices in as few payloads as hold them: the node that
// tells, a space, and JSON.
func payloads(node string, notices []store.Notice) (list []string) {
	for len(notices) > 0 {
		n := len(notices)
		text := node + " " + encode(notices)
		for len(text) > maxPayload && n > 1 {
			n = (n + 1) / 2
			text = node + " " + encode(notices[:n])
		}
		if len(text) <= maxPayload {
			list = append(list, text)
		}
		notices = notices[n:]
	}
	return list
}

// listenLoop publishes what other nodes tell until ctx ends. ready is closed
// when it first listens. After each time that it could not listen, all who
// watch are woken, since it may have missed what they wait for.
func (s *Store) listenLoop(ctx context.Context, cfg *pgx.ConnConfig, ready chan<- struct{}) {
	backoff := minBackoff
	for first := true; ctx.Err() == nil; {
		err := s.listen(ctx, cfg, func() {
			if first {
				first = false
				close(ready)
			} else {
				s.log.Info("listening for changes of other nodes again")
			}
			backoff = minBackoff
			s.WakeAll()
		})
		if ctx.Err() != nil {
			return
		}
		s.log.Warn("not listening for changes of other nodes", "error", err, "retry_in", backoff)
		select {
		case <-time.After(backoff):
		case <-ctx.Done():
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// listen listens on a connection of its own until that breaks.
func (s *Store) listen(ctx context.Context, cfg *pgx.ConnConfig, ready func()) error {
	c, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTimeout)
		defer cancel()
		_ = c.Close(ctx) // nothing is lost with it
	}()
	if err := s.exec(ctx, c, "LISTEN "+s.channel); err != nil {
		return err
	}
	ready()
	for {
		wait, cancel := context.WithTimeout(ctx, silence)
		n, err := c.WaitForNotification(wait)
		quiet := wait.Err() != nil && ctx.Err() == nil
		cancel()
		switch {
		case err == nil:
			s.hear(n.Payload)
		case !quiet:
			return err
		default:
			if err := s.exec(ctx, c, "SELECT 1"); err != nil {
				return err
			}
		}
	}
}

func (s *Store) exec(ctx context.Context, c *pgx.Conn, sql string) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	_, err := c.Exec(ctx, sql)
	return err
}

// hear publishes the notices of another node. Our own were published when they
// were committed.
func (s *Store) hear(payload string) {
	node, list, _ := strings.Cut(payload, " ")
	if node == s.node {
		return
	}
	var notices []store.Notice
	if err := json.Unmarshal([]byte(list), &notices); err != nil {
		s.log.Warn("a notice cannot be read", "error", err)
		return
	}
	s.Publish(notices...)
}
