-- A revocation is of one token or session, or of all that an account was issued until some second. Both kinds are in one
-- table, so that they share one sequence: who polls misses neither. An account is 128 bits of a hash (see
-- token::AccountId), and can be no token's id, so it stands where that stands. Nothing is renamed: a gate of the version
-- before this one, which has the file open, goes on.
ALTER TABLE revocations ADD COLUMN issued_until INTEGER; -- Unix seconds; NULL: `token` is the id of a token or session

PRAGMA user_version = 2;
