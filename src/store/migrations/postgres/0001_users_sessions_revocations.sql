-- What SQLite's migrations 1 to 4 make. COLLATE "C": texts are equal if their bytes are, and are sorted by them, whatever
-- language the database speaks.
CREATE TABLE tollgate_version (
    version INTEGER NOT NULL -- of these tables: the number of the last migration
);
INSERT INTO tollgate_version VALUES (1);

CREATE TABLE users (
    realm        TEXT    COLLATE "C" NOT NULL,
    id           TEXT    COLLATE "C" NOT NULL,
    username     TEXT,
    username_key TEXT    COLLATE "C", -- canonical: see name.rs
    email        TEXT,
    email_key    TEXT    COLLATE "C", -- canonical
    password     TEXT    NOT NULL,    -- a hash
    data         TEXT    NOT NULL,    -- a JSON object, as text: JSONB would sort its members, and knows no \u0000
    roles        TEXT    NOT NULL,    -- a JSON array of strings
    disabled     BOOLEAN NOT NULL,
    temporary    BOOLEAN NOT NULL,
    totp_secret  BYTEA,               -- NULL: no second factor, and no recovery codes
    totp_used    BIGINT,              -- the last time step (RFC 6238) of which a code was used
    recovery     BYTEA,               -- SHA-256 of each code that is left, one after the other
    vouched      BOOLEAN NOT NULL,    -- whoever runs the realm stands by the user's email address and data
    created_at   BIGINT  NOT NULL,    -- Unix milliseconds
    updated_at   BIGINT  NOT NULL,    -- Unix milliseconds
    version      BIGINT  NOT NULL,
    PRIMARY KEY (realm, id),
    UNIQUE (realm, username_key),
    UNIQUE (realm, email_key)
);

-- username_key and email_key are what the token says until it expires, though its user may be renamed meanwhile.
CREATE TABLE sessions (
    token        BYTEA   NOT NULL PRIMARY KEY,
    realm        TEXT    COLLATE "C" NOT NULL,
    user_id      TEXT    COLLATE "C" NOT NULL,
    username_key TEXT    COLLATE "C",
    email_key    TEXT    COLLATE "C",
    expires_at   BIGINT  NOT NULL, -- Unix seconds
    FOREIGN KEY (realm, user_id) REFERENCES users (realm, id)
);

CREATE INDEX sessions_by_user ON sessions (realm, user_id);
CREATE INDEX sessions_by_username ON sessions (realm, username_key);
CREATE INDEX sessions_by_email ON sessions (realm, email_key);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- One token or session; or, if issued_until is there, all that an account was issued until that second, and `token` is the
-- account. A sequence is never given twice, and who writes here holds a lock until its rows can be seen (see postgres.rs):
-- a process that polls would otherwise miss a revocation.
CREATE TABLE revocations (
    sequence     BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token        BYTEA   NOT NULL UNIQUE,
    expires_at   BIGINT  NOT NULL, -- Unix seconds
    issued_until BIGINT            -- Unix seconds
);

CREATE INDEX revocations_by_expiry ON revocations (expires_at);

-- The refresh token of a session, which is another one after each use. Tokens are kept as hashes only.
CREATE TABLE refresh_tokens (
    session          BYTEA   NOT NULL PRIMARY KEY REFERENCES sessions (token) ON DELETE CASCADE,
    key              BYTEA   NOT NULL, -- 32 random bytes: tags the session's refresh tokens, and makes each from the one before
    generation       BIGINT  NOT NULL, -- of the one that counts, from 0
    current          BYTEA   NOT NULL, -- SHA-256 of it
    previous         BYTEA,            -- SHA-256 of the one before it
    rotated_at       BIGINT  NOT NULL, -- Unix milliseconds
    authenticated_at BIGINT  NOT NULL, -- Unix seconds of the login
    mfa              BOOLEAN NOT NULL, -- whether it proved a second factor
    expires_at       BIGINT  NOT NULL  -- Unix seconds from which none of them counts
);

-- What may be used once, and was: ids of callback tokens, for as long as they would count.
CREATE TABLE used_once (
    id         BYTEA  NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL -- Unix seconds after which no one accepts it anyway
);

CREATE INDEX used_once_by_expiry ON used_once (expires_at);
