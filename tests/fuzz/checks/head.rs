//! Any bytes as the head of a request, through pingora's parser and the whole judgement, to what the app gets.

use super::fixture::expand;
use super::request;

/// Whether the app gets it.
pub fn check(data: &[u8]) -> bool {
    request::read(&expand(data, &[])).is_some_and(|read| request::check(&read))
}
