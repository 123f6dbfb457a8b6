package checkout

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-checkout/checkout/internal/doctor"
)

var errSick = errors.New("doctor found errors")

func doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor [--config <path> [--adapter <name>]] [--online] [--json]",
		Short: "Finds what would swallow payments",
		Long: `
Reads a configuration as caddy run would and finds what would swallow payments:
it follows the gateway's notify through the routes to the shop, and looks at
logins, redirects, matchers, rewrites, body limits, origins, tokens and files
in its way. It also finds sites that hand out the orders or a secret as a file.
Nothing is changed, and no shop is started.

What stands behind {env.*} and {file.*} is looked up where doctor runs; run it
in Caddy's own environment, or see a warning for every value that is missing.

With --online it also compares the clock with the gateway's and asks for the
balance once, which proves uid and token. The gateway allows one such question
in three minutes, and those of a running shop count too.

The exit status is 0 if there are no errors (there may be warnings and notes),
1 if there are, and 2 if the configuration could not be read.`,
		Args: cobra.NoArgs,
		RunE: runDoctor,
	}
	cmd.Flags().StringP("config", "c", "", "The configuration file; default: the Caddyfile in this directory")
	cmd.Flags().StringP("adapter", "a", "", "The name of the configuration's adapter")
	cmd.Flags().Bool("online", false, "Also ask the gateway for the time and, once, for the balance")
	cmd.Flags().Bool("json", false, "Write the findings as JSON")
	return cmd
}

func runDoctor(cmd *cobra.Command, _ []string) error {
	fl := caddycmd.Flags{FlagSet: cmd.Flags()}
	config, _, _, err := caddycmd.LoadConfig(fl.String("config"), fl.String("adapter"))
	if err != nil {
		return err
	}
	if len(config) == 0 {
		return errors.New("no configuration to read; name it with --config")
	}
	report, err := doctor.Examine(cmd.Context(), config, doctorOptions(fl.Bool("online")))
	if err != nil {
		return err
	}
	if err := writeReport(cmd.OutOrStdout(), report, fl.Bool("json")); err != nil {
		return fmt.Errorf("writing report: %w", err)
	}
	if report.Count(doctor.Error) > 0 {
		cmd.SilenceErrors = true // the report tells them; what is left is status 1
		return errSick
	}
	return nil
}

func doctorOptions(online bool) doctor.Options {
	repl := caddy.NewReplacer()
	return doctor.Options{
		Lookup: func(placeholder string) (string, bool) {
			value, err := resolve(repl, placeholder)
			return value, err == nil
		},
		Refused: func(raw json.RawMessage) error {
			h := new(Handler)
			if err := json.Unmarshal(raw, h); err != nil {
				return err
			}
			_, err := h.resolve(repl)
			return err
		},
		StoreFile: func(raw json.RawMessage) string {
			s := new(Store)
			if len(raw) > 0 && json.Unmarshal(raw, s) != nil {
				return ""
			}
			resolved, err := s.resolve(repl)
			if err != nil {
				return ""
			}
			return resolved.File
		},
		DataDir: caddy.AppDataDir(),
		Online:  online,
	}
}

func writeReport(out io.Writer, r *doctor.Report, asJSON bool) error {
	if !asJSON {
		return r.WriteText(out)
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(r)
}
