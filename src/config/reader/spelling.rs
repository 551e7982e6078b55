//! Quoting of values and keys in error messages, and "did you mean".

use strsim::damerau_levenshtein;

/// Returns the one of `known` from which `text` differs by a typing error.
pub(in crate::config) fn closest<'k>(text: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let text: String = text.chars().take(MAX_QUOTED_CHARS).flat_map(char::to_lowercase).collect();
    let distances = known.map(|known| (damerau_levenshtein(&text, &known.to_lowercase()), known));
    let (distance, known) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= 1 + known.chars().count() / 4).then_some(known)
}

/// Returns the error message for a text that is not one of `words`.
pub(in crate::config) fn none_of<'k>(text: &str, words: impl Iterator<Item = &'k str> + Clone) -> String {
    let known: Vec<_> = words.clone().map(|word| format!("\"{word}\"")).collect();
    let meant = closest(text, words).map(|word| format!(": did you mean \"{word}\"?")).unwrap_or_default();
    format!("must be {} (found {}){meant}", known.join(" or "), quote(text))
}

/// Returns an error message if `text` contains a variable, which would not be expanded: `${NAME}`, or `$NAME` alone.
pub(in crate::config) fn unexpanded(text: &str) -> Option<String> {
    let is_name = |name: &str| {
        name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && name.bytes().next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
    };
    // Also `${NAME:-default}`.
    let braced = text.match_indices("${").find_map(|(at, _)| {
        let name = text[at + 2..].split(['}', ':', '-']).next()?;
        (text[at..].contains('}') && is_name(name)).then_some((at, name))
    });
    let variable = match braced {
        Some((0, CREDENTIALS)) => return None,
        Some((_, name)) => name,
        None => text
            .strip_prefix('$')
            .filter(|name| is_name(name) && name.bytes().all(|byte| !byte.is_ascii_lowercase()))?,
    };
    // The name of a variable is not a secret.
    Some(format!(
        "variables are not expanded, and ${{{variable}}} would count as it is: write the value itself, or the path of a file \
         with it in the key that ends in _file (only ${{{CREDENTIALS}}} at the beginning of a path is expanded)"
    ))
}

/// Returns `text` for an error message: escaped, shortened, and without the user and password of a URL. Not for secrets.
pub(in crate::config) fn quote(text: &str) -> String {
    let shown;
    let text = match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => {
            // Text with an @ is not a scheme: it can contain a password as well.
            let scheme = if scheme.contains('@') { String::new() } else { format!("{scheme}://") };
            shown = format!("{scheme}…{host}");
            &shown
        }
        _ => text,
    };
    // A string without a closing quote includes the following lines, and possibly secrets in them.
    let is_end = |(at, (_, letter)): &(usize, (usize, char))| *at == MAX_QUOTED_CHARS || matches!(letter, '\n' | '\r');
    match text.char_indices().enumerate().find(is_end) {
        Some((_, (end, _))) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Returns a key for an error message, in quotes unless it is a bare key of TOML.
pub(in crate::config) fn bare(key: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !key.is_empty() && key.len() <= MAX_QUOTED_CHARS && key.bytes().all(is_bare) { key.into() } else { quote(key) }
}

/// The variable of systemd for the directory of `LoadCredential=`.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";
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
            ("TRUSTED_PROXIES", Some("trusted_proxies")),
            ("lisetn", Some("listen")),
            ("bind", None),
            ("", None),
        ] {
            assert_eq!(closest(slip, known.into_iter()), meant, "{slip}");
        }
    }

    #[test]
    fn a_value_outside_a_list() {
        let words = ["round_robin", "least_connections"];
        let said = |text: &str| none_of(text, words.into_iter());
        assert_eq!(
            said("roundrobin"),
            "must be \"round_robin\" or \"least_connections\" (found \"roundrobin\"): did you mean \"round_robin\"?"
        );
        assert!(said("random").ends_with("(found \"random\")"));
    }

    #[test]
    fn variables_are_recognized() {
        for (text, name) in [
            ("${API_KEY}", Some("API_KEY")),
            ("postgres://u:${PASSWORD}@h/d", Some("PASSWORD")),
            ("${HOME:-/root}/x", Some("HOME")),
            ("$API_KEY", Some("API_KEY")),
            ("x/${CREDENTIALS_DIRECTORY}", Some("CREDENTIALS_DIRECTORY")),
            ("${CREDENTIALS_DIRECTORY}/x", None),
            ("$2b$10$abc", None),
            ("$argon2id$v=19", None),
            ("${}", None),
            ("a${b", None),
            ("$5", None),
            ("price$", None),
            ("", None),
        ] {
            let told = unexpanded(text);
            assert_eq!(told.is_some(), name.is_some(), "{text}");
            assert!(told.is_none_or(|told| told.contains(&format!("${{{}}}", name.unwrap()))), "{text}");
        }
    }

    #[test]
    fn quotes_are_one_short_line() {
        assert_eq!(quote("a\tb"), "\"a\\tb\"");
        assert_eq!(quote("a\nsecret = 'hunter2'"), "\"a\"…");
        assert_eq!(quote("\r\nb"), "\"\"…");
        assert!(quote(&"é".repeat(500)).chars().count() < 90);
        assert_eq!(quote("https://u:hunter2@h/x@y"), "\"https://…y\"");
        assert_eq!(quote("u:hunter2@h://x"), "\"…h://x\"", "an @ before the scheme");
        assert_eq!(quote("a@b://c@d://e"), "\"…d://e\"");
        assert_eq!(quote("a://b@c://d"), "\"a://…c://d\"");
        assert_eq!(quote("a@b"), "\"a@b\"", "no URL");
        assert_eq!(bare("a b"), "\"a b\"");
    }
}
