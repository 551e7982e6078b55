-- What the names of users look like (see name.rs), two or three of each user: whoever chooses a name gets none that looks like
-- another user's. Not unique, since whoever runs a realm may have both.
CREATE TABLE looks (
    realm   TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    look    TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (realm, look, user_id),
    FOREIGN KEY (realm, user_id) REFERENCES users (realm, id) ON DELETE CASCADE
);

CREATE INDEX looks_by_user ON looks (realm, user_id);

-- Whether the email address is the user's, as whoever runs the realm says. Of users from before, of whom it vouched for all.
ALTER TABLE users ADD COLUMN email_verified BOOLEAN NOT NULL DEFAULT FALSE;
UPDATE users SET email_verified = vouched WHERE email IS NOT NULL;

UPDATE tollgate_version SET version = 2;
