package checkout

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-checkout/checkout/internal/cli"
)

// subcommands makes those of caddy checkout, in no particular order.
var subcommands = slices.Concat(cli.Commands(cli.Endpoint{Flags: addressFlags, Connect: connect}), []func() *cobra.Command{doctorCommand, migrateStoreCommand})

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "checkout",
		Usage: "<command>",
		Short: "Sees, searches, exports and repairs the orders of the shops",
		Long: `
Sees, searches, exports and repairs the orders of the shops that a running Caddy
serves, through its admin endpoint at '` + caddy.DefaultAdminListen + `'. You may
explicitly specify the --address, or use the --config flag to load the admin
address from your config, if not using the default.

sign and verify explain a key, and need no running Caddy.

The exit status is 0 if it was done, 1 if the answer is no (there is no such
order, it is not in a state for that, the key does not fit), and 2 if it could
not be asked.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Example = `  caddy checkout orders --todo ship
  caddy checkout show 01KBX3R6ZJ5G2T7N8M4Q9V0WYC
  caddy checkout tail`
			cmd.Args = cobra.ArbitraryArgs
			cmd.RunE = func(cmd *cobra.Command, args []string) error {
				if len(args) == 0 {
					return cmd.Help()
				}
				return exit(cmd, fmt.Errorf("unknown command %q; caddy checkout --help lists them", args[0]))
			}
			for _, subcommand := range subcommands {
				cmd.AddCommand(withExitStatus(subcommand()))
			}
		},
	})
}

// withExitStatus makes a command end with the status that its error has.
func withExitStatus(cmd *cobra.Command) *cobra.Command {
	args, run := cmd.Args, cmd.RunE
	if args != nil {
		cmd.Args = func(cmd *cobra.Command, given []string) error { return exit(cmd, args(cmd, given)) }
	}
	cmd.RunE = func(cmd *cobra.Command, given []string) error { return exit(cmd, run(cmd, given)) }
	cmd.SetFlagErrorFunc(exit)
	return cmd
}

// exit tells an error and returns the one by which Caddy ends with its status.
func exit(cmd *cobra.Command, err error) error {
	code := cli.ExitCode(err)
	if code == caddy.ExitCodeSuccess || cmd.SilenceErrors {
		return err // told already
	}
	cmd.PrintErrln("Error:", err)
	cmd.SilenceErrors = true
	if code == caddy.ExitCodeFailedStartup {
		return err
	}
	return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return code, nil })(cmd, nil)
}

func addressFlags(cmd *cobra.Command) {
	cmd.Flags().String("address", "", "Address of the administration API listener (if --config is not used)")
	cmd.Flags().StringP("config", "c", "", "Configuration file (if --address is not used)")
	cmd.Flags().StringP("adapter", "a", "", "Name of config adapter to apply (if --config is used)")
}

// connect reads addressFlags. It asks through a client of its own, since
// [caddycmd.AdminAPIRequest] hides the status and cannot be ended.
func connect(cmd *cobra.Command) (*cli.Client, error) {
	fl := caddycmd.Flags{FlagSet: cmd.Flags()}
	address, err := caddycmd.DetermineAdminAPIAddress(fl.String("address"), nil, fl.String("config"), fl.String("adapter"))
	if err != nil {
		return nil, fmt.Errorf("couldn't determine admin API address: %w", err)
	}
	parsed, err := caddy.ParseNetworkAddress(address)
	if err != nil || parsed.PortRangeSize() > 1 || !strings.HasPrefix(parsed.Network, "tcp") && !parsed.IsUnixNetwork() {
		return nil, fmt.Errorf("invalid admin address %q: write host:port or unix/path", address)
	}
	c := &cli.Client{Name: address, Base: "http://127.0.0.1"}
	target := parsed.JoinHostPort(0)
	if parsed.IsUnixNetwork() {
		// The permissions of a socket are written behind its path.
		target, _, _ = strings.Cut(parsed.Host, "|")
	} else {
		c.Base = "http://" + target
		c.Origin = c.Base
	}
	c.HTTP = &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, parsed.Network, target)
		},
	}}
	return c, nil
}
