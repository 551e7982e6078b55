//! Registration, names and passwords of the users of a realm.

pub(in crate::config) mod read;

use crate::config::sealed::Sealed;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserRules {
    pub registration_open: bool,
    /// Maximum number of registrations and renames of one client network per hour.
    pub registrations_per_hour: u32,
    /// Whether users can change their own username and email address.
    pub self_rename: bool,
    /// Minimum number of characters of a new password.
    pub password_min: usize,
    pub(in crate::config) _sealed: Sealed,
}

impl UserRules {
    /// The rules of a file without these keys.
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
