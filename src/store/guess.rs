//! Wrong guesses at the password or code of an account.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guess {
    Password,
    /// A code of the second factor.
    Code,
}

/// Wrong guesses at an account in a row, at the network from which the next one comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guesses {
    /// The account has logged in from this network. Then the counts are those of this network, otherwise those of all
    /// networks from which it has not.
    pub known: bool,
    /// A guess at the password.
    pub passwords: u32,
    /// At the codes of the second factor.
    pub codes: u32,
    /// When the account last signed in from this network, Unix milliseconds; 0 if it has not.
    pub used_at: i64,
    /// When the operator reset the counts, in Unix milliseconds; 0: never, or for an account of a user pool: there was
    /// a wrong guess since.
    pub reset_at: i64,
}
