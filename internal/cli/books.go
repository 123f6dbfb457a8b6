package cli

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-checkout/checkout/internal/merchant"
)

// summaryDays is how far back a summary goes when nobody says.
const summaryDays = 30

func (e Endpoint) balance() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "balance",
		Short: "Shows what the merchant accounts hold at the gateway",
		Long: `
Shows the balance of the merchant account of every shop. The gateway allows one
question in three minutes; in between you see the last answer, and of when it is.`,
		Example: "  caddy checkout balance",
		Args:    cobra.NoArgs,
	}
	return e.command(cmd, func(ctx context.Context, c *Client, s *screen, _ []string) error {
		var list merchant.BalanceList
		raw, err := c.get(ctx, "balance", nil, &list)
		if err != nil {
			return err
		}
		return s.give(raw, func() { s.balances(list.Balances) })
	})
}

func (e Endpoint) summary() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "summary [--from <day>] [--to <day>] [--shop <shop>]",
		Short:   "Counts orders and money by day, and the best products",
		Example: "  caddy checkout summary --from 2026-03-01 --to 2026-03-31",
		Args:    cobra.NoArgs,
	}
	cmd.Flags().String("from", "", "The first day, like 2026-03-01; default: 30 days ago")
	cmd.Flags().String("to", "", "The last day; default: today")
	cmd.Flags().String("shop", "", "Of this shop, by its identity; default: all")
	return e.command(cmd, func(ctx context.Context, c *Client, s *screen, _ []string) error {
		q := query(cmd, "shop", "from", "to")
		if len(q["from"]) == 0 && len(q["to"]) == 0 {
			q.Set("from", time.Now().AddDate(0, 0, -summaryDays).Format(time.DateOnly))
		}
		var sum merchant.Summary
		raw, err := c.get(ctx, "summary", q, &sum)
		if err != nil {
			return err
		}
		return s.give(raw, func() { s.summary(&sum) })
	})
}

func (e Endpoint) deliveries() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "deliveries [--state <state>] [--shop <shop>]",
		Short:   "Lists webhooks and mails on their way, newest first",
		Example: "  caddy checkout deliveries --state failed",
		Args:    cobra.NoArgs,
	}
	cmd.Flags().String("state", "", "In this state: pending, done, failed or disabled")
	cmd.Flags().String("shop", "", "Of this shop, by its identity; default: all")
	pageFlags(cmd)
	complete(cmd, "state", merchant.DeliveryStates...)
	return e.command(cmd, func(ctx context.Context, c *Client, s *screen, _ []string) error {
		var page merchant.DeliveryPage
		raw, err := c.get(ctx, "deliveries", query(cmd, append(merchant.PageParams, "state", "shop")...), &page)
		if err != nil {
			return err
		}
		return s.give(raw, func() {
			s.deliveries(page.Deliveries)
			s.more(page.Next)
		})
	})
}

func (e Endpoint) redeliver() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "redeliver <delivery id>",
		Short:   "Sends a webhook or mail again, whatever became of it",
		Example: "  caddy checkout redeliver 1742",
		Args:    oneID("delivery"),
	}
	return e.command(cmd, func(ctx context.Context, c *Client, s *screen, args []string) error {
		var done merchant.Done
		raw, err := c.post(ctx, "deliveries/"+url.PathEscape(args[0])+"/redeliver", nil, &done)
		if err != nil {
			return notFoundHint(err, "delivery", args[0], "caddy checkout deliveries")
		}
		return s.give(raw, func() { s.printf("Delivery %s goes out now.\n", clean(args[0])) })
	})
}

func (e Endpoint) orphans() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "orphans [--shop <shop>]",
		Short: "Lists verified payments that fit no order",
		Long: `
Lists notifies of the gateway that are genuine, but name no order that is known:
somebody may have paid for nothing.`,
		Example: "  caddy checkout orphans",
		Args:    cobra.NoArgs,
	}
	cmd.Flags().String("shop", "", "Of this shop, by its identity; default: all")
	pageFlags(cmd)
	return e.command(cmd, func(ctx context.Context, c *Client, s *screen, _ []string) error {
		var page merchant.OrphanPage
		raw, err := c.get(ctx, "orphans", query(cmd, append(merchant.PageParams, "shop")...), &page)
		if err != nil {
			return err
		}
		return s.give(raw, func() {
			s.orphans(page.Orphans)
			s.more(page.Next)
		})
	})
}

func (e Endpoint) backup() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup <file>",
		Short: "Copies the orders into a file while Caddy runs",
		Long: `
Copies the database of orders into a new file, consistent, while Caddy goes on
selling. Caddy itself writes the file, on its own machine and with its own
rights; one that exists is not overwritten. To restore it, stop Caddy and put the
file in the place of the store's. A PostgreSQL store has pg_dump instead.`,
		Example: "  caddy checkout backup /var/backups/orders-2026-03-01.db",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return fmt.Errorf("write one file to copy to")
			}
			return nil
		},
	}
	return e.command(cmd, func(ctx context.Context, c *Client, s *screen, args []string) error {
		file, err := filepath.Abs(args[0])
		if err != nil {
			return err
		}
		var done merchant.Done
		raw, err := c.post(ctx, "backup", merchant.BackupFile{File: file}, &done)
		if err != nil {
			return err
		}
		return s.give(raw, func() { s.printf("Copied to %s\n", clean(file)) })
	})
}
