//! What users of a realm may do about themselves.

pub(in crate::config) mod read;

/// Who makes users, who names them, and what a password must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserRules {
    pub(in crate::config) registration_open: bool,
    pub(in crate::config) registrations_per_hour: u32,
    pub(in crate::config) self_rename: bool,
    pub(in crate::config) password_min: usize,
}

impl UserRules {
    /// Whether anyone may register.
    #[must_use]
    pub const fn registration_open(&self) -> bool {
        self.registration_open
    }

    /// How many registrations and renames there may be of one client's network in an hour.
    #[must_use]
    pub const fn registrations_per_hour(&self) -> u32 {
        self.registrations_per_hour
    }

    /// Whether users may change their username and email address themselves.
    #[must_use]
    pub const fn allow_rename(&self) -> bool {
        self.self_rename
    }

    /// How many characters a new password has at least.
    #[must_use]
    pub const fn password_min(&self) -> usize {
        self.password_min
    }

    /// As a file says that says nothing of them.
    pub(in crate::config) const DEFAULT: Self =
        Self { registration_open: false, registrations_per_hour: 50, self_rename: false, password_min: 8 };

    #[cfg(test)]
    pub(in crate::config) const fn for_tests(registration_open: bool) -> Self {
        Self { registration_open, ..Self::DEFAULT }
    }
}
