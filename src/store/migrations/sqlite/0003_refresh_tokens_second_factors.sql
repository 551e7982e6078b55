-- The refresh token of a session, which is another one after each use. Tokens are kept as hashes only.
CREATE TABLE refresh_tokens (
    session          BLOB    NOT NULL PRIMARY KEY REFERENCES sessions (token) ON DELETE CASCADE,
    key              BLOB    NOT NULL, -- 32 random bytes: tags the session's refresh tokens, and makes each from the one before
    generation       INTEGER NOT NULL, -- of the one that counts, from 0
    current          BLOB    NOT NULL, -- SHA-256 of it
    previous         BLOB,             -- SHA-256 of the one before it
    rotated_at       INTEGER NOT NULL, -- Unix milliseconds
    authenticated_at INTEGER NOT NULL, -- Unix seconds of the login
    mfa              INTEGER NOT NULL CHECK (mfa IN (0, 1)), -- whether it proved a second factor
    expires_at       INTEGER NOT NULL  -- Unix seconds from which none of them counts
) STRICT, WITHOUT ROWID;

-- What a login asks for beside the password, or after it.
ALTER TABLE users ADD COLUMN temporary   INTEGER NOT NULL DEFAULT 0 CHECK (temporary IN (0, 1));
ALTER TABLE users ADD COLUMN totp_secret BLOB;    -- NULL: no second factor, and no recovery codes
ALTER TABLE users ADD COLUMN totp_used   INTEGER; -- the last time step (RFC 6238) of which a code was used
ALTER TABLE users ADD COLUMN recovery    BLOB;    -- SHA-256 of each code that is left, one after the other

PRAGMA user_version = 3;
