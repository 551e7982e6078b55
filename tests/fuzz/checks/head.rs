//! Any bytes as the head of a request, through pingora's parser and the whole judgement, to what the application gets.

use super::fixture::expand;
use super::request;

/// Whether the application gets it.
pub fn check(data: &[u8]) -> bool {
    request::read(&expand(data, &[])).is_some_and(|read| request::check(&read))
}
