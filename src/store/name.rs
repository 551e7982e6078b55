//! The names by which a user logs in, in the one form in which they are compared.
//!
//! Two spellings of one name are one account, for uniqueness as for the throttle (`threats.md` R32, R38): compatibility
//! forms are folded (NFKC), letters are lower-cased, and what can't be seen or can't be told apart is refused.

/// A canonical username or email.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// Up to 128 characters without controls, and without white space at the ends or twice in a row.
    Username(String),
    /// One `@`, something before it, a host name after it; up to 254 bytes.
    Email(String),
}
