package checkout

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/internal/cli"
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
	"github.com/caddy-checkout/checkout/internal/store/postgres"
	"github.com/caddy-checkout/checkout/internal/store/postgres/pgtest"
	"github.com/caddy-checkout/checkout/internal/store/sqlite"
)

func TestMigrateStore(t *testing.T) {
	pg := pgtest.Start(t)
	dsn := pg.Schema(t)
	file := filepath.Join(t.TempDir(), "orders.db")
	source, err := sqlite.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	create := func() string {
		t.Helper()
		o := &order.Order{
			ID: order.NewID(at), Shop: "shop", Total: 3900, Title: "Mug", CreatedAt: at, ExpiresAt: at.Add(time.Hour),
			Lines: []order.Line{{SKU: "mug", Name: "Mug", Price: 3900, Qty: 1}},
		}
		if err := source.Create(t.Context(), o, at, store.PendingLimits{}); err != nil {
			t.Fatal(err)
		}
		return o.ID
	}
	id := create()
	create()

	t.Setenv("MIGRATION_DSN", dsn)
	got := execute(t, "migrate-store", "--from", "sqlite:"+file, "--to", "postgres:{env.MIGRATION_DSN}")
	if got.err != nil || !regexp.MustCompile(`orders +2 +[0-9a-f]{64}\n`).MatchString(got.out) {
		t.Fatalf("%v\n%s%s", got.err, got.out, got.notes)
	}
	wantText(t, got.out, "balances    0  -\nCopied and verified")
	target, err := postgres.Open(t.Context(), dsn, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	if o, err := target.Order(t.Context(), "shop", id); err != nil || o.Total != 3900 {
		t.Errorf("the copy of %s is %+v (%v)", id, o, err)
	}
	if err := source.Close(); err != nil {
		t.Fatal(err)
	}

	got = execute(t, "migrate-store", "--from", "sqlite:"+file, "--to", dsn)
	wantText(t, got.notes, "store is not empty; name an empty database")
	if got.err == nil {
		t.Error("a target that is not empty is taken")
	}
}

func TestMigrateStoreRefuses(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.db")
	for _, tt := range []struct{ from, to, want string }{
		{"", "postgres:host=x", "--from wants sqlite:<file>"},
		{"orders.db", "postgres:host=x", "--from wants sqlite:<file>"},
		{"sqlite:orders.db", "", "--to wants postgres:<dsn>"},
		{"sqlite:orders.db", "mysql:secret", "--to wants postgres:<dsn>"},
		{"sqlite:orders.db", "postgres:{env.NO_SUCH_DSN}", "{env.NO_SUCH_DSN} is empty"},
		{"sqlite:" + missing, "postgres:host=x", missing},
	} {
		got := execute(t, "migrate-store", "--from", tt.from, "--to", tt.to)
		wantText(t, got.notes, tt.want)
		if cli.ExitCode(got.err) == 0 || strings.Contains(got.notes, "secret") {
			t.Errorf("--from %q --to %q: %v, %s", tt.from, tt.to, got.err, got.notes)
		}
	}
	if made, err := filepath.Glob(missing + "*"); err != nil || len(made) > 0 {
		t.Errorf("files were made: %v (%v)", made, err)
	}
}
