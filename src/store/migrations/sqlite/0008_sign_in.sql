-- Sign-in sessions of people. Each is a session, and is deleted with it. It stores no names: they are read from users.
CREATE TABLE sign_ins (
    session        BLOB    NOT NULL PRIMARY KEY REFERENCES sessions (token) ON DELETE CASCADE,
    family         BLOB    NOT NULL, -- the session at the portal that opened it, or itself; that session may have ended
    host           TEXT    NOT NULL,
    agent          TEXT    NOT NULL, -- at most 256 bytes
    address        TEXT    NOT NULL,
    last_seen      INTEGER NOT NULL, -- Unix seconds
    ends_at        INTEGER NOT NULL, -- Unix seconds from which it has ended
    idle           INTEGER NOT NULL, -- seconds without a request after which it ends; 0: never
    remember       INTEGER NOT NULL CHECK (remember IN (0, 1)),
    amr            TEXT    NOT NULL, -- a JSON array of strings (RFC 8176)
    auth_time      INTEGER NOT NULL, -- Unix seconds
    provider       TEXT,             -- its id in the configuration; NULL: signed in without a provider
    issuer         TEXT,
    subject        TEXT,
    sid            TEXT,             -- the session at the provider, if it has an id
    provider_token BLOB              -- the provider's refresh token, encrypted
) STRICT, WITHOUT ROWID;

CREATE INDEX sign_ins_by_family ON sign_ins (family);
CREATE INDEX sign_ins_by_subject ON sign_ins (issuer, subject) WHERE issuer IS NOT NULL;
CREATE INDEX sign_ins_by_sid ON sign_ins (issuer, sid) WHERE issuer IS NOT NULL;
CREATE INDEX sign_ins_by_idle ON sign_ins (last_seen + idle) WHERE idle > 0;

-- Sign-ins that have begun and are not done.
CREATE TABLE flows (
    id         BLOB    NOT NULL PRIMARY KEY, -- SHA-256 of the id
    cookie     BLOB    NOT NULL,             -- SHA-256 of the flow cookie
    realm      TEXT    NOT NULL,
    host       TEXT    NOT NULL,
    target     TEXT    NOT NULL,             -- path and query
    created_at INTEGER NOT NULL,             -- Unix milliseconds
    expires_at INTEGER NOT NULL,             -- Unix seconds from which it is invalid
    tries      INTEGER NOT NULL,
    parent     BLOB,                         -- the id of the flow that continues after this one
    provider   TEXT,                         -- NULL: not a request to a provider
    nonce      BLOB,                         -- SHA-256
    verifier   BLOB                          -- the code verifier of PKCE, encrypted
) STRICT, WITHOUT ROWID;

CREATE INDEX flows_by_realm ON flows (realm, created_at);
CREATE INDEX flows_by_cookie ON flows (cookie, created_at);
CREATE INDEX flows_by_expiry ON flows (expires_at);

-- One for each flow: the portal's session that continues it.
CREATE TABLE tickets (
    ticket     BLOB    NOT NULL PRIMARY KEY, -- SHA-256
    flow       BLOB    NOT NULL UNIQUE REFERENCES flows (id) ON DELETE CASCADE,
    session    BLOB    NOT NULL REFERENCES sessions (token) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL              -- Unix seconds from which it is invalid
) STRICT, WITHOUT ROWID;

CREATE INDEX tickets_by_session ON tickets (session);

-- Accounts at OpenID Connect providers, and their users.
CREATE TABLE provider_accounts (
    realm     TEXT    NOT NULL,
    issuer    TEXT    NOT NULL,
    subject   TEXT    NOT NULL,
    provider  TEXT    NOT NULL, -- its id in the configuration
    user_id   TEXT    NOT NULL,
    linked_at INTEGER NOT NULL, -- Unix milliseconds
    PRIMARY KEY (realm, issuer, subject),
    FOREIGN KEY (realm, user_id) REFERENCES users (realm, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX provider_accounts_by_user ON provider_accounts (realm, user_id);

PRAGMA user_version = 8;
