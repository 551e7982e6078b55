//! The language of a page.

use super::texts::{ENGLISH, GERMAN, Texts};

/// A language that the pages have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    #[default]
    English,
    German,
}

impl Language {
    /// Returns the language that a client prefers, from the value of Accept-Language (RFC 9110, 12.5.4). English, if the
    /// client names none that the pages have.
    #[must_use]
    pub fn from_accept_language(value: &str) -> Self {
        let mut best = (0, Self::English);
        for range in value.split(',').take(MAX_RANGES) {
            let (tag, parameters) = range.split_once(';').unwrap_or((range, ""));
            let primary = tag.trim().split('-').next().unwrap_or_default();
            let language = match primary {
                "*" => Self::English,
                _ if primary.eq_ignore_ascii_case("en") => Self::English,
                _ if primary.eq_ignore_ascii_case("de") => Self::German,
                _ => continue,
            };
            let weight = weight(parameters);
            if weight > best.0 {
                best = (weight, language);
            }
        }
        best.1
    }

    /// Value of the attribute `lang` (BCP 47).
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    #[must_use]
    pub fn texts(self) -> &'static Texts {
        match self {
            Self::English => &ENGLISH,
            Self::German => &GERMAN,
        }
    }
}

/// Returns the weight in thousandths; 1000 without a `q`, 0 for an invalid one.
fn weight(parameters: &str) -> u32 {
    let Some(text) = parameters.trim().strip_prefix("q=") else { return 1000 };
    text.parse::<f32>().ok().filter(|weight| (0.0..=1.0).contains(weight)).map_or(0, |weight| (weight * 1000.0) as u32)
}

/// Browsers send fewer than ten.
const MAX_RANGES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_language_that_the_pages_have_is_chosen() {
        use Language::{English, German};
        for (value, expected) in [
            ("", English),
            ("de", German),
            ("DE-at", German),
            ("fr, de;q=0.5", German),
            ("de;q=0.8, en;q=0.9", English),
            ("en-US,en;q=0.9,de;q=0.8", English),
            ("de-DE,de;q=0.9,en-US;q=0.8", German),
            ("de;q=0", English),
            ("de;q=x", English),
            ("fr", English),
            ("*", English),
            ("*;q=0.1, de;q=0.2", German),
            ("deutsch", English),
        ] {
            assert_eq!(Language::from_accept_language(value), expected, "{value}");
        }
    }
}
