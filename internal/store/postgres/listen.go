package postgres

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-checkout/checkout/internal/store"
)

const (
	// maxPayload keeps a notice under the 8000 bytes that NOTIFY takes.
	maxPayload = 7900

	// changedMore says instead of notices that more has changed than fits.
	changedMore = "[]"

	// pulse is how often the listening connection is asked for a sign of life,
	// trust how long one lets orders be taken from memory, and amnesia how often
	// all are forgotten nevertheless: a change by hand gives no notice.
	pulse   = time.Second
	trust   = 3 * time.Second
	amnesia = time.Minute

	minBackoff = 50 * time.Millisecond
	maxBackoff = time.Second
)

// rename makes this node another, so that it hears what it cannot know of: a
// transaction that was under way under its old name.
func (s *Store) rename() {
	name := rand.Text()
	s.node.Store(&name)
}

// hears reports whether the changes that other nodes make come to be known.
func (s *Store) hears() bool {
	last := s.heard.Load()
	return last != nil && time.Since(*last) < trust
}

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
		if len(text) > maxPayload {
			text = node + " " + changedMore
		}
		list = append(list, text)
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
	defer s.heard.Store(nil)
	var forgot time.Time
	for first := true; ; first = false {
		asked := time.Now()
		if err := s.exec(ctx, c, "LISTEN "+s.channel); err != nil { // any statement would do to see that it is alive
			return err
		}
		if first || asked.Sub(forgot) > amnesia {
			s.recent.ForgetAll()
			forgot = asked
		}
		if first {
			ready()
		}
		s.heard.Store(&asked)
		if err := s.hearFor(ctx, c, pulse); err != nil {
			return err
		}
	}
}

// hearFor hears other nodes for as long as d.
func (s *Store) hearFor(ctx context.Context, c *pgx.Conn, d time.Duration) error {
	wait, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for {
		n, err := c.WaitForNotification(wait)
		switch {
		case err == nil:
			s.hear(n.Payload)
		case wait.Err() != nil && ctx.Err() == nil:
			return nil
		default:
			return err
		}
	}
}

func (s *Store) exec(ctx context.Context, c *pgx.Conn, sql string) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	_, err := c.Exec(ctx, sql)
	return err
}

// hear tells of the notices of another node. Our own were told when they were
// committed.
func (s *Store) hear(payload string) {
	node, list, _ := strings.Cut(payload, " ")
	if node == *s.node.Load() {
		return
	}
	var notices []store.Notice
	if err := json.Unmarshal([]byte(list), &notices); err != nil {
		s.log.Warn("a notice cannot be read", "error", err)
	}
	if len(notices) == 0 {
		s.recent.ForgetAll()
		return
	}
	s.tell(notices)
}

// tell forgets the orders that have changed and tells those who wait for it.
func (s *Store) tell(notices []store.Notice) {
	var changed []string
	for _, n := range notices {
		if !n.New {
			changed = append(changed, n.ID)
		}
	}
	s.recent.Forget(changed)
	s.Publish(notices...)
}
