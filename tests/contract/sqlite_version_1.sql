-- A file as version 1 wrote it: its tables, and a few rows. A record of the past: it is never changed.
PRAGMA journal_mode = WAL;
PRAGMA application_id = 0x696E626F;
PRAGMA user_version = 1;

CREATE TABLE messages (
    place INTEGER PRIMARY KEY,
    message_id NOT NULL UNIQUE,
    app TEXT NOT NULL,
    sender TEXT NOT NULL,
    recipient TEXT NOT NULL,
    sole_owner TEXT NOT NULL,
    timestamp_ms INTEGER NOT NULL,
    client_message_id TEXT,
    client_timestamp_ms INTEGER,
    fingerprint TEXT,
    body BLOB NOT NULL
);
CREATE INDEX messages_by_thread ON messages (app, sender, recipient, sole_owner, timestamp_ms, message_id);

CREATE TABLE timelines (
    app TEXT NOT NULL,
    owner TEXT NOT NULL,
    place INTEGER NOT NULL,
    PRIMARY KEY (app, owner, place)
) WITHOUT ROWID;

CREATE TABLE peers (
    app TEXT NOT NULL,
    owner TEXT NOT NULL,
    peer TEXT NOT NULL,
    last_ms INTEGER,
    last_id,
    last_place INTEGER,
    read_ms INTEGER,
    read_id,
    blocked_since_ms INTEGER,
    contact_since_ms INTEGER,
    written_since_ms INTEGER,
    PRIMARY KEY (app, owner, peer)
) WITHOUT ROWID;
CREATE INDEX peers_by_last ON peers (app, owner, last_ms, last_id) WHERE last_ms IS NOT NULL;
CREATE INDEX peers_blocked ON peers (app, owner, peer) WHERE blocked_since_ms IS NOT NULL;
CREATE INDEX peers_contacts ON peers (app, owner, peer)
    WHERE contact_since_ms IS NOT NULL OR written_since_ms IS NOT NULL;

CREATE TABLE users (
    app TEXT NOT NULL,
    user TEXT NOT NULL,
    who_may_write TEXT,
    PRIMARY KEY (app, user)
) WITHOUT ROWID;

CREATE TABLE bans (
    app TEXT NOT NULL,
    user TEXT NOT NULL,
    until_ms INTEGER,
    reason TEXT NOT NULL,
    by TEXT NOT NULL,
    since_ms INTEGER NOT NULL,
    PRIMARY KEY (app, user)
) WITHOUT ROWID;

INSERT INTO messages VALUES (
    0, x'00000000000050008000000000000001', 'shop', 'alice', 'bob', '', 1760000000000, 'c1', NULL, NULL,
    CAST('{"text":"old"}' AS BLOB)
);
INSERT INTO timelines VALUES ('shop', 'alice', 0), ('shop', 'bob', 0);
INSERT INTO peers VALUES
    ('shop', 'alice', 'bob', 1760000000000, x'00000000000050008000000000000001', 0, NULL, NULL, NULL, NULL, 1760000000000),
    ('shop', 'bob', 'alice', 1760000000000, x'00000000000050008000000000000001', 0,
     1760000000000, x'00000000000050008000000000000001', NULL, NULL, NULL),
    ('shop', 'bob', 'eve', NULL, NULL, NULL, NULL, NULL, 5, NULL, NULL);
INSERT INTO users VALUES ('shop', 'bob', 'contacts');
INSERT INTO bans VALUES ('shop', 'eve', 9, 'spam', 'root', 5);
