-- "Toll": whose file this is, so that another program's is not taken for ours.
PRAGMA application_id = 1416588396;

CREATE TABLE users (
    realm        TEXT    NOT NULL,
    id           TEXT    NOT NULL,
    username     TEXT,
    username_key TEXT,             -- canonical: see name.rs
    email        TEXT,
    email_key    TEXT,             -- canonical
    password     TEXT    NOT NULL, -- a hash
    data         TEXT    NOT NULL, -- a JSON object
    roles        TEXT    NOT NULL, -- a JSON array of strings
    disabled     INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    created_at   INTEGER NOT NULL, -- Unix milliseconds
    updated_at   INTEGER NOT NULL, -- Unix milliseconds
    version      INTEGER NOT NULL,
    PRIMARY KEY (realm, id),
    UNIQUE (realm, username_key),
    UNIQUE (realm, email_key)
) STRICT;

-- username_key and email_key are what the token says until it expires, though its user may be renamed meanwhile.
CREATE TABLE sessions (
    token        BLOB    NOT NULL PRIMARY KEY,
    realm        TEXT    NOT NULL,
    user_id      TEXT    NOT NULL,
    username_key TEXT,
    email_key    TEXT,
    expires_at   INTEGER NOT NULL, -- Unix seconds
    FOREIGN KEY (realm, user_id) REFERENCES users (realm, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_user ON sessions (realm, user_id);
CREATE INDEX sessions_by_username ON sessions (realm, username_key);
CREATE INDEX sessions_by_email ON sessions (realm, email_key);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- AUTOINCREMENT: a sequence is never given twice, though the rows with the highest were purged. A process that polls
-- would otherwise miss a revocation.
CREATE TABLE revocations (
    sequence     INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    token        BLOB    NOT NULL UNIQUE,
    expires_at   INTEGER NOT NULL  -- Unix seconds
) STRICT;

CREATE INDEX revocations_by_expiry ON revocations (expires_at);

PRAGMA user_version = 1;
