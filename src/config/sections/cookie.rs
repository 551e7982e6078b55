//! The cookie of `[[realm]]`: its name and attributes, and whether browsers will accept it.

use crate::config::host::Authority;
use crate::config::origin::{Origin, Origins};
use crate::config::policy::{CookieSpec, SameSite};
use crate::config::reader::Section;
use crate::config::spelling::quote;

/// The cookie of the realm of this name.
pub(in crate::config) fn read(section: &Section<'_>, realm: &str) -> CookieSpec {
    let secure = !section.flag("insecure_cookie", false);
    let name = section.optional("cookie", |text| {
        if text.is_empty() || text.len() > MAX_COOKIE_BYTES || !text.bytes().all(is_token_byte) {
            return Err(format!("{} is no name of a cookie: write letters, digits and !#$%&'*+-.^_`|~ only", quote(text)));
        }
        match without_prefix(text) {
            Some(rest) if !secure => Err(format!(
                "browsers accept a cookie named {} only with Secure, which insecure_cookie = true leaves out: write cookie = \"{rest}\", or remove insecure_cookie",
                quote(text)
            )),
            Some("") => Err(format!("{} is a prefix without a name: write cookie = \"{text}{realm}\"", quote(text))),
            _ => Ok(text),
        }
    });
    let same_site = section.choice("same_site", &SAME_SITE, &[]).unwrap_or(SameSite::Lax);
    let partitioned = section.flag("partitioned", false);
    if !secure && same_site == SameSite::None {
        section.error("same_site", "browsers accept SameSite=None only with Secure, which insecure_cookie = true leaves out: write same_site = \"lax\", or remove insecure_cookie");
    }
    if !secure && partitioned {
        section.error("partitioned", "browsers accept Partitioned only with Secure, which insecure_cookie = true leaves out: remove one of the two");
    }
    if secure && partitioned && same_site != SameSite::None {
        section.warn("partitioned", "has an effect only on pages of other sites, to which the cookie is not sent: write same_site = \"none\", or remove partitioned");
    }
    // Another one for each realm, so that those on one host don't take each other's place in a browser. R51: a browser takes
    // a cookie of this prefix from the host itself only, so that no other host of the domain can plant one.
    let default = || if secure { format!("__Host-{realm}") } else { realm.to_owned() };
    CookieSpec { name: name.map_or_else(default, str::to_owned), same_site, secure, partitioned }
}

/// What follows the prefix by which browsers know what a cookie must have (RFC 6265bis, 4.1.3), whatever its letter case.
fn without_prefix(name: &str) -> Option<&str> {
    COOKIE_PREFIXES.iter().find_map(|prefix| {
        let start = name.get(..prefix.len())?;
        start.eq_ignore_ascii_case(prefix).then(|| &name[prefix.len()..])
    })
}

/// A browser drops a `Secure` cookie that comes over plain HTTP, and says nothing: every login seems to succeed, and the next
/// request has no cookie.
pub(in crate::config) fn warn_of_plain_http(
    section: &Section<'_>,
    cookie: &CookieSpec,
    issuer: Option<&str>,
    origins: &Origins,
) {
    if !cookie.secure() {
        return;
    }
    let remedy = "browsers drop it there without a word. Serve the gate over https, or write insecure_cookie = true for plain http in a network of your own";
    let is_plain = |url: &str| {
        let rest = url.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://")).map(|_| &url[7..]);
        let authority = rest.and_then(|rest| Authority::parse(rest.split(['/', '?', '#']).next()?));
        authority.is_some_and(|authority| !authority.host.is_loopback())
    };
    if issuer.is_some_and(is_plain) {
        section.warn("issuer", format!("is an http URL, and the realm's cookie is Secure: {remedy}"));
    }
    let mut plain: Vec<_> = origins.listed.iter().map(Origin::as_str).filter(|origin| is_plain(origin)).collect();
    plain.sort_unstable();
    if let Some(origin) = plain.first() {
        section.warn("origins", format!("\"{origin}\" is an http origin, and the realm's cookie is Secure: {remedy}"));
    }
}

/// RFC 9110, 5.6.2.
const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

const SAME_SITE: [(&str, SameSite); 3] =
    [("none", SameSite::None), ("lax", SameSite::Lax), ("strict", SameSite::Strict)];
const MAX_COOKIE_BYTES: usize = 128;
/// The longer ones first.
const COOKIE_PREFIXES: [&str; 4] = ["__Host-Http-", "__Host-", "__Http-", "__Secure-"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sections::fixture::{LOGIN, REALM, SERVER, assert_error, check, warnings, with};

    #[test]
    fn bad_values_name_the_key_and_the_remedy() {
        for (keys, expected) in [
            (r#"cookie = "a b""#, "is no name of a cookie"),
            (r#"cookie = """#, "is no name of a cookie"),
            (r#"cookie = "__Host-""#, r#"write cookie = "__Host-a""#),
            ("insecure_cookie = true\ncookie = \"__Host-x\"", r#"write cookie = "x", or remove insecure_cookie"#),
            ("insecure_cookie = true\ncookie = \"__SECURE-x\"", "only with Secure"),
            ("insecure_cookie = true\nsame_site = \"none\"", "realm.a.same_site: browsers accept SameSite=None only"),
            ("insecure_cookie = true\npartitioned = true", "realm.a.partitioned: browsers accept Partitioned only"),
            (r#"same_site = "None""#, r#""none" or "lax" or "strict""#),
        ] {
            assert_error(&format!("{SERVER}{}{LOGIN}", with(REALM, keys)), expected);
        }
    }

    #[test]
    fn the_cookies_name_and_attributes_go_together() {
        let cookie = |keys: &str| {
            let config = check(&format!("{SERVER}{}{LOGIN}", with(REALM, keys))).unwrap();
            let cookie = config.policy.realms()[0].cookie();
            (cookie.name().to_owned(), cookie.same_site(), cookie.secure())
        };
        assert_eq!(cookie(""), ("__Host-a".into(), SameSite::Lax, true));
        assert_eq!(cookie("insecure_cookie = true"), ("a".into(), SameSite::Lax, false));
        let own = "insecure_cookie = true\ncookie = \"session\"\nsame_site = \"strict\"";
        assert_eq!(cookie(own), ("session".into(), SameSite::Strict, false));
        let other = "cookie = \"__Secure-x\"\nsame_site = \"none\"\npartitioned = true";
        assert_eq!(cookie(other), ("__Secure-x".into(), SameSite::None, true));
    }

    #[test]
    fn a_cookie_that_browsers_would_drop_is_a_warning() {
        let of = |keys: &str| warnings(&format!("{SERVER}{}{LOGIN}", with(REALM, keys)));
        for (keys, key, text) in [
            (r#"issuer = "http://gate.lan:8080/x""#, "realm.a.issuer", "insecure_cookie = true"),
            (r#"issuer = "HTTP://192.168.1.5""#, "realm.a.issuer", "Secure"),
            (r#"origins = ["https://a.example", "http://nas.lan"]"#, "realm.a.origins", "\"http://nas.lan\""),
            ("partitioned = true", "realm.a.partitioned", "same_site = \"none\""),
        ] {
            let found = of(keys);
            assert!(found.len() == 1 && found[0].contains(key) && found[0].contains(text), "{keys}: {found:?}");
        }
        for keys in [
            r#"issuer = "http://localhost:8080""#,
            r#"issuer = "http://app.localhost""#,
            r#"issuer = "http://127.0.0.9:8080/x""#,
            r#"issuer = "http://[::1]:8080""#,
            r#"issuer = "not a URL""#,
            r#"origins = ["http://localhost:5173"]"#,
            "issuer = \"http://gate.lan\"\norigins = [\"http://nas.lan\"]\ninsecure_cookie = true",
        ] {
            assert_eq!(of(keys), [""; 0], "{keys}");
        }
    }
}
