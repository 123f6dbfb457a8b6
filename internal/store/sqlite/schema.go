package sqlite

import (
	"context"
	"fmt"
	"time"

	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/caddy-checkout/checkout/internal/store"
)

// applicationID marks a database file as ours, in its header.
const applicationID = 0x43484b54 // "CHKT"

// migrations lead from one version of the schema to the next. The version of a
// file, kept in its user_version, is how many of them it has seen. Those that
// were released are never edited.
//
// States are words, not numbers: no single flipped bit turns one into another.
// A time is in milliseconds since 1970, 0 where there is none yet. The tables
// of many rows have no rowid, so that one tree holds row and key.
var migrations = []string{`
CREATE TABLE shops (
	n       INTEGER PRIMARY KEY,
	name    TEXT NOT NULL UNIQUE,
	pending INTEGER NOT NULL DEFAULT 0, -- orders of that state
	review  INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE orders (
	id       TEXT PRIMARY KEY,
	shop     INTEGER NOT NULL REFERENCES shops (n),
	state    TEXT NOT NULL,
	late     INTEGER NOT NULL,
	lines    TEXT NOT NULL, -- JSON
	total    INTEGER NOT NULL,
	title    TEXT NOT NULL,
	buyer    TEXT NOT NULL, -- JSON
	orderuid TEXT NOT NULL,
	language TEXT NOT NULL,
	client   TEXT NOT NULL,
	test     INTEGER NOT NULL,
	created  INTEGER NOT NULL,
	expires  INTEGER NOT NULL,
	paid     INTEGER NOT NULL,
	note     TEXT NOT NULL,
	shipped  INTEGER NOT NULL,
	refunded INTEGER NOT NULL,
	asked    INTEGER NOT NULL,
	answered INTEGER NOT NULL,
	answer   TEXT NOT NULL,
	next     INTEGER NOT NULL, -- when the gateway is to be asked
	history  TEXT NOT NULL, -- JSON, one entry a line
	payments TEXT NOT NULL DEFAULT '[]', -- JSON
	list     TEXT NOT NULL AS (iif(state = 'paid' AND shipped = 0 AND refunded = 0, 'to ship', state))
) STRICT, WITHOUT ROWID;

CREATE INDEX orders_by_list ON orders (shop, list, created, id, total);

-- In the order of their making, whose newest are asked about first. Were it
-- that of next, each new order would have a page of its own.
CREATE INDEX orders_due ON orders (shop, created, id, next) WHERE next > 0 AND state IN ('pending', 'expired');

-- Whose a payment is: it pays one order only.
CREATE TABLE payids (
	shop     INTEGER NOT NULL,
	payid    TEXT NOT NULL,
	order_id TEXT NOT NULL,
	PRIMARY KEY (shop, payid)
) STRICT, WITHOUT ROWID;

-- What the limits count, so that no limit makes an order dearer.
CREATE TABLE clients (
	shop    INTEGER NOT NULL,
	client  TEXT NOT NULL,
	pending INTEGER NOT NULL,
	PRIMARY KEY (shop, client)
) STRICT, WITHOUT ROWID;

CREATE TABLE order_skus (
	shop     INTEGER NOT NULL,
	sku      TEXT NOT NULL,
	created  INTEGER NOT NULL,
	id       TEXT NOT NULL, -- of the order
	PRIMARY KEY (shop, sku, created, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
	order_id TEXT NOT NULL,
	id       TEXT NOT NULL,
	type     TEXT NOT NULL,
	at       INTEGER NOT NULL,
	payload  BLOB NOT NULL,
	PRIMARY KEY (order_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE deliveries (
	n        INTEGER PRIMARY KEY AUTOINCREMENT,
	shop     INTEGER NOT NULL,
	order_id TEXT NOT NULL,
	event_id TEXT NOT NULL,
	target   TEXT NOT NULL,
	state    TEXT NOT NULL,
	attempts INTEGER NOT NULL DEFAULT 0,
	next     INTEGER NOT NULL,
	created  INTEGER NOT NULL
) STRICT;

CREATE INDEX deliveries_by_order ON deliveries (order_id, target);
CREATE INDEX deliveries_by_state ON deliveries (shop, state);
CREATE INDEX deliveries_due ON deliveries (target, next, created) WHERE state = 'pending';

CREATE TABLE attempts (
	delivery INTEGER NOT NULL,
	seq      INTEGER NOT NULL,
	at       INTEGER NOT NULL,
	took     INTEGER NOT NULL, -- nanoseconds
	status   INTEGER NOT NULL,
	answer   TEXT NOT NULL,
	PRIMARY KEY (delivery, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE orphans (
	n        INTEGER PRIMARY KEY AUTOINCREMENT,
	shop     INTEGER NOT NULL,
	payid    TEXT NOT NULL,
	order_id TEXT NOT NULL,
	orderuid TEXT NOT NULL,
	paymoney TEXT NOT NULL,
	realpay  TEXT NOT NULL,
	at       INTEGER NOT NULL,
	seen     INTEGER NOT NULL,
	UNIQUE (shop, payid, order_id, paymoney, realpay)
) STRICT;

CREATE INDEX orphans_by_shop ON orphans (shop);

CREATE TABLE balances (
	merchant TEXT PRIMARY KEY,
	asked    INTEGER NOT NULL DEFAULT 0,
	amount   TEXT NOT NULL DEFAULT '',
	at       INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE ping (n INTEGER PRIMARY KEY, at INTEGER NOT NULL) STRICT;
`}

// migrate brings the file to the schema this program knows, each step in a
// transaction of its own.
func (c *conn) migrate(ctx context.Context, timeout time.Duration) error {
	for {
		newest, _, err := c.version()
		if newest || err != nil {
			return err
		}
		if err := c.begin(ctx, timeout); err != nil {
			return err
		}
		if err := c.migrateOne(); err != nil {
			_ = c.query("ROLLBACK", nil, nil) // may be rolled back already
			return err
		}
	}
}

// migrateOne does the next step and ends the transaction.
func (c *conn) migrateOne() error {
	newest, v, err := c.version() // again: another process may have been faster
	if err != nil {
		return err
	}
	if !newest {
		step := fmt.Sprintf("%s; PRAGMA application_id = %d; PRAGMA user_version = %d", migrations[v], applicationID, v+1)
		if err := sqlitex.ExecuteScript(c.Conn, step, nil); err != nil {
			return fmt.Errorf("migrating to schema %d: %w", v+1, coded(err))
		}
	}
	return c.query("COMMIT", nil, nil)
}

// version reads the version of the file's schema, and whether it is the
// newest. It refuses a file that is not ours.
func (c *conn) version() (newest bool, v int, err error) {
	var id, tables int
	_, err = one(c, `SELECT a.application_id, v.user_version, (SELECT count(*) FROM sqlite_schema)
		FROM pragma_application_id a, pragma_user_version v`, nil, &id, &v, &tables)
	if err != nil {
		return false, 0, err
	}
	switch fresh := id == 0 && v == 0 && tables == 0; {
	case id != applicationID && !fresh:
		return false, 0, fmt.Errorf("%w: the file is a database of another program; name another file", store.ErrUnavailable)
	case v < 0 || v > len(migrations):
		return false, 0, fmt.Errorf("%w: the file has schema %d, of a newer version of this program; this one knows up to %d",
			store.ErrUnavailable, v, len(migrations))
	}
	return v == len(migrations), v, nil
}
