//! The keys of a `[[realm]]` about its users.

use crate::config::reader::Section;
use crate::config::realm::user_rules::UserRules;
use crate::config::schema::keys;
use crate::config::schema::kind::{choice, number};
use crate::config::sealed::Sealed;

keys! {
    /// Registration, names and passwords of the users of a realm.
    UserKeys, Reloadable;

    /// Who can create users. `"open"`: any client can register a user. `"closed"`: only the operator, with `tollgate user add`.
    registration: bool = choice(&REGISTRATION, UserRules::DEFAULT.registration_open);

    /// Maximum number of registrations and renames per client address (for IPv6: per /64 prefix) and hour. All of them can come
    /// at once. One more gets 429 with `Retry-After`.
    registrations_per_hour: usize = number(1..=MAX_PER_HOUR, DEFAULT_PER_HOUR);

    /// Who can change the username and the email address of a user. `"operator"`: `tollgate user set` and the master key; a
    /// user gets 403 `rename_forbidden`. `"self"`: also the user, with an update.
    rename: bool = choice(&RENAME, UserRules::DEFAULT.self_rename);

    /// Minimum number of characters of a new password. A password must also have at most 256 characters, and must not be a
    /// common password or a name of the user or realm. Existing passwords stay valid.
    password_min: usize = number(UserRules::DEFAULT.password_min..=MAX_PASSWORD_MIN, UserRules::DEFAULT.password_min);
}

pub(in crate::config) fn read(section: &Section<'_>) -> UserRules {
    let keys = UserKeys::read(section);
    UserRules {
        _sealed: Sealed(()),
        registration_open: keys.registration.value,
        registrations_per_hour: u32::try_from(keys.registrations_per_hour.value).unwrap_or(u32::MAX),
        self_rename: keys.rename.value,
        password_min: keys.password_min.value,
    }
}

const REGISTRATION: [(&str, bool); 2] = [("open", true), ("closed", false)];
const RENAME: [(&str, bool); 2] = [("operator", false), ("self", true)];
const DEFAULT_PER_HOUR: usize = UserRules::DEFAULT.registrations_per_hour as usize;
const MAX_PER_HOUR: usize = 1_000_000;
/// NIST SP 800-63B-4, 3.1.1.2: a verifier must accept passwords of 64 characters, so a higher minimum is not allowed.
const MAX_PASSWORD_MIN: usize = 64;

#[cfg(test)]
mod tests {
    use crate::config::fixture::{LOGIN, REALM, SERVER, assert_error, check, with};

    #[test]
    fn only_the_operator_creates_and_renames_users_by_default() {
        let rules = |keys: &str| {
            let config = check(&format!("{SERVER}{}{LOGIN}", with(REALM, keys))).unwrap();
            config.policy.realms[0].users
        };
        let default = rules("");
        assert!(!default.registration_open && !default.self_rename);
        assert_eq!((default.registrations_per_hour, default.password_min), (50, 8));
        assert_eq!(rules("registration = \"closed\"\nrename = \"operator\"\npassword_min = 8"), default);
        let other = rules("registration = \"open\"\nrename = \"self\"\npassword_min = 15\nregistrations_per_hour = 1");
        assert!(other.registration_open && other.self_rename);
        assert_eq!((other.registrations_per_hour, other.password_min), (1, 15));
        for (keys, expected) in [
            (r#"registration = "yes""#, r#""open" or "closed""#),
            (r#"rename = "users""#, r#""operator" or "self""#),
            ("rename = true", "realm.a.rename"),
            ("password_min = 7", "from 8 to 64"),
            ("password_min = 65", "from 8 to 64"),
            ("registrations_per_hour = 0", "from 1 to"),
        ] {
            assert_error(&format!("{SERVER}{}{LOGIN}", with(REALM, keys)), expected);
        }
    }
}
