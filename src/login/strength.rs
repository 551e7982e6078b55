//! The rules for new passwords (NIST SP 800-63B-4, 3.1.1.2): long enough, not common, and not a name. Existing
//! passwords are not checked.

use unicode_normalization::UnicodeNormalization as _;

use super::password::Password;
use crate::config::Realm;
use crate::gate::DenyReason;

/// The reason that a password is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Weak {
    /// Fewer characters than this.
    #[error("the password is too short: it must have at least {0} characters")]
    TooShort(usize),
    /// Longer than the maximum.
    #[error("the password is too long: it must have at most {MAX_CHARS} characters")]
    TooLong,
    /// One of the most common passwords.
    #[error("the password is one of the most common ones: choose another")]
    Common,
    /// A name of its user or of the realm, perhaps with digits or punctuation around it, or several times.
    #[error("the password is a name of the user or of the realm: choose another")]
    Name,
}

impl Password {
    /// Checks whether a user with these names can choose this password in this realm.
    ///
    /// # Errors
    /// The violated rule.
    pub fn check(&self, realm: &Realm, username: Option<&str>, email: Option<&str>) -> Result<(), Weak> {
        let min = realm.users.password_min;
        let count = self.text().chars().take(MAX_CHARS + 1).count();
        if count < min {
            return Err(Weak::TooShort(min));
        }
        if count > MAX_CHARS {
            return Err(Weak::TooLong);
        }
        let folded = zeroize::Zeroizing::new(fold(self.text()));
        if is_common(folded.trim()) {
            return Err(Weak::Common);
        }
        let local = email.and_then(|email| email.split('@').next());
        let names = [username, email, local, Some(&realm.name)];
        if names.into_iter().flatten().any(|name| is_made_of(&folded, &fold(name))) {
            return Err(Weak::Name);
        }
        Ok(())
    }
}

impl From<Weak> for DenyReason {
    fn from(weak: Weak) -> Self {
        match weak {
            Weak::TooShort(_) => Self::PasswordTooShort,
            Weak::TooLong => Self::PasswordTooLong,
            Weak::Common => Self::PasswordCommon,
            Weak::Name => Self::PasswordIsName,
        }
    }
}

/// Letter case and NFKC forms do not make a password harder to guess.
fn fold(text: &str) -> String {
    text.nfkc().flat_map(char::to_lowercase).collect()
}

fn is_common(folded: &str) -> bool {
    let (mut from, mut to) = (0, COMMON.len());
    while from < to {
        let middle = from.midpoint(to);
        // The whole line around the middle, without its end. Each has one, and all of it is ASCII.
        let start = COMMON[from..middle].rfind('\n').map_or(from, |at| from + at + 1);
        let end = COMMON[middle..to].find('\n').map_or(to, |at| middle + at);
        match folded.as_bytes().cmp(&COMMON.as_bytes()[start..end]) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => to = start,
            std::cmp::Ordering::Greater => from = end + 1,
        }
    }
    false
}

/// Returns whether the password is the name, once or repeated, with only digits and punctuation around it.
fn is_made_of(folded: &str, name: &str) -> bool {
    if folded == name {
        return true;
    }
    let core = |text: &str| text.trim_matches(|character: char| !character.is_alphabetic()).to_owned();
    let (password, name) = (zeroize::Zeroizing::new(core(folded)), core(name));
    // A short name does not help to guess the rest.
    if name.chars().count() < MIN_NAME_CHARS {
        return false;
    }
    let mut rest = password.as_str();
    while let Some(after) = rest.strip_prefix(name.as_str()) {
        rest = after.trim_start_matches(|character: char| !character.is_alphabetic());
    }
    rest.is_empty() && !password.is_empty()
}

/// See src/login/strength/README.md.
const COMMON: &str = include_str!("strength/common.txt");
const MAX_CHARS: usize = 256;
const MIN_NAME_CHARS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SameSite;

    fn check(password: &str, username: Option<&str>, email: Option<&str>) -> Result<(), Weak> {
        let realm = Realm::for_tests(true, SameSite::None, false);
        Password::new(password.to_owned()).check(&realm, username, email)
    }

    #[test]
    fn the_list_is_what_the_search_needs() {
        let lines: Vec<&str> = COMMON.lines().collect();
        assert!(lines.len() >= 10_000 && COMMON.ends_with('\n') && COMMON.is_ascii());
        assert!(lines.windows(2).all(|pair| pair[0] < pair[1]), "sorted, and each once");
        for line in &lines {
            assert!(line.len() >= 8 && *line == line.to_lowercase() && is_common(line), "{line}");
        }
        for line in
            ["", "a", "zzzzzzzzzzzzzzzz~", "correct horse battery staple", "password\npassword1", "passwor", "é"]
        {
            assert!(!is_common(line), "{line}");
        }
    }

    #[test]
    fn r66_common_passwords_are_refused_in_any_case_and_form() {
        for common in [
            "password",
            "PASSWORD",
            "Password1",
            "12345678",
            "qwertyuiop",
            "iloveyou1",
            "letmein1",
            "trustno1",
            "aaaaaaaa",
            "11111111",
            "abcdefgh",
            "ｐａｓｓｗｏｒｄ",
            "Passw0rd",
            " password ",
        ] {
            assert_eq!(check(common, Some("alice"), None), Err(Weak::Common), "{common}");
        }
        for good in
            ["correct horse battery staple", "Tr0ub4dor&3x", "ein Passwort, das hält", "        x", "пароль-мой-7"]
        {
            assert_eq!(check(good, Some("alice"), Some("a@example.com")), Ok(()), "{good}");
        }
    }

    #[test]
    fn r66_lengths_are_counted_in_characters() {
        for (password, expected) in [
            ("hunter2".to_owned(), Err(Weak::TooShort(8))),
            (String::new(), Err(Weak::TooShort(8))),
            ("ééééééé".to_owned(), Err(Weak::TooShort(8))),
            ("éàéàéàéà".to_owned(), Ok(())),
            ("xy".repeat(128), Ok(())),
            ("xy".repeat(128) + "z", Err(Weak::TooLong)),
            ("x".repeat(1 << 16), Err(Weak::TooLong)),
        ] {
            assert_eq!(check(&password, None, None), expected, "{} bytes", password.len());
        }
    }

    #[test]
    fn r66_a_name_is_no_password() {
        let (username, email) = (Some("Wilhelmina"), Some("w.orange@house.example"));
        for name in [
            "wilhelmina",
            "WILHELMINA",
            "Wilhelmina1",
            "2027wilhelmina!",
            "wilhelminawilhelmina",
            "wilhelmina-wilhelmina",
            "w.orange@house.example",
            "W.Orange",
            "examples",
            "Examples2027",
        ] {
            assert_eq!(check(name, username, email), Err(Weak::Name), "{name}");
        }
        for good in ["wilhelmina von Oranien", "orangewilhelm", "my examples", "90210.48611"] {
            assert_eq!(check(good, username, email), Ok(()), "{good}");
        }
        assert_eq!(check("a4917302846", Some("a"), None), Ok(()), "one letter is no name to guess");
        assert_eq!(check("4917302846", Some("4917302846"), None), Err(Weak::Name));
    }
}
