//! Words of the file in errors: how they are quoted, and what was perhaps meant.

/// The one of `known` that differs from `text` by a slip of the hand.
pub(super) fn closest<'k>(text: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let distances = known.map(|known| (edits(text, known), known));
    let (distance, known) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= 1 + known.chars().count() / 4).then_some(known)
}

/// A value for an error: escaped, not too long, and without the user and password of a URL. Not for secrets.
pub(super) fn quote(text: &str) -> String {
    let shown;
    let text = match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => {
            // One with an @ before that is no scheme, and may hold a password as well.
            let scheme = if scheme.contains('@') { String::new() } else { format!("{scheme}://") };
            shown = format!("{scheme}…{host}");
            &shown
        }
        _ => text,
    };
    // Quotes that were left open swallow the lines that follow, secrets too.
    let is_end = |(at, (_, letter)): &(usize, (usize, char))| *at == MAX_QUOTED_CHARS || matches!(letter, '\n' | '\r');
    match text.char_indices().enumerate().find(is_end) {
        Some((_, (end, _))) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// A key for an error: as it is if TOML takes it without quotes.
pub(super) fn bare(key: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !key.is_empty() && key.len() <= MAX_QUOTED_CHARS && key.bytes().all(is_bare) { key.into() } else { quote(key) }
}

/// Insertions, deletions and substitutions between two words (Levenshtein).
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().take(MAX_QUOTED_CHARS).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

const MAX_QUOTED_CHARS: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn did_you_mean() {
        let known = ["listen", "trusted_proxies", "h2c"];
        for (slip, meant) in [
            ("listn", Some("listen")),
            ("Listen", Some("listen")),
            ("trusted_proxy", Some("trusted_proxies")),
            ("trusted-proxies", Some("trusted_proxies")),
            ("bind", None),
            ("", None),
        ] {
            assert_eq!(closest(slip, known.into_iter()), meant, "{slip}");
        }
    }

    #[test]
    fn quotes_are_one_short_line() {
        assert_eq!(quote("a\tb"), "\"a\\tb\"");
        assert_eq!(quote("a\nsecret = 'hunter2'"), "\"a\"…");
        assert_eq!(quote("\r\nb"), "\"\"…");
        assert!(quote(&"é".repeat(500)).chars().count() < 90);
        assert_eq!(quote("https://u:hunter2@h/x@y"), "\"https://…y\"");
        assert_eq!(quote("u:hunter2@h://x"), "\"…h://x\"", "an @ that stands too early");
        assert_eq!(quote("a@b://c@d://e"), "\"…d://e\"");
        assert_eq!(quote("a://b@c://d"), "\"a://…c://d\"");
        assert_eq!(quote("a@b"), "\"a@b\"", "no URL");
        assert_eq!(bare("a b"), "\"a b\"");
    }
}
