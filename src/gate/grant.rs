//! The last steps for a request to a route: the token, the roles, and the request for the application.

use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderValue};

use super::api_key::{self, Carried};
use super::client::ClientInfo;
use super::credential::{Credential, Shown, Unclear, names_issuer};
use super::decide::{Authorizer, EarlyExit, Head, is_safe};
use super::decision::{Decision, Denial, Grant, RequestIdentity};
use super::explanation;
use super::identity::IdentityHeaders;
use super::request_origin::RequestOrigin;
use super::target::Target;
use super::token_cache::Principal;
use super::{DenyReason, KeyFault};
use crate::config::{Access, Authorization, Realm, Route};
use crate::token::TokenError;

/// A request to a route, before its identity is known.
pub(super) struct ToRoute<'a, 'h> {
    pub(super) head: &'a Head<'h>,
    pub(super) route: Arc<Route>,
    pub(super) target: &'a Target<'a>,
    pub(super) caller: RequestOrigin,
    pub(super) client: ClientInfo,
    pub(super) key: Option<Carried>,
    /// Without the key it does not pass.
    pub(super) key_needed: bool,
    pub(super) authority: HeaderValue,
    /// Unix seconds.
    pub(super) now: i64,
}

impl Authorizer<'_> {
    pub(super) fn grant(&self, to: ToRoute<'_, '_>, refusal: &mut Denial) -> Result<Decision, EarlyExit> {
        let (route, head, now) = (&to.route, to.head, to.now);
        let realm = route.realm();
        let by_basic = to.key.as_ref().is_some_and(|key| key.by_basic);
        let changes = head.upgrade || !is_safe(head.method);
        // Browsers send Basic credentials by themselves, too.
        let key = match to.key {
            Some(Carried { by_basic: true, .. }) if !to.caller.basic_speaks(changes)? => None,
            Some(Carried { key, .. }) => Some(key),
            None => None,
        };
        if to.key_needed && key.is_none() {
            return Err(DenyReason::Basic(KeyFault::Missing).into());
        }
        let shown = Shown::find(head.headers, realm, route.authorization(), by_basic);
        self.record_step("credential", || explanation::credential(&shown));
        let asked = Asked { realm, shown: &shown, caller: &to.caller, changes, now };
        let speaker = match route.access() {
            Access::User => Some(self.user(&asked)?),
            Access::UserOrKey if key.is_none() || must_count(&shown, route.authorization(), head.headers, realm) => {
                Some(self.user(&asked)?)
            }
            // A request that may pass without a token passes without an identity if its token is invalid.
            Access::UserOrKey | Access::Key | Access::Public => self.guest(&asked)?,
        };
        if let Some(speaker) = &speaker {
            self.record_step("token", || explanation::speaker(speaker));
        }
        if !route.roles().is_empty() {
            self.record_step("roles", || format!("one of {} is needed", route.roles().join(", ")));
        }
        let lacking = lacking(route, speaker.as_deref());
        let (speaker, key) = match (route.access(), lacking) {
            (Access::UserOrKey, None) if speaker.is_some() => (speaker, key.filter(|_| to.key_needed)),
            // A user without the role passes by the key only: the application must not see the user's identity.
            (Access::UserOrKey, _) if key.is_some() => (speaker.filter(|_| lacking.is_none()), key),
            (_, Some(deny)) => {
                refusal.speaker = speaker;
                return Err(deny.into());
            }
            (_, None) => (speaker, key.filter(|_| to.key_needed)),
        };
        if route.body_size().is_some_and(|most| announced_length(head.headers) > most) {
            return Err(DenyReason::RequestTooLarge.into());
        }
        let assertion = match (&speaker, route.assertion()) {
            (Some(speaker), Some(audience)) => {
                Some(speaker.assertion(realm.tokens(), realm.name(), audience, now).ok_or(DenyReason::Internal)?)
            }
            _ => None,
        };
        let who = match (speaker, route.access()) {
            (Some(speaker), _) => RequestIdentity::Principal(speaker),
            (None, Access::Key | Access::UserOrKey) => {
                IdentityHeaders::of_key(realm.name()).map_or(RequestIdentity::Anonymous, RequestIdentity::ApiKey)
            }
            (None, _) => RequestIdentity::Anonymous,
        };
        let query = to.target.query.and_then(|query| api_key::query_without(realm, query, to.key_needed));
        let target = match query {
            Some(query) => [to.target.wire_path, &query].join(&b"?"[..]),
            None => to.target.wire_path.to_vec(),
        };
        Ok(Decision::Grant(Box::new(Grant {
            target,
            authority: to.authority,
            client: to.client,
            who,
            key,
            key_needed: to.key_needed,
            authorization_is_apps: shown.authorization_is_apps,
            assertion,
            cors: to.caller.cors,
            route: to.route,
        })))
    }

    /// Returns the user of the token, where one is required.
    fn user(&self, asked: &Asked<'_>) -> Result<Arc<Principal>, EarlyExit> {
        let credential = asked.shown.credential.map_err(DenyReason::from)?;
        if matches!(credential, Credential::Cookie(_)) && !asked.caller.allows_cookie(asked.changes)? {
            return Err(DenyReason::TokenMissing.into());
        }
        self.speaker(asked.realm, &credential, asked.now)
    }

    /// Returns the user of the token, where none is required: a cookie that does not count, two cookies, or an invalid
    /// token give none.
    fn guest(&self, asked: &Asked<'_>) -> Result<Option<Arc<Principal>>, EarlyExit> {
        let unneeded = |deny| {
            self.record_step("token", || explanation::unneeded(deny));
            Ok(None)
        };
        let credential = match asked.shown.credential {
            Ok(credential) => credential,
            Err(Unclear::Authorizations) => return Err(DenyReason::CredentialConflict.into()),
            Err(unclear) => return unneeded(unclear.into()),
        };
        let speaks = !matches!(credential, Credential::Cookie(_))
            || asked.caller.allows_cookie(asked.changes).is_ok_and(|speaks| speaks);
        if !speaks {
            self.record_step("token", || "a cookie does not count from there".into());
            return Ok(None);
        }
        match self.speaker(asked.realm, &credential, asked.now) {
            Ok(speaker) => Ok(Some(speaker)),
            Err(EarlyExit::Deny(deny)) => unneeded(deny),
            Err(wait) => Err(wait),
        }
    }

    /// Returns the principal of the token.
    fn speaker(&self, realm: &Realm, credential: &Credential<'_>, now: i64) -> Result<Arc<Principal>, EarlyExit> {
        let token = credential.token().ok_or(DenyReason::TokenMissing)?;
        if let Some(speaker) = self.known.get(self.generation, realm.index(), token)
            && speaker.is_valid_at(now)
        {
            self.is_not_revoked(speaker.marks())?;
            return Ok(speaker);
        }
        let accepted =
            realm.tokens().verify(token, now).map_err(|reject| self.wait_or_deny(realm, token, reject, now))?;
        self.is_not_revoked(&accepted.marks)?;
        let speaker = Principal::new(accepted, realm.name()).ok_or(DenyReason::Token(TokenError::Claims))?;
        Ok(self.known.insert(self.generation, realm.index(), token, speaker))
    }
}

/// A question to the token of a request.
struct Asked<'a> {
    realm: &'a Realm,
    shown: &'a Shown<'a>,
    caller: &'a RequestOrigin,
    /// The method is not a safe one, or it is an upgrade.
    changes: bool,
    now: i64,
}

/// Returns whether the token must be valid although an API key opens the route: a client that sends it in a header for
/// Tollgate claims to be its user. A cookie is sent automatically, and can be outdated or planted (R51).
fn must_count(shown: &Shown<'_>, whose: Authorization, headers: &HeaderMap, realm: &Realm) -> bool {
    match shown.credential {
        Ok(Credential::Bearer(_)) => whose == Authorization::Gate || names_issuer(headers, realm),
        Err(Unclear::Authorizations) => true,
        Ok(Credential::Cookie(_) | Credential::None) | Err(Unclear::Cookies | Unclear::NoText) => false,
    }
}

/// Returns the requirement of the route that the user does not meet.
fn lacking(route: &Route, speaker: Option<&Principal>) -> Option<DenyReason> {
    let claims = speaker.map(Principal::claims);
    if route.requires_mfa() && !claims.is_some_and(|claims| claims.mfa) {
        return Some(DenyReason::MfaRequired);
    }
    let wanted = route.roles();
    let has_one = claims.is_some_and(|claims| claims.roles.iter().any(|role| wanted.contains(role)));
    if wanted.is_empty() || has_one { None } else { Some(DenyReason::RoleMissing) }
}

/// Returns the Content-Length; 0 without one.
fn announced_length(headers: &HeaderMap) -> u64 {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    length.map_or(0, |length| length.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
