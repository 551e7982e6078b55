//! The cookie of a `[[realm]]`: its name and attributes, and whether browsers accept it.

use crate::config::host::Authority;
use crate::config::origin::{Origin, Origins};
use crate::config::reader::Section;
use crate::config::reader::report::Reported;
use crate::config::reader::spelling::quote;
use crate::config::realm::cookie::{CookieSpec, SameSite};
use crate::config::schema::kind::{Raw, choice, flag, raw};
use crate::config::schema::{Setting, keys};
use crate::config::sealed::Sealed;

keys! {
    /// The cookie of a realm.
    CookieKeys, Reloadable;

    /// Name of the cookie with the token. Browsers accept a cookie with the prefix `__Host-` only from the host itself, so
    /// another host of the domain can't set it. Realms on one host need different names.
    cookie: Raw = raw("\"__Host-examples\""), default "`\"__Host-<name>\"`; with `insecure_cookie` the name of the realm";

    /// `SameSite` attribute of the cookie. `"none"` is for pages on another site than Tollgate.
    same_site: SameSite = choice(&SAME_SITE, SameSite::Lax);

    /// Whether the cookie has no `Secure` attribute, for plain HTTP in a private network. Others on the network can read the
    /// cookie. `cookie`, `same_site` and `partitioned` must not require `Secure`.
    insecure_cookie: bool = flag(false);

    /// `Partitioned` attribute of the cookie (CHIPS): a separate cookie for each site that embeds the application.
    partitioned: bool = flag(false);
}

/// Reads the cookie of the realm with this name.
pub(in crate::config) fn read(section: &Section<'_>, realm: &str) -> CookieSpec {
    let keys = CookieKeys::read(section);
    let secure = !*keys.insecure_cookie;
    let name = keys.cookie.optional(|text| {
        if text.is_empty() || text.len() > MAX_COOKIE_BYTES || !text.bytes().all(is_token_byte) {
            return Err(format!("invalid cookie name {}: write letters, digits and !#$%&'*+-.^_`|~ only", quote(text)));
        }
        match without_prefix(text) {
            Some(rest) if !secure => Err(format!(
                "browsers accept a cookie named {} only with Secure, which insecure_cookie = true leaves out: write cookie = \"{rest}\", or remove insecure_cookie",
                quote(text)
            )),
            Some("") => Err(format!("{} is a prefix without a name: write cookie = \"{text}{realm}\"", quote(text))),
            _ => Ok(text.to_owned()),
        }
    });
    if !secure && *keys.same_site == SameSite::None {
        keys.same_site.error("browsers accept SameSite=None only with Secure, which insecure_cookie = true leaves out: write same_site = \"lax\", or remove insecure_cookie");
    }
    if !secure && *keys.partitioned {
        keys.partitioned.error("browsers accept Partitioned only with Secure, which insecure_cookie = true leaves out: remove one of the two");
    }
    if secure && *keys.partitioned && *keys.same_site != SameSite::None {
        keys.partitioned.warn("has an effect only on pages of other sites, which do not get the cookie: write same_site = \"none\", or remove partitioned");
    }
    // A different name for each realm, so that the cookies of realms on one host do not replace each other. SECURITY.md R51: with
    // this prefix, another host of the domain can't set the cookie.
    let default = || if secure { format!("__Host-{realm}") } else { realm.to_owned() };
    CookieSpec {
        _sealed: Sealed(()),
        name: name.ok().flatten().unwrap_or_else(default),
        same_site: keys.same_site.value,
        secure,
        partitioned: keys.partitioned.value,
    }
}

/// Returns the name after a prefix that requires attributes (RFC 6265bis, 4.1.3), in any letter case.
fn without_prefix(name: &str) -> Option<&str> {
    COOKIE_PREFIXES.iter().find_map(|prefix| {
        let start = name.get(..prefix.len())?;
        start.eq_ignore_ascii_case(prefix).then(|| &name[prefix.len()..])
    })
}

/// Warns of a `Secure` cookie over plain HTTP. A browser drops it silently: the login succeeds, and the next request has no
/// cookie.
pub(in crate::config) fn warn_of_plain_http(
    cookie: &CookieSpec,
    issuer: &Setting<'_, Result<String, Reported>>,
    (listed, origins): (&Setting<'_, Vec<Option<Origin>>>, &Origins),
) {
    if !cookie.secure {
        return;
    }
    let remedy = "browsers drop it silently. Serve Tollgate over https, or write insecure_cookie = true for plain http in a private network";
    let is_plain = |url: &str| {
        let rest = url.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://")).map(|_| &url[7..]);
        let authority = rest.and_then(|rest| Authority::parse(rest.split(['/', '?', '#']).next()?));
        authority.is_some_and(|authority| !authority.host.is_loopback())
    };
    if issuer.as_ref().is_ok_and(|issuer| is_plain(issuer)) {
        issuer.warn(format!("is an http URL, and the realm's cookie is Secure: {remedy}"));
    }
    let mut plain: Vec<_> = origins.listed.iter().map(Origin::as_str).filter(|origin| is_plain(origin)).collect();
    plain.sort_unstable();
    if let Some(origin) = plain.first() {
        listed.warn(format!("\"{origin}\" is an http origin, and the realm's cookie is Secure: {remedy}"));
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
/// Longer prefixes first.
const COOKIE_PREFIXES: [&str; 4] = ["__Host-Http-", "__Host-", "__Http-", "__Secure-"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fixture::{LOGIN, REALM, SERVER, assert_error, check, warnings, with};

    #[test]
    fn bad_values_name_the_key_and_the_remedy() {
        for (keys, expected) in [
            (r#"cookie = "a b""#, "invalid cookie name"),
            (r#"cookie = """#, "invalid cookie name"),
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
    fn name_and_attributes_of_the_cookie_must_match() {
        let cookie = |keys: &str| {
            let config = check(&format!("{SERVER}{}{LOGIN}", with(REALM, keys))).unwrap();
            let cookie = &config.policy.realms[0].cookie;
            (cookie.name.to_owned(), cookie.same_site, cookie.secure)
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
