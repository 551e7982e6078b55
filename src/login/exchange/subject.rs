//! Whom a token speaks for, and whom it may log in.

use serde_json::{Map, Value};

use crate::config::Exchange;
use crate::gate::Deny;
use crate::store::Name;

/// Who calls, by the claims of a verified token.
pub(super) struct Caller<'a> {
    /// `azp` in Auth0's profile of access tokens, `client_id` in that of RFC 9068.
    pub(super) client: &'a str,
    /// The user whom the token speaks for; none for a machine's.
    pub(super) user: Option<User<'a>>,
}

/// A user, as the issuer knows it.
pub(super) struct User<'a> {
    /// The address, if the issuer says one and does not say that it is unverified.
    email: Option<&'a str>,
}

impl<'a> Caller<'a> {
    /// Reads the claims.
    ///
    /// # Errors
    /// [`Deny::ExchangeForbidden`] for a client that may not log anybody in.
    pub(super) fn read(claims: &'a Map<String, Value>, exchange: &Exchange) -> Result<Self, Deny> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        // A token with both is of the one profile or the other: both must say the same.
        let client = match (text("azp"), text("client_id")) {
            (Some(azp), Some(client)) if azp != client => return Err(Deny::ExchangeForbidden),
            (Some(client), _) | (None, Some(client)) => client,
            (None, None) => "",
        };
        let permissions: Vec<_> = match claims.get("permissions") {
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        if !exchange.admits(client, &permissions) {
            return Err(Deny::ExchangeForbidden);
        }
        let email = text(exchange.email_claim()).filter(|_| is_verified(claims.get("email_verified")));
        let user = if is_machine(claims, client) { None } else { Some(User { email }) };
        Ok(Self { client, user })
    }

    /// Whether it may log in the user of this address: a machine that was admitted may, a user only itself.
    pub(super) fn may_log_in(&self, email: &Name) -> bool {
        let Some(user) = &self.user else { return true };
        user.email.and_then(Name::email).is_some_and(|own| own == *email)
    }
}

/// Whether the token is a client's own, which it got with its secret: no user was there. Anything else is a user's, and so
/// is what can't be told: a user's token may do less.
fn is_machine(claims: &Map<String, Value>, client: &str) -> bool {
    if let Some(grant) = claims.get("gty") {
        return grant == "client-credentials";
    }
    // RFC 9068, 2.2: `sub` is the client then. Auth0 marks it.
    let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
    let own = subject.strip_suffix("@clients").unwrap_or(subject);
    !client.is_empty() && own == client
}

fn is_verified(claim: Option<&Value>) -> bool {
    claim.is_none_or(|verified| *verified == true || *verified == "true")
}
