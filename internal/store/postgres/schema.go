package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/caddy-checkout/checkout/internal/store"
)

// migrations lead from one version of the schema to the next; the version is
// how many have run. Never edit one that was released.
//
// Times are milliseconds since 1970, 0 for none. Lines and payments are a JSON
// array, because they are only ever read whole; whose a payid is says payids.
// History and log are JSON values, one a line, because they are appended to,
// too. Ids sort by bytes.
var migrations = []string{`
CREATE TABLE orders (
	id            text COLLATE "C" PRIMARY KEY,
	shop          text COLLATE "C" NOT NULL,
	state         smallint NOT NULL,
	late          boolean NOT NULL,
	lines         text NOT NULL,
	total         bigint NOT NULL,
	title         text NOT NULL,
	buyer_name    text NOT NULL,
	buyer_email   text NOT NULL,
	buyer_tel     text NOT NULL,
	buyer_address text NOT NULL,
	buyer_note    text NOT NULL,
	orderuid      text NOT NULL,
	language      text NOT NULL,
	client        text COLLATE "C" NOT NULL,
	test          boolean NOT NULL,
	created_at    bigint NOT NULL,
	expires_at    bigint NOT NULL,
	paid_at       bigint NOT NULL,
	note          text NOT NULL,
	shipped_at    bigint NOT NULL,
	refunded_at   bigint NOT NULL,
	asked_at      bigint NOT NULL,
	answered_at   bigint NOT NULL,
	answer        text NOT NULL,
	payments      text NOT NULL,
	next_query    bigint NOT NULL,
	history       text NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX orders_created ON orders (created_at, id);
CREATE INDEX orders_shop ON orders (shop, created_at, id);
CREATE INDEX orders_pending ON orders (shop, client) WHERE state = 0;
CREATE INDEX orders_review ON orders (shop, created_at, id) WHERE state = 3;
CREATE INDEX orders_due ON orders (shop, created_at, id) INCLUDE (next_query) WHERE next_query > 0 AND state IN (0, 2);
CREATE INDEX orders_ship ON orders (created_at, id) WHERE state = 1 AND shipped_at = 0 AND refunded_at = 0;
CREATE INDEX orders_unpaid ON orders (created_at) WHERE state = 2 AND paid_at = 0;

CREATE TABLE payids (
	shop     text COLLATE "C" NOT NULL,
	payid    text COLLATE "C" NOT NULL,
	order_id text COLLATE "C" NOT NULL,
	PRIMARY KEY (payid, shop)
);

CREATE TABLE events (
	id       text COLLATE "C" PRIMARY KEY,
	shop     text COLLATE "C" NOT NULL,
	order_id text COLLATE "C" NOT NULL,
	type     text NOT NULL,
	at       bigint NOT NULL,
	payload  bytea NOT NULL
);
CREATE INDEX events_order ON events (order_id);

CREATE TABLE deliveries (
	id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	event_id   text COLLATE "C" NOT NULL,
	shop       text COLLATE "C" NOT NULL,
	order_id   text COLLATE "C" NOT NULL,
	target     text COLLATE "C" NOT NULL,
	state      text COLLATE "C" NOT NULL DEFAULT 'pending',
	attempts   integer NOT NULL DEFAULT 0,
	next_at    bigint NOT NULL,
	created_at bigint NOT NULL,
	log        text NOT NULL DEFAULT ''
);
CREATE INDEX deliveries_order ON deliveries (order_id, id);
CREATE INDEX deliveries_due ON deliveries (target, next_at, id) WHERE state = 'pending';
CREATE INDEX deliveries_first ON deliveries (target, order_id, id) WHERE state = 'pending';
CREATE INDEX deliveries_state ON deliveries (state, id) WHERE state <> 'done';

CREATE TABLE orphans (
	id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	shop     text COLLATE "C" NOT NULL,
	payid    text COLLATE "C" NOT NULL,
	orderid  text COLLATE "C" NOT NULL,
	paymoney text COLLATE "C" NOT NULL,
	realpay  text COLLATE "C" NOT NULL,
	orderuid text NOT NULL,
	at       bigint NOT NULL,
	seen     integer NOT NULL DEFAULT 1,
	UNIQUE (shop, payid, orderid, paymoney, realpay)
);

CREATE TABLE balances (
	merchant text COLLATE "C" PRIMARY KEY,
	asked_at bigint NOT NULL DEFAULT 0,
	amount   text NOT NULL DEFAULT '',
	at       bigint NOT NULL DEFAULT 0
);
`}

// migrate brings the schema to the version of this program and returns its
// name. Of several nodes that come at once, one migrates and the others wait
// for it, but not for longer than wait.
func (s *Store) migrate(ctx context.Context, wait time.Duration) (schema string, err error) {
	err = s.once(ctx, openTimeout, func(ctx context.Context) context.Context { return ctx }, func(ctx context.Context, c *pgxpool.Conn) error {
		var name *string
		var encoding string
		if err := c.QueryRow(ctx, "SELECT current_schema(), current_setting('server_encoding')").Scan(&name, &encoding); err != nil {
			return err
		}
		if name == nil {
			return fmt.Errorf("%w: no schema of the search_path exists; create it first", store.ErrUnavailable)
		}
		if encoding != "UTF8" {
			return fmt.Errorf("%w: the database is encoded in %s; make one with ENCODING 'UTF8'", store.ErrUnavailable, encoding)
		}
		schema = *name
		if v, err := version(ctx, c); err != nil || v == len(migrations) {
			return err
		}
		return inTx(ctx, c, func(tx pgx.Tx) error { return migrateTx(ctx, tx, schema, wait) })
	})
	if code(err) == codeLocked {
		err = fmt.Errorf("another node has been migrating the schema for more than %s: %w", wait, err)
	}
	return schema, classify(ctx, err)
}

func migrateTx(ctx context.Context, tx pgx.Tx, schema string, wait time.Duration) error {
	if _, err := tx.Exec(ctx, fmt.Sprintf("SET LOCAL lock_timeout = %d", wait.Milliseconds())); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", "caddy-checkout "+schema); err != nil {
		return err
	}
	v, err := version(ctx, tx)
	if err != nil {
		return err
	}
	if v == 0 {
		if _, err := tx.Exec(ctx, "CREATE TABLE IF NOT EXISTS schema_version (version integer NOT NULL)"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "INSERT INTO schema_version VALUES (0)"); err != nil {
			return err
		}
	}
	for ; v < len(migrations); v++ {
		if _, err := tx.Exec(ctx, migrations[v]); err != nil {
			return fmt.Errorf("migrating the schema to version %d: %w", v+1, err)
		}
	}
	_, err = tx.Exec(ctx, "UPDATE schema_version SET version = $1", v)
	return err
}

// version returns the version of the schema, 0 if there is none. It refuses
// one that this program does not know.
func version(ctx context.Context, q querier) (v int, err error) {
	if there, err := hasTable(ctx, q, "schema_version"); err != nil || !there {
		return 0, err
	}
	if err := q.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM schema_version").Scan(&v); err != nil {
		return 0, err
	}
	if v > len(migrations) {
		return 0, fmt.Errorf("%w: the schema is version %d, of a newer program; this one knows versions up to %d", store.ErrUnavailable, v, len(migrations))
	}
	return v, nil
}

// querier is a connection or a transaction.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func hasTable(ctx context.Context, q querier, name string) (there bool, err error) {
	err = q.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = current_schema() AND tablename = $1)", name).Scan(&there)
	return there, err
}

// hash makes a name fit for a channel out of any other.
func hash(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:8])
}
