//! Login names in the canonical form in which they are compared.
//!
//! Two spellings of one name are one account, for uniqueness and for throttling (SECURITY.md R32, R38): compatibility
//! forms are folded (NFKC), letters are lower-cased, and characters that are invisible or can't be told apart are
//! refused.

use unicode_normalization::UnicodeNormalization as _;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory as _};
use unicode_security::skeleton;

/// A canonical username or email.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LoginName {
    /// Up to 128 characters without controls, and without white space at the ends or twice in a row.
    Username(CanonicalText),
    /// One `@` with text before it and a host name after it; at most 254 bytes.
    Email(CanonicalText),
}

/// Text that only the parsers of [`LoginName`] make.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CanonicalText(String);

impl LoginName {
    /// Reads a username in any spelling. `None` if it is empty, longer than 128 characters, holds a character that
    /// can't be seen (controls, zero width, direction marks, unassigned), or white space at an end or twice in a row.
    #[must_use]
    pub fn username(written: &str) -> Option<Self> {
        // Sizes first: NFKC makes up to 18 characters of one.
        if written.len() > MAX_USERNAME_BYTES || written.chars().any(invisible) {
            return None;
        }
        let text = canonical(written);
        let spaced = text.starts_with(' ') || text.ends_with(' ') || text.contains("  ");
        if text.is_empty() || spaced || text.chars().count() > MAX_USERNAME_CHARS || text.chars().any(invisible) {
            return None;
        }
        Some(Self::Username(CanonicalText(text)))
    }

    /// Parses an email address: the ASCII form of HTML's `input type=email`, with dots in the local part only between
    /// other characters (RFC 5321 `Dot-string`), a domain of at least one LDH label, and the sizes of RFC 5321.
    ///
    /// Quoted local parts, address literals and international addresses are refused: mail servers read their spellings
    /// differently. A user without another address can register a username.
    #[must_use]
    pub fn email(written: &str) -> Option<Self> {
        if written.len() > MAX_EMAIL_BYTES {
            return None;
        }
        // The grammars of both halves exclude a second `@`.
        let (local, domain) = written.split_once('@')?;
        if local.len() > MAX_LOCAL_BYTES || !local.split('.').all(is_atom) || !domain.split('.').all(is_label) {
            return None;
        }
        Some(Self::Email(CanonicalText(written.to_ascii_lowercase())))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Username(text) | Self::Email(text) => &text.0,
        }
    }

    /// Returns the id under which the store counts wrong guesses at this name in a user pool. It differs from every
    /// user's id, which does not begin with `@`.
    #[must_use]
    pub fn pool_account(&self) -> String {
        let kind: &[u8] = if matches!(self, Self::Email(_)) { b"email " } else { b"username " };
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &[kind, self.as_str().as_bytes()].concat());
        digest.as_ref()[..16].iter().fold(String::from("@"), |id, byte| format!("{id}{byte:02x}"))
    }
}

/// The skeletons of a name, in its canonical form and as written: two names with a common skeleton can be confused.
/// Skeletons are those of Unicode TR39, 4, including whole-script confusables. The written form is needed, because
/// `aIice` with a capital I can be told from `alice` by its canonical form. Letter case does not distinguish names, so
/// the skeleton is taken of the lower-cased skeleton.
#[must_use]
pub(super) fn looks(written: &str, name: &LoginName) -> [String; 2] {
    [look(name.as_str()), look(written)]
}

fn look(text: &str) -> String {
    let lower: String = skeleton(text).flat_map(char::to_lowercase).collect();
    skeleton(&lower).collect()
}

/// NFKC, lower case per character, and NFKC again, because some lower-case letters compose anew. The final sigma equals
/// a sigma. Every kind of space is U+0020 after NFKC.
fn canonical(written: &str) -> String {
    let lower = written.nfkc().flat_map(char::to_lowercase);
    lower.map(|letter| if letter == 'ς' { 'σ' } else { letter }).nfkc().collect()
}

/// Returns whether the character is invisible or misleading: categories Cc, Cf, Cn, Co, Zl and Zp, and letters, marks
/// and symbols that are default-ignorable or blank.
fn invisible(character: char) -> bool {
    let separator =
        matches!(character.general_category(), GeneralCategory::LineSeparator | GeneralCategory::ParagraphSeparator);
    separator
        || character.general_category_group() == GeneralCategoryGroup::Other
        || matches!(
            character,
            '\u{34f}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{ffa0}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// RFC 5322, 3.2.3.
fn is_atom(part: &str) -> bool {
    let is_atext = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte);
    !part.is_empty() && part.bytes().all(is_atext)
}

/// RFC 1123, 2.1.
fn is_label(part: &str) -> bool {
    (1..=63).contains(&part.len())
        && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !part.starts_with('-')
        && !part.ends_with('-')
}

const MAX_USERNAME_CHARS: usize = 128;
const MAX_USERNAME_BYTES: usize = 4 * MAX_USERNAME_CHARS;
/// RFC 5321, 4.5.3.1, and the brackets around a path.
const MAX_EMAIL_BYTES: usize = 254;
const MAX_LOCAL_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn username(written: &str) -> Option<String> {
        LoginName::username(written).map(|name| name.as_str().to_owned())
    }

    fn email(written: &str) -> Option<String> {
        LoginName::email(written).map(|name| name.as_str().to_owned())
    }

    #[test]
    fn r32_spellings_of_one_username_are_one_name() {
        for (spellings, canonical) in [
            (&["alice", "Alice", "ALICE", "ａｌｉｃｅ", "𝐀𝐥𝐢𝐜𝐞"][..], "alice"),
            (&["müller", "MÜLLER", "mu\u{308}ller"], "müller"),
            (&["σοφος", "σοφοσ", "ΣΟΦΟΣ"], "σοφοσ"),
            (&["ana maria", "Ana\u{a0}Maria", "ana\u{3000}maria"], "ana maria"),
            (&["straße", "STRAẞE"], "straße"),
            (&["\u{212a}elvin", "Kelvin"], "kelvin"),
            (&["ﬁona", "FIONA"], "fiona"),
            (&["李雷"], "李雷"),
            (&["i\u{307}", "İ"], "i\u{307}"),
        ] {
            for spelling in spellings {
                assert_eq!(username(spelling).as_deref(), Some(canonical), "{spelling:?}");
            }
        }
    }

    #[test]
    fn the_canonical_form_is_its_own_canonical_form() {
        for character in ('\0'..=char::MAX).filter(|character| !invisible(*character)) {
            for text in [format!("{character}"), format!("a{character}b"), format!("{character}\u{301}\u{345}")] {
                let Some(once) = username(&text) else { continue };
                assert_eq!(username(&once).as_ref(), Some(&once), "{text:?}");
            }
        }
    }

    #[test]
    fn usernames_that_cannot_be_told_apart_are_refused() {
        for bad in [
            "",
            " ",
            "alice ",
            " alice",
            "a  b",
            "a \u{a0}b",
            "\u{3000}alice",
            "a\tb",
            "a\nb",
            "a\0b",
            "a\u{7f}",
            "a\u{85}b",
            "a\u{200b}b",
            "a\u{200d}b",
            "a\u{feff}",
            "a\u{202e}b",
            "a\u{2066}b",
            "a\u{ad}b",
            "a\u{2028}b",
            "a\u{e0041}",
            "a\u{fe0f}",
            "\u{3164}",
            "\u{ffa0}",
            "\u{115f}",
            "a\u{34f}b",
            "\u{2800}",
            "a\u{e000}",
            "a\u{378}",
            "a\u{180e}b",
        ] {
            assert_eq!(username(bad), None, "{bad:?}");
        }
        assert!(username(&"é".repeat(128)).is_some());
        assert_eq!(username(&"é".repeat(129)), None);
        assert_eq!(username(&"x".repeat(1 << 20)), None);
        assert_eq!(username(&"\u{fdfa}".repeat(128)), None, "one character that NFKC makes eighteen of");
    }

    #[test]
    fn r38_emails_have_one_reading() {
        for (written, canonical) in [
            ("Alice@Example.COM", "alice@example.com"),
            ("a.b+tag@xn--mnchen-3ya.example", "a.b+tag@xn--mnchen-3ya.example"),
            ("o'neil@localhost", "o'neil@localhost"),
        ] {
            assert_eq!(email(written).as_deref(), Some(canonical));
        }
        for bad in [
            "",
            "@",
            "a@",
            "@b",
            "alice",
            "a@evil@corp",
            "a@@b",
            "a b@c",
            " a@b",
            "a@b ",
            ".a@b",
            "a.@b",
            "a..b@c",
            "a@b..c",
            "a@.b",
            "a@b.",
            "a@-b",
            "a@b-",
            "a@b_c",
            "a@[127.0.0.1]",
            "\"a b\"@c",
            "a@b\n",
            "a\0@b",
            "müller@example.com",
            "a@müller.example",
            "a＠b",
            "a@b,c@d",
            "<a@b>",
            "a(x)@b",
            "\u{212a}@b",
        ] {
            assert_eq!(email(bad), None, "{bad:?}");
        }
        let (local, label) = ("l".repeat(64), "d".repeat(63));
        assert!(email(&format!("{local}@{label}.example")).is_some());
        assert_eq!(email(&format!("{local}l@example.com")), None);
        assert_eq!(email(&format!("a@{label}d")), None);
        assert!(email(&format!("a@{}", [&*label; 4].join(".")[..252].trim_end_matches('.'))).is_some());
        assert_eq!(email(&format!("{local}@{}", [&*label; 3].join("."))), None, "256 bytes");
    }

    #[test]
    fn r60_names_that_look_alike_share_a_look() {
        let alike = |one: &str, other: &str| {
            let of = |written: &str| looks(written, &LoginName::username(written).unwrap());
            let (one, other) = (of(one), of(other));
            one.iter().any(|look| other.contains(look))
        };
        for (one, other) in [
            ("admin", "аdmin"),       // Cyrillic а
            ("admin", "\u{251}dmin"), // Latin alpha
            ("alice", "aIice"),       // a capital I
            ("alice", "a1ice"),
            ("alice", "ａlice"),
            ("ALICE", "alice"),
            ("Bob", "ВОВ"), // Cyrillic capitals
            ("ape", "аре"), // Cyrillic alone: a whole-script confusable
            ("scope", "ѕсоре"),
            ("mary", "МARY"),
            ("mary", "rnary"),
            ("user0", "userO"),
            ("o'neil", "o\u{2019}neil"),
        ] {
            assert!(alike(one, other) && alike(other, one), "{one:?} and {other:?}");
        }
        for (one, other) in
            [("alice", "alicia"), ("anna", "hanna"), ("müller", "muller"), ("李雷", "李蕾"), ("bob", "вов")]
        {
            assert!(!alike(one, other), "{one:?} and {other:?}");
        }
    }

    #[test]
    fn a_username_and_an_email_are_different_names() {
        assert_ne!(LoginName::username("a@b"), LoginName::email("a@b"));
    }
}
