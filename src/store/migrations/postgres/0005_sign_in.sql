-- As SQLite's migration of the same name.
-- Sign-in sessions of people. Each is a session, and is deleted with it. It stores no names: they are read from users.
CREATE TABLE sign_ins (
    session        BYTEA   NOT NULL PRIMARY KEY REFERENCES sessions (token) ON DELETE CASCADE,
    family         BYTEA   NOT NULL, -- the session at the portal that opened it, or itself; that session may have ended
    host           TEXT COLLATE "C" NOT NULL,
    agent          TEXT    NOT NULL, -- at most 256 bytes
    address        TEXT    NOT NULL,
    last_seen      BIGINT  NOT NULL, -- Unix seconds
    ends_at        BIGINT  NOT NULL, -- Unix seconds from which it has ended
    idle           BIGINT  NOT NULL, -- seconds without a request after which it ends; 0: never
    remember       BOOLEAN NOT NULL,
    amr            TEXT    NOT NULL, -- a JSON array of strings (RFC 8176)
    auth_time      BIGINT  NOT NULL, -- Unix seconds
    provider       TEXT,             -- its id in the configuration; NULL: signed in without a provider
    issuer         TEXT COLLATE "C",
    subject        TEXT COLLATE "C",
    sid            TEXT COLLATE "C", -- the session at the provider, if it has an id
    provider_token BYTEA             -- the provider's refresh token, encrypted
);

CREATE INDEX sign_ins_by_family ON sign_ins (family);
CREATE INDEX sign_ins_by_subject ON sign_ins (issuer, subject) WHERE issuer IS NOT NULL;
CREATE INDEX sign_ins_by_sid ON sign_ins (issuer, sid) WHERE issuer IS NOT NULL;
CREATE INDEX sign_ins_by_idle ON sign_ins ((last_seen + idle)) WHERE idle > 0;

-- Sign-ins that have begun and are not done.
CREATE TABLE flows (
    id         BYTEA   NOT NULL PRIMARY KEY, -- SHA-256 of the id
    cookie     BYTEA   NOT NULL,             -- SHA-256 of the flow cookie
    realm      TEXT COLLATE "C" NOT NULL,
    host       TEXT COLLATE "C" NOT NULL,
    target     TEXT    NOT NULL,             -- path and query
    created_at BIGINT  NOT NULL,             -- Unix milliseconds
    expires_at BIGINT  NOT NULL,             -- Unix seconds from which it is invalid
    tries      BIGINT  NOT NULL,
    parent     BYTEA,                        -- the id of the flow that continues after this one
    provider   TEXT,                         -- NULL: not a request to a provider
    nonce      BYTEA,                        -- SHA-256
    verifier   BYTEA                         -- the code verifier of PKCE, encrypted
);

CREATE INDEX flows_by_realm ON flows (realm, created_at);
CREATE INDEX flows_by_cookie ON flows (cookie, created_at);
CREATE INDEX flows_by_expiry ON flows (expires_at);

-- One for each flow: the portal's session that continues it.
CREATE TABLE tickets (
    ticket     BYTEA   NOT NULL PRIMARY KEY, -- SHA-256
    flow       BYTEA   NOT NULL UNIQUE REFERENCES flows (id) ON DELETE CASCADE,
    session    BYTEA   NOT NULL REFERENCES sessions (token) ON DELETE CASCADE,
    expires_at BIGINT  NOT NULL              -- Unix seconds from which it is invalid
);

CREATE INDEX tickets_by_session ON tickets (session);

-- Accounts at OpenID Connect providers, and their users.
CREATE TABLE provider_accounts (
    realm     TEXT COLLATE "C" NOT NULL,
    issuer    TEXT COLLATE "C" NOT NULL,
    subject   TEXT COLLATE "C" NOT NULL,
    provider  TEXT    NOT NULL, -- its id in the configuration
    user_id   TEXT COLLATE "C" NOT NULL,
    linked_at BIGINT  NOT NULL, -- Unix milliseconds
    PRIMARY KEY (realm, issuer, subject),
    FOREIGN KEY (realm, user_id) REFERENCES users (realm, id) ON DELETE CASCADE
);

CREATE INDEX provider_accounts_by_user ON provider_accounts (realm, user_id);

UPDATE tollgate_version SET version = 5;
