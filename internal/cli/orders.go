package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/caddy-checkout/checkout/internal/merchant"
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// filterFlags adds the flags that pick orders.
func filterFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.String("shop", "", "Of this shop, by its identity")
	f.StringSlice("state", nil, "In this state: pending, paid, expired or review; may be repeated")
	f.String("from", "", "Made at or after this day or time, like 2026-03-01 or 2026-03-01T09:30:00+08:00")
	f.String("to", "", "Made up to the end of this day, or before this time")
	f.String("sku", "", "With this product")
	f.String("text", "", "With this text in an id, a payment's id or what the buyer wrote")
	f.String("todo", "", "Waiting for this: ship")
	complete(cmd, "state", stateNames()...)
	complete(cmd, "todo", store.TodoShip)
}

func stateNames() []string {
	var names []string
	for _, s := range order.States {
		names = append(names, s.String())
	}
	return names
}

// pageFlags adds the flags that pick a page of a list.
func pageFlags(cmd *cobra.Command) {
	cmd.Flags().Int("limit", merchant.DefaultPage, "Show at most so many, up to "+strconv.Itoa(merchant.MaxPage))
	cmd.Flags().String("cursor", "", "Go on where the page before ended")
}

func complete(cmd *cobra.Command, flag string, values ...string) {
	// Fails only for a flag that is not there.
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// query makes a query of the flags that were given.
func query(cmd *cobra.Command, names ...string) url.Values {
	q := make(url.Values)
	for _, name := range names {
		f := cmd.Flags().Lookup(name)
		if f == nil || !f.Changed {
			continue
		}
		if list, err := cmd.Flags().GetStringSlice(name); err == nil {
			q[name] = list
			continue
		}
		q.Set(name, f.Value.String())
	}
	return q
}

// more tells how to go on after a page.
func (s *screen) more(next string) {
	if next != "" {
		fmt.Fprintf(s.notes, "There are more: repeat the command with --cursor %s\n", clean(next))
	}
}

func (e Endpoint) orders() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "orders [--state <state>] [--from <day>] [--to <day>] [--text <text>] …",
		Short: "Lists orders, newest first",
		Example: `  caddy checkout orders --todo ship
  caddy checkout orders --state review
  caddy checkout orders --from 2026-03-01 --to 2026-03-31 --text 13800138000`,
		Args: cobra.NoArgs,
	}
	filterFlags(cmd)
	pageFlags(cmd)
	return e.command(cmd, func(ctx context.Context, c *Client, s *screen, _ []string) error {
		var page merchant.OrderPage
		raw, err := c.get(ctx, "orders", query(cmd, append(merchant.FilterParams, merchant.PageParams...)...), &page)
		if err != nil {
			return err
		}
		return s.give(raw, func() {
			s.orders(page.Orders)
			s.more(page.Next)
		})
	})
}

func (e Endpoint) show() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show <order id>",
		Short:   "Shows all that is known of an order",
		Example: "  caddy checkout show 01KBX3R6ZJ5G2T7N8M4Q9V0WYC",
		Args:    oneID("order"),
	}
	return e.command(cmd, func(ctx context.Context, c *Client, s *screen, args []string) error {
		var detail merchant.Detail
		raw, err := c.get(ctx, "orders/"+url.PathEscape(args[0]), nil, &detail)
		if err != nil {
			return orderHint(err, args[0])
		}
		return s.give(raw, func() { s.detail(&detail) })
	})
}

// orderHint tells how to find an order that there is not.
func orderHint(err error, id string) error {
	return notFoundHint(err, "order", id, "caddy checkout orders --text <a part of its id, the buyer's name or number>")
}

func notFoundHint(err error, what, id, look string) error {
	if e, ok := errors.AsType[*apiError](err); ok && e.status == http.StatusNotFound {
		return &apiError{e.status, fmt.Sprintf("%s %s not found; look with: %s", what, clean(id), look)}
	}
	return err
}

func (e Endpoint) refresh() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "refresh <order id>",
		Short: "Asks the gateway about an order",
		Long: `
Asks the gateway what it knows of an order and keeps the answer, as a status
page would. The gateway allows one question per order and minute.`,
		Example: "  caddy checkout refresh 01KBX3R6ZJ5G2T7N8M4Q9V0WYC",
		Args:    oneID("order"),
	}
	return e.command(cmd, func(ctx context.Context, c *Client, s *screen, args []string) error {
		var got merchant.Refreshed
		raw, err := c.post(ctx, "orders/"+url.PathEscape(args[0])+"/refresh", nil, &got)
		if err != nil {
			return orderHint(err, args[0])
		}
		return s.give(raw, func() {
			if !got.Asked {
				s.printf("Not asked: the last question was at %s, and one a minute is allowed.\n", clock(got.Order.AskedAt))
			}
			s.state(got.Order)
		})
	})
}

func (e Endpoint) confirm() *cobra.Command {
	return e.decision(merchant.Confirm, &cobra.Command{
		Use:   "confirm <order id> --reason <why>",
		Short: "Takes an order in review as paid",
		Long: `
Takes an order in review as paid, after you have seen the money. Who did it and
why are kept in the order's history, and deliveries go out as for any paid order.`,
		Example: `  caddy checkout confirm 01KBX3R6ZJ5G2T7N8M4Q9V0WYC --reason "39.00 seen in the account"`,
	})
}

func (e Endpoint) ship() *cobra.Command {
	return e.decision(merchant.Ship, &cobra.Command{
		Use:     "ship <order id> --reason <parcel>",
		Short:   "Marks a paid order as shipped",
		Example: `  caddy checkout ship 01KBX3R6ZJ5G2T7N8M4Q9V0WYC --reason "SF1234567890"`,
	})
}

func (e Endpoint) refund() *cobra.Command {
	return e.decision(merchant.Refund, &cobra.Command{
		Use:   "refund <order id> --reason <why>",
		Short: "Marks an order as refunded",
		Long: `
Marks an order as refunded. No money moves: give it back by the gateway's own
means first.`,
		Example: `  caddy checkout refund 01KBX3R6ZJ5G2T7N8M4Q9V0WYC --reason "arrived broken"`,
	})
}

func (e Endpoint) decision(a merchant.Action, cmd *cobra.Command) *cobra.Command {
	cmd.Args = oneID("order")
	var d merchant.Decision
	cmd.Flags().StringVarP(&d.Reason, "reason", "r", "", "Why, kept in the order's history; required")
	cmd.Flags().StringVar(&d.Who, "who", "", "Who decides; default: the name of your account on this machine")
	return e.command(cmd, func(ctx context.Context, c *Client, s *screen, args []string) error {
		if d.Reason == "" {
			return errors.New("write a --reason; it is kept in the order's history")
		}
		if d.Who == "" {
			d.Who = accountName()
		}
		var o order.Order
		raw, err := c.post(ctx, "orders/"+url.PathEscape(args[0])+"/"+string(a), d, &o)
		if err != nil {
			return orderHint(err, args[0])
		}
		return s.give(raw, func() { s.state(&o) })
	})
}

// accountName is the name of who runs the command, if it is known.
func accountName() string {
	u, err := user.Current()
	if err != nil || u.Username == "" {
		return "admin"
	}
	return u.Username
}

func (e Endpoint) export() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export [-o <file>] [--state <state>] [--from <day>] [--to <day>] …",
		Short: "Exports orders as CSV for a spreadsheet",
		Long: `
Exports orders as CSV, one row for each line of an order, newest first, times in
the server's zone. The file holds what buyers wrote about themselves: it is made
readable for you alone, and appears under its name only when it is complete.`,
		Example: `  caddy checkout export -o march.csv --state paid --from 2026-03-01 --to 2026-03-31`,
		Args:    cobra.NoArgs,
	}
	filterFlags(cmd)
	file := cmd.Flags().StringP("output", "o", "", "Write to this file; default: the standard output")
	return e.connected(cmd, func(ctx context.Context, c *Client, s *screen, _ []string) error {
		ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM) // half a file is not left behind
		defer stop()
		body, err := c.stream(ctx, http.MethodGet, "orders.csv", query(cmd, merchant.FilterParams...), nil)
		if err != nil {
			return err
		}
		defer body.Close()
		if *file == "" || *file == "-" {
			if _, err := io.Copy(s, body); err != nil {
				return fmt.Errorf("the export is not complete: %w", err)
			}
			return nil
		}
		if err := writeFile(*file, body); err != nil {
			return fmt.Errorf("nothing was exported: %w", err)
		}
		fmt.Fprintf(s.notes, "Exported to %s\n", *file)
		return nil
	})
}

// writeFile writes a file that never is there half. What is there and is no
// file, like /dev/stdout, stays and is written to.
func writeFile(name string, content io.Reader) (err error) {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return writeInto(name, content)
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".part-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name())
		}
	}()
	_, err = io.Copy(tmp, content)
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), name)
}

func writeInto(name string, content io.Reader) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}
