package checkout

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/caddy-checkout/checkout/internal/store"
	"github.com/caddy-checkout/checkout/internal/store/postgres"
	"github.com/caddy-checkout/checkout/internal/store/sqlite"
	"github.com/caddy-checkout/checkout/internal/transfer"
)

func migrateStoreCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate-store --from sqlite:<file> --to postgres:<dsn>",
		Short: "Copies all orders from a SQLite file into a PostgreSQL database",
		Long: `
Copies everything that a SQLite store holds into an empty PostgreSQL database:
orders with their payments and history, events with their deliveries and
attempts, orphans, balances, and what the gateway was asked and when.

Stop every Caddy that uses the file first, and start none that uses the
database before the copy is done. No order in the file changes by it. An order
that is made or paid meanwhile is not lost, but it is not in the copy either:
in the end both stores are read again and compared by count and checksum, and
the copy of a file that changed is refused. Then empty the database and start
again.

A copy that was interrupted, however, goes on where it was when the command is
given again. Caddy does not open a database that holds half of a copy, nor does
this command touch one that holds anything else.

Write a placeholder like {env.CHECKOUT_DSN} or {file./run/secrets/dsn} for the
dsn, which holds a password that everybody can read in the list of processes
otherwise. When all is copied, write 'store postgres <dsn>' into the
configuration of every machine.

The exit status is 0 if all was copied and verified, else 2.`,
		Example: `  caddy checkout migrate-store --from sqlite:/var/lib/checkout/orders.db --to 'postgres:{env.CHECKOUT_DSN}'`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			from, err := cmd.Flags().GetString("from")
			if err != nil {
				return err
			}
			to, err := cmd.Flags().GetString("to")
			if err != nil {
				return err
			}
			return migrateStore(cmd.Context(), from, to, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().String("from", "", "The store to copy: sqlite:<file>")
	cmd.Flags().String("to", "", "The empty store to copy it into: postgres:<dsn>")
	return cmd
}

func migrateStore(ctx context.Context, from, to string, out, notes io.Writer) error {
	source, err := parseStore("from", from, kindSQLite)
	if err != nil {
		return err
	}
	target, err := parseStore("to", to, kindPostgres)
	if err != nil {
		return err
	}
	if _, err := os.Stat(source.File); err != nil { // opening it would make it
		return fmt.Errorf("finding the source: %w", err)
	}
	src, err := sqlite.Open(ctx, source.File)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := postgres.Open(ctx, target.DSN, postgres.Options{Unfinished: true})
	if err != nil {
		return err
	}
	defer dst.Close()

	began := time.Now()
	p := &migrationProgress{out: notes}
	sums, err := transfer.Copy(ctx, src, dst, transfer.Options{Progress: p.tell})
	if err != nil {
		return adviseMigration(err)
	}
	if err := errors.Join(dst.Close(), src.Close()); err != nil {
		return fmt.Errorf("closing the stores: %w", err)
	}
	tab := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, kind := range transfer.Kinds {
		hash := "-"
		if sums[kind].Count > 0 {
			hash = hex.EncodeToString(sums[kind].Hash)
		}
		fmt.Fprintf(tab, "%s\t%d\t%s\n", kind, sums[kind].Count, hash)
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "Copied and verified in %s. Write 'store postgres <dsn>' into the configuration of every machine.\n",
		time.Since(began).Round(time.Millisecond))
	return err
}

// parseStore reads kind:… with placeholders resolved. Its errors do not quote
// what may be a password.
func parseStore(flag, text, want string) (Store, error) {
	kind, where, _ := strings.Cut(text, ":")
	if kind != want || where == "" {
		return Store{}, fmt.Errorf("--%s wants %s", flag, map[string]string{
			kindSQLite:   "sqlite:<file>, like sqlite:/var/lib/checkout/orders.db",
			kindPostgres: "postgres:<dsn>, like 'postgres:{env.CHECKOUT_DSN}'",
		}[want])
	}
	s := Store{Kind: kind, File: where}
	if kind == kindPostgres {
		s = Store{Kind: kind, DSN: where}
		if strings.HasPrefix(where, "//") { // postgres://… is a dsn by itself
			s.DSN = text
		}
	}
	s, err := s.resolve(caddy.NewReplacer())
	if err != nil {
		return s, fmt.Errorf("--%s: %w", flag, err)
	}
	return s, nil
}

// adviseMigration adds what to do to an error.
func adviseMigration(err error) error {
	advice := ""
	switch {
	case errors.Is(err, store.ErrNotEmpty):
		advice = "name an empty database or schema, unless a copy of this file into it has ended before: then all is done"
	case errors.Is(err, transfer.ErrOtherSource):
		advice = "name the file that the copy was begun with, or an empty database"
	case errors.Is(err, transfer.ErrSourceChanged):
		advice = "stop every Caddy that uses the file, empty the database (DROP SCHEMA public CASCADE; CREATE SCHEMA public) and start again"
	case errors.Is(err, transfer.ErrTargetDiffers):
		advice = "something else writes to the database: empty it and start again"
	case errors.Is(err, store.ErrUnavailable):
		advice = "give the command again, and it goes on where it was"
	default:
		return err
	}
	return fmt.Errorf("%w; %s", err, advice)
}

// migrationProgress tells of a copy, once a second at most.
type migrationProgress struct {
	out  io.Writer
	last time.Time
}

func (p *migrationProgress) tell(step string, orders int) {
	if now := time.Now(); now.Sub(p.last) >= time.Second {
		p.last = now
		fmt.Fprintf(p.out, "%s: %d orders\n", step, orders)
	}
}
