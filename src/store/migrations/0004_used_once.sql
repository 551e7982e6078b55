-- What may be used once, and was: ids of callback tokens, for as long as they would count.
CREATE TABLE used_once (
    id         BLOB    NOT NULL PRIMARY KEY,
    expires_at INTEGER NOT NULL -- Unix seconds after which no one accepts it anyway
) STRICT, WITHOUT ROWID;

CREATE INDEX used_once_by_expiry ON used_once (expires_at);

PRAGMA user_version = 4;
