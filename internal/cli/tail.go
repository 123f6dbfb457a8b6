package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-checkout/checkout/internal/merchant"
)

// A configuration that is loaded ends the feed, and the next one serves it
// again in a moment.
const (
	reconnectPause = 500 * time.Millisecond
	reconnectTries = 20
)

func (e Endpoint) tail() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tail [--shop <shop>]",
		Short: "Follows new and paid orders live",
		Long: `
Writes a line for every new order and every change of one as it happens, until
you end it with Ctrl-C. It goes on through reloads of Caddy.`,
		Example: `  caddy checkout tail
  caddy checkout tail --json | jq -r 'select(.state=="paid") | .id'`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().String("shop", "", "Of this shop, by its identity; default: all")
	return e.command(cmd, func(ctx context.Context, c *Client, s *screen, _ []string) error {
		ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
		defer stop()
		return follow(ctx, cmd, c, s)
	})
}

func follow(ctx context.Context, cmd *cobra.Command, c *Client, s *screen) error {
	for failed, begun := 0, false; ; {
		err := c.lines(ctx, "feed", query(cmd, "shop"), func() {
			if !begun {
				fmt.Fprintf(s.notes, "Following the orders of %s. Ctrl-C ends it.\n", c.Name)
			}
			failed, begun = 0, true
		}, func(line []byte) error {
			var n merchant.Notice
			if err := json.Unmarshal(line, &n); err != nil || n.Order == nil {
				return errors.Join(errFeed, err)
			}
			return s.give(append(line[:len(line):len(line)], '\n'), func() { s.notice(&n, time.Now()) })
		})
		if ctx.Err() != nil {
			return nil
		}
		if failed++; !begun || failed > reconnectTries || errors.Is(err, errFeed) {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(reconnectPause):
		}
	}
}

var errFeed = errors.New("reading a line of the feed")
