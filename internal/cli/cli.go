// Package cli holds the subcommands of caddy checkout: the merchant's side on
// a terminal, over the routes of Caddy's admin endpoint, and explanations of
// keys that need no Caddy at all. It knows no Caddy: the root package tells it
// where the endpoint is.
//
// What buyers wrote comes to the terminal without anything that could steer it.
package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

// Endpoint finds Caddy's admin endpoint.
type Endpoint struct {
	Flags   func(cmd *cobra.Command)                  // adds the flags that say where it is
	Connect func(cmd *cobra.Command) (*Client, error) // reads them
}

// Commands returns what makes each of the subcommands.
func Commands(e Endpoint) []func() *cobra.Command {
	return []func() *cobra.Command{
		e.orders, e.show, e.refresh, e.confirm, e.ship, e.refund, e.export,
		e.balance, e.summary, e.deliveries, e.redeliver, e.orphans, e.tail, e.backup,
		signCommand, verifyCommand,
	}
}

// Exit statuses of a command that did not do what was asked.
const (
	exitNo     = 1 // the answer is no: not found, not in a state for that, the key does not fit
	exitFailed = 2 // it could not be asked: wrong usage, no Caddy, a store in trouble
)

// ExitCode returns the exit status for what a command returned.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	if e, ok := errors.AsType[*apiError](err); ok && (e.status == http.StatusNotFound || e.status == http.StatusConflict) {
		return exitNo
	}
	if errors.Is(err, errNoFit) {
		return exitNo
	}
	return exitFailed
}

// run is what a subcommand does once it has a client and a screen.
type run func(ctx context.Context, c *Client, s *screen, args []string) error

// command completes a subcommand that talks to the endpoint and writes JSON
// where that is wanted.
func (e Endpoint) command(cmd *cobra.Command, do run) *cobra.Command {
	cmd.Flags().Bool("json", false, "Write JSON for programs, as the admin endpoint gives it")
	return e.connected(cmd, do)
}

// connected completes a subcommand that talks to the endpoint.
func (e Endpoint) connected(cmd *cobra.Command, do run) *cobra.Command {
	e.Flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := e.Connect(cmd)
		if err != nil {
			return err
		}
		return do(cmd.Context(), c, newScreen(cmd), args)
	}
	return cmd
}

// wantsJSON reports whether --json was given.
func wantsJSON(cmd *cobra.Command) bool {
	asJSON, err := cmd.Flags().GetBool("json")
	return err == nil && asJSON
}

// oneID takes exactly one argument, an id.
func oneID(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 || args[0] == "" {
			return fmt.Errorf("write one %s id", what)
		}
		return nil
	}
}
