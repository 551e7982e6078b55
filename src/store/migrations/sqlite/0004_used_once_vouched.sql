-- What may be used once, and was: ids of callback tokens, for as long as they would count.
CREATE TABLE used_once (
    id         BLOB    NOT NULL PRIMARY KEY,
    expires_at INTEGER NOT NULL -- Unix seconds after which no one accepts it anyway
) STRICT, WITHOUT ROWID;

CREATE INDEX used_once_by_expiry ON used_once (expires_at);

-- Whether whoever runs the realm stands by a user's email address and data. Of users from before nobody knows.
ALTER TABLE users ADD COLUMN vouched INTEGER NOT NULL DEFAULT 0 CHECK (vouched IN (0, 1));

PRAGMA user_version = 4;
