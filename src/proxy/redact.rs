//! Queries without values that can be secrets.

/// Makes a query for the log: the names of its parameters, and no values except those of Tollgate's own switches.
/// Queries of clients and of applications contain tokens, keys and codes (SECURITY.md R40), under names that Tollgate
/// does not know.
pub(super) fn query(query: &str) -> String {
    let members = query.split('&').take(MAX_MEMBERS).map(|member| match member.split_once('=') {
        Some(_) if SWITCHES.contains(&member) => member.to_owned(),
        Some((name, _)) if is_name(name) => format!("{name}=…"),
        // A value without a name, or one that can't be told from it.
        _ => "…".to_owned(),
    });
    members.collect::<Vec<_>>().join("&")
}

/// Returns whether it is short and plain enough to be a name and not a key or a token.
fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'[' | b']');
    !text.is_empty() && text.len() <= MAX_NAME && text.bytes().all(plain)
}

const SWITCHES: [&str; 7] = [
    "login=true",
    "logout=true",
    "dataOnly=true",
    "noATCookie=true",
    "strategy=force",
    "strategy=merge",
    "strategy=replace",
];
/// Less than 32, the length of the shortest API key.
const MAX_NAME: usize = 24;
const MAX_MEMBERS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_and_values_go() {
        for (given, shown) in [
            ("", "…"),
            ("key=d59eb2859c284168ac48aef65046d5dd&login=true", "key=…&login=true"),
            (
                "masterKey=x&token=y&code=z&state=s&password=p&access_token=a",
                "masterKey=…&token=…&code=…&state=…&password=…&access_token=…",
            ),
            ("login=secret&login=TRUE", "login=…&login=…"),
            ("d59eb2859c284168ac48aef65046d5dd", "…"),
            ("d59eb2859c284168ac48aef65046d5dd=", "…"),
            ("eyJhbGciOiJIUzI1NiJ9.e30.x=1", "…"),
            ("a%6bey=1&a[b].c-d=2", "…&a[b].c-d=…"),
            ("a=b=c", "a=…"),
            ("\"\n=1", "…"),
        ] {
            assert_eq!(query(given), shown, "{given}");
        }
        assert!(query(&"a=1&".repeat(10_000)).len() < 1024);
    }
}
