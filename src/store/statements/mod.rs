//! Statements in the SQL that all databases understand, and the decisions between two statements.
//!
//! sqlx has different types for each database, and a bound for each bound value. So every backend compiles this module
//! for itself, with its own `Driver`, `Connection` and `Row` (`super` is the backend). The backend decides how a
//! transaction begins and what it locks. It also has `skip_locked!`, the clause that makes a subquery lock its rows and
//! skip those that another transaction locked, and `WRITES_IN_WITH`: whether a query can write in `WITH`. Placeholders are `$1`, and columns are named: with `*`, a process that runs
//! while a newer version adds a column would fail, because PostgreSQL refuses a prepared statement whose result has
//! changed.

pub(super) mod epochs;
pub(super) mod flows;
pub(super) mod guesses;
pub(super) mod provider_accounts;
pub(super) mod refresh;
pub(super) mod revocation;
pub(super) mod sessions;
pub(super) mod sign_ins;
pub(super) mod users;

use super::{Connection, Driver, Row, WRITES_IN_WITH};
