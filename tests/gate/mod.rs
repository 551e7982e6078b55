//! Decisions of `src/gate/`: access, credentials, origins, limits and the identity that is forwarded.

mod access;
mod assertions;
mod cors;
mod limits;
