//! The secret of an app client: a hash with every user name, and refresh tokens with the name of their user.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// `SECRET_HASH`: the HMAC-SHA256 of user name and client id, with the client's secret.
pub(super) fn hash(secret: &str, username: &str, client_id: &str) -> String {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()));
    context.update(username.as_bytes());
    context.update(client_id.as_bytes());
    STANDARD.encode(context.sign().as_ref())
}

/// A refresh token as the client keeps it.
///
/// An app client with a secret requires, with a refresh token, a hash of the user's name as in access tokens. A refresh
/// token does not contain the name, so the name precedes it. If a client changes it, the pool refuses the hash. Without
/// a secret, refresh tokens are unchanged.
pub(super) struct UserBoundRefreshToken<'a> {
    pub(super) username: Option<String>,
    pub(super) token: &'a str,
}

impl<'a> UserBoundRefreshToken<'a> {
    /// Parses one. `None` if it is malformed.
    pub(super) fn parse(text: &'a str, with_name: bool) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'=' | b'.');
        if text.is_empty() || !text.bytes().all(is_plain) {
            return None;
        }
        if !with_name {
            return Some(Self { username: None, token: text });
        }
        let (name, token) = text.split_once('.')?;
        let username = String::from_utf8(URL_SAFE_NO_PAD.decode(name).ok()?).ok()?;
        (!username.is_empty() && !token.is_empty()).then_some(Self { username: Some(username), token })
    }

    /// The form for the client.
    pub(super) fn text(&self) -> String {
        match &self.username {
            Some(name) => format!("{}.{}", URL_SAFE_NO_PAD.encode(name), self.token),
            None => self.token.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_an_hmac_of_name_and_client() {
        // RFC 4231, test case 2: "Jefe", "what do ya want for nothing?"
        let mac = "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=";
        assert_eq!(hash("Jefe", "what do ya want ", "for nothing?"), mac);
        assert_eq!(hash("Jefe", "what do ya want for nothing?", ""), mac);
    }

    #[test]
    fn a_refresh_token_says_whose_it_is_where_that_is_needed() {
        let token = UserBoundRefreshToken { username: Some("Ana María".into()), token: "a.b-c_d=" };
        let text = token.text();
        let read = UserBoundRefreshToken::parse(&text, true).unwrap();
        assert_eq!((read.username.as_deref(), read.token), (Some("Ana María"), "a.b-c_d="));
        assert_eq!(UserBoundRefreshToken::parse("a.b-c", false).unwrap().text(), "a.b-c");
        for bad in ["", "a b", "a\n", "é", "a\"", "a+b"] {
            assert!(UserBoundRefreshToken::parse(bad, false).is_none(), "{bad}");
        }
        for bad in ["", "YQ", "YQ.", ".a", "YQ=.a", "_w.a", "!.a"] {
            assert!(UserBoundRefreshToken::parse(bad, true).is_none(), "{bad}");
        }
    }
}
