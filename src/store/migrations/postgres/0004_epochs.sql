-- Session epochs, one for each realm: a session can be refreshed, and what stands between two steps of a login counts, in
-- the epoch in which it began, and not after it. To begin another one is to replace one row, however many sessions there are.
CREATE TABLE epochs (
    realm      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    id         BYTEA  NOT NULL, -- 16 random bytes
    secret     BYTEA  NOT NULL, -- 32 random bytes: marks what stands between two steps of a login
    issued_for BYTEA  NOT NULL, -- the realm's issuer and audience, as token::Rules::everyone hashes them
    keys       TEXT   NOT NULL, -- a JSON array: the ids of the keys that a gate found when it looked last
    since      BIGINT NOT NULL  -- Unix seconds
);

ALTER TABLE sessions ADD COLUMN epoch      BYTEA; -- in which it began; NULL: none that can be refreshed
ALTER TABLE sessions ADD COLUMN created_at BIGINT NOT NULL DEFAULT 0; -- Unix seconds; 0: nobody knows; -1: no session, only the names

-- As in epochs. Of refresh tokens from before nobody knows, and they count no more.
ALTER TABLE refresh_tokens ADD COLUMN issued_for BYTEA;

UPDATE tollgate_version SET version = 4;
