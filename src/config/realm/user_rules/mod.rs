//! What users of a realm may do about themselves.

pub(in crate::config) mod read;

use crate::config::sealed::Sealed;

/// Who makes users, who names them, and what a password must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserRules {
    pub registration_open: bool,
    /// How many registrations and renames there may be of one client's network in an hour.
    pub registrations_per_hour: u32,
    /// Whether users may change their username and email address themselves.
    pub self_rename: bool,
    /// How many characters a new password has at least.
    pub password_min: usize,
    pub(in crate::config) _sealed: Sealed,
}

impl UserRules {
    /// As a file says that says nothing of them.
    pub(in crate::config) const DEFAULT: Self = Self {
        _sealed: Sealed(()),
        registration_open: false,
        registrations_per_hour: 50,
        self_rename: false,
        password_min: 8,
    };

    #[cfg(test)]
    pub(in crate::config) const fn for_tests(registration_open: bool) -> Self {
        Self { registration_open, ..Self::DEFAULT }
    }
}
