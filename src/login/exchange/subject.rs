//! The subject of a token, and the users that it can log in.

use serde_json::{Map, Value};

use crate::config::ExchangeLogin;
use crate::gate::DenyReason;
use crate::store::LoginName;

/// The caller, by the claims of a verified token.
pub(super) struct ExchangeClient<'a> {
    /// `azp` in Auth0's profile of access tokens, `client_id` in that of RFC 9068.
    pub(super) client: &'a str,
    /// The user of the token; none for a client-credentials token.
    pub(super) user: Option<ExternalUser<'a>>,
}

/// A user, as the issuer knows it.
pub(super) struct ExternalUser<'a> {
    /// The address, if the issuer gives one and does not mark it as unverified.
    email: Option<&'a str>,
}

impl<'a> ExchangeClient<'a> {
    /// Reads the claims.
    ///
    /// # Errors
    /// [`DenyReason::ExchangeForbidden`] for a client that is not allowed to log users in.
    pub(super) fn read(claims: &'a Map<String, Value>, exchange: &ExchangeLogin) -> Result<Self, DenyReason> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        // A token with both claims follows one profile or the other: both must be equal.
        let client = match (text("azp"), text("client_id")) {
            (Some(azp), Some(client)) if azp != client => return Err(DenyReason::ExchangeForbidden),
            (Some(client), _) | (None, Some(client)) => client,
            (None, None) => "",
        };
        let permissions: Vec<_> = match claims.get("permissions") {
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        if !exchange.allows_client(client, &permissions) {
            return Err(DenyReason::ExchangeForbidden);
        }
        let email = text(&exchange.email_claim).filter(|_| is_verified(claims, exchange));
        let user = if is_machine(claims, client) { None } else { Some(ExternalUser { email }) };
        Ok(Self { client, user })
    }

    /// Returns whether the caller can log in the user of this address: an allowed client can log in every user, a user
    /// only itself.
    pub(super) fn may_log_in(&self, email: &LoginName) -> bool {
        let Some(user) = &self.user else { return true };
        user.email.and_then(LoginName::email).is_some_and(|own| own == *email)
    }
}

/// Returns whether the token is a client-credentials token, without a user. Every other token, including an ambiguous
/// one, is a user's: a user's token is allowed less.
fn is_machine(claims: &Map<String, Value>, client: &str) -> bool {
    if let Some(grant) = claims.get("gty") {
        return grant == "client-credentials";
    }
    // RFC 9068, 2.2: `sub` is the client then. Auth0 marks it.
    let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
    let own = subject.strip_suffix("@clients").unwrap_or(subject);
    !client.is_empty() && own == client
}

/// Returns whether the issuer does not mark the address as unverified. An address in a namespaced claim, which Auth0's
/// customers choose, has `<claim>_verified`. Access tokens often have neither; that is enough unless the operator
/// requires more.
fn is_verified(claims: &Map<String, Value>, exchange: &ExchangeLogin) -> bool {
    let beside = format!("{}_verified", exchange.email_claim);
    let said: Vec<_> = ["email_verified", &beside].into_iter().filter_map(|name| claims.get(name)).collect();
    (!said.is_empty() || !exchange.require_verified_email)
        && said.iter().all(|verified| **verified == true || **verified == "true")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::{Dialect, Mode, parse};

    const FILE: &str = r#"
[server]
listen = ["127.0.0.1:0"]
[store]
url = "sqlite://x.db"
[[realm]]
name = "a"
issuer = "i"
require_key = false
[[realm.trusted_issuer]]
issuer = "https://idp.example/"
audience = ["api"]
jwks_url = "https://idp.example/jwks"
[[login]]
dialect = "exchange"
path = "/api/login"
realm = "a"
callback_url = "https://app.example/cb"
"#;

    /// Returns whether a token with these claims can log in `bob@example.com`.
    fn may(limits: &str, claims: &Value) -> Result<bool, DenyReason> {
        let config = parse(&format!("{FILE}{limits}"), std::path::Path::new("t.toml"), Mode::Start).unwrap();
        let Dialect::Exchange(exchange) = &config.policy.routing.logins[0].dialect else { panic!() };
        let caller = ExchangeClient::read(claims.as_object().unwrap(), exchange)?;
        Ok(caller.may_log_in(&LoginName::email("bob@example.com").unwrap()))
    }

    #[test]
    fn a_machine_that_is_admitted_names_anybody_and_a_user_only_itself() {
        let listed = "allowed_clients = [\"backend\"]";
        for (claims, expected) in [
            (json!({"azp": "backend", "gty": "client-credentials", "sub": "backend@clients"}), Ok(true)),
            (json!({"azp": "backend", "sub": "backend@clients"}), Ok(true)),
            (json!({"client_id": "backend", "sub": "backend"}), Ok(true)),
            (json!({"azp": "backend", "client_id": "backend", "sub": "backend"}), Ok(true)),
            (json!({"azp": "backend", "client_id": "other", "sub": "backend"}), Err(DenyReason::ExchangeForbidden)),
            (
                json!({"azp": "other", "gty": "client-credentials", "sub": "other@clients"}),
                Err(DenyReason::ExchangeForbidden),
            ),
            (json!({"gty": "client-credentials", "sub": "backend@clients"}), Err(DenyReason::ExchangeForbidden)),
            (json!({"azp": ["backend"], "sub": "backend"}), Err(DenyReason::ExchangeForbidden)),
            // Users' tokens, of a client that is listed.
            (json!({"azp": "backend", "sub": "auth0|1", "email": "bob@example.com"}), Ok(true)),
            (json!({"azp": "backend", "sub": "auth0|1", "email": "BOB@Example.com"}), Ok(true)),
            (json!({"azp": "backend", "sub": "auth0|1", "email": "eve@example.com"}), Ok(false)),
            (json!({"azp": "backend", "sub": "auth0|1"}), Ok(false)),
            (json!({"azp": "backend", "sub": "auth0|1", "email": ["bob@example.com"]}), Ok(false)),
            (
                json!({"azp": "backend", "sub": "auth0|1", "email": "bob@example.com", "email_verified": false}),
                Ok(false),
            ),
            (
                json!({"azp": "backend", "sub": "auth0|1", "email": "bob@example.com", "email_verified": "no"}),
                Ok(false),
            ),
            (json!({"azp": "backend", "sub": "auth0|1", "email": "bob@example.com", "email_verified": true}), Ok(true)),
            // A grant with a user, though the user is called like a client.
            (json!({"azp": "backend", "gty": "password", "sub": "backend@clients"}), Ok(false)),
            (json!({"azp": "backend", "gty": ["client-credentials"], "sub": "backend"}), Ok(false)),
            (json!({"azp": "backend", "sub": "backend@clients@clients"}), Ok(false)),
        ] {
            assert_eq!(may(listed, &claims), expected, "{claims}");
        }
    }

    #[test]
    fn an_address_can_be_wanted_verified() {
        let strict = "allowed_clients = [\"backend\"]\nrequire_verified_email = true";
        let user = |more: Value| {
            let mut claims = json!({"azp": "backend", "sub": "auth0|1", "email": "bob@example.com"});
            claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            may(strict, &claims)
        };
        assert_eq!(user(json!({})), Ok(false), "whoever signs up with any address");
        assert_eq!(user(json!({"email_verified": true})), Ok(true));
        assert_eq!(user(json!({"email_verified": null})), Ok(false));
        let machine = json!({"azp": "backend", "sub": "backend@clients"});
        assert_eq!(may(strict, &machine), Ok(true), "a machine names whom it likes");
        let beside = format!("{strict}\nemail_claim = \"https://x/email\"");
        for (more, expected) in [
            (json!({}), false),
            (json!({"https://x/email_verified": true}), true),
            (json!({"https://x/email_verified": false, "email_verified": true}), false),
        ] {
            let mut claims = json!({"azp": "backend", "sub": "auth0|1", "https://x/email": "bob@example.com"});
            claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            assert_eq!(may(&beside, &claims), Ok(expected), "{claims}");
        }
    }

    #[test]
    fn permissions_are_the_claim_of_that_name_and_no_scope() {
        let needed = "required_permission = \"login\"";
        let token = |more: Value| {
            let mut claims = json!({"azp": "any", "gty": "client-credentials", "sub": "any@clients"});
            claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            claims
        };
        assert_eq!(may(needed, &token(json!({"permissions": ["x", "login"]}))), Ok(true));
        for none in [
            json!({}),
            json!({"permissions": "login"}),
            json!({"permissions": []}),
            json!({"permissions": [["login"]]}),
            json!({"scope": "login", "permissions": ["x"]}),
        ] {
            assert_eq!(may(needed, &token(none.clone())), Err(DenyReason::ExchangeForbidden), "{none}");
        }
        let claims = token(json!({"permissions": ["login"], "email_mine": "eve@example.com", "gty": "password"}));
        assert_eq!(may(&format!("{needed}\nemail_claim = \"email_mine\""), &claims), Ok(false));
    }
}
