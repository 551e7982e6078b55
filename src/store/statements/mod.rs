//! What the databases are told, in the SQL that all of them understand, and what is judged between two statements.
//!
//! sqlx has other types for each database, and a bound for each value that is bound. So every backend compiles this module
//! for itself, with its own `Driver`, `Connection` and `Row` (`super` is the backend). How a transaction begins, and what
//! it locks, is the backend's. Placeholders are `$1`, and columns are named: a gate that runs while a newer version adds
//! a column would trip over `*`, since PostgreSQL refuses a prepared statement whose result has changed.

pub(super) mod epochs;
pub(super) mod guesses;
pub(super) mod refresh;
pub(super) mod revocation;
pub(super) mod sessions;
pub(super) mod users;

use super::{Connection, Driver, Row};
