-- As SQLite's migration of the same name.
-- Wrong guesses at accounts in a row, and the networks from which accounts have signed in: at one of these, the guesses of
-- other networks do not count. No reference to users: a guess at a name that no user has is counted too, under one of 256
-- ids that no user has, so that it takes as long.
CREATE TABLE sign_in_networks (
    realm     TEXT    COLLATE "C" NOT NULL,
    user_id   TEXT    COLLATE "C" NOT NULL,
    network   BYTEA   NOT NULL, -- 16 bytes of a hash of it; empty: all networks from which the account has not signed in
    passwords BIGINT  NOT NULL, -- wrong passwords since the last right one
    codes     BIGINT  NOT NULL, -- wrong codes of the second factor, likewise
    used_at   BIGINT  NOT NULL, -- Unix milliseconds of the last sign-in; of the empty one: of the operator's last reset
    PRIMARY KEY (realm, user_id, network)
);

CREATE INDEX sign_in_networks_by_network ON sign_in_networks (network);

UPDATE tollgate_version SET version = 3;
