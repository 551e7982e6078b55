//! The keys of `[[realm]]` that are about its users.

use crate::config::reader::Section;
use crate::config::user_rules::UserRules;

pub(super) fn read(section: &Section<'_>) -> UserRules {
    let default = UserRules::DEFAULT;
    let per_hour = section.number("registrations_per_hour", 1..=MAX_PER_HOUR, DEFAULT_PER_HOUR);
    UserRules {
        registration_open: section
            .choice("registration", &[("open", true), ("closed", false)], &[])
            .unwrap_or(default.registration_open),
        registrations_per_hour: u32::try_from(per_hour).unwrap_or(default.registrations_per_hour),
        self_rename: section
            .choice("rename", &[("operator", false), ("self", true)], &[])
            .unwrap_or(default.self_rename),
        password_min: section.number("password_min", default.password_min..=MAX_PASSWORD_MIN, default.password_min),
    }
}

const DEFAULT_PER_HOUR: usize = UserRules::DEFAULT.registrations_per_hour as usize;
const MAX_PER_HOUR: usize = 1_000_000;
/// NIST SP 800-63B-4, 3.1.1.2: passwords of 64 characters have to be taken, so no more may be asked for.
const MAX_PASSWORD_MIN: usize = 64;

#[cfg(test)]
mod tests {
    use crate::config::sections::fixture::{LOGIN, REALM, SERVER, assert_error, check, with};

    #[test]
    fn users_are_the_operators_unless_the_file_says_otherwise() {
        let rules = |keys: &str| {
            let config = check(&format!("{SERVER}{}{LOGIN}", with(REALM, keys))).unwrap();
            *config.policy.realms()[0].users()
        };
        let default = rules("");
        assert!(!default.registration_open() && !default.allow_rename());
        assert_eq!((default.registrations_per_hour(), default.password_min()), (50, 8));
        assert_eq!(rules("registration = \"closed\"\nrename = \"operator\"\npassword_min = 8"), default);
        let other = rules("registration = \"open\"\nrename = \"self\"\npassword_min = 15\nregistrations_per_hour = 1");
        assert!(other.registration_open() && other.allow_rename());
        assert_eq!((other.registrations_per_hour(), other.password_min()), (1, 15));
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
