//! The last steps for a request to a route: the token, the roles, the size of the body, and the request for the application.

use std::sync::Arc;

use http::header::{self, HeaderMap};

use super::api_key::{self, Carried};
use super::credential::{Credential, Shown, Unclear, names_issuer};
use super::decide::{Authorizer, EarlyExit, Request};
use super::decision::{Decision, Denial, Grant, RequestIdentity};
use super::explanation;
use super::identity::IdentityHeaders;
use super::request_origin::RequestOrigin;
use super::token_cache::Principal;
use super::{DenyReason, KeyFault};
use crate::config::{Access, ApiKey, Authorization, Route};
use crate::token::TokenError;

/// A request to a route, before its identity is known.
pub(super) struct RouteCandidate<'a> {
    pub(super) request: Request<'a>,
    pub(super) route: Arc<Route>,
    pub(super) origin: RequestOrigin,
    /// The valid API key of the request.
    pub(super) key: Option<Carried>,
}

/// The valid credentials of a request.
struct Credentials {
    principal: Option<Arc<Principal>>,
    key: Option<Arc<ApiKey>>,
}

impl Authorizer<'_> {
    /// The steps 9 to 11 of docs/request-order.md, and the request for the application.
    pub(super) fn grant(&self, to: RouteCandidate<'_>, facts: &mut Denial) -> Result<Decision, EarlyExit> {
        let (route, headers) = (&*to.route, to.request.head.headers);
        let key = to.allowed_key()?;

        // 9. The token
        let by_basic = to.key.as_ref().is_some_and(|key| key.by_basic);
        let shown = Shown::find(headers, &route.realm, route.authorization, by_basic);
        self.record_step("credential", || explanation::credential(&shown));
        let principal = self.principal(&to, &shown, key.is_some())?;

        // 10. Second factor and roles
        if !route.roles.is_empty() {
            self.record_step("roles", || format!("one of {} is needed", route.roles.join(", ")));
        }
        let Credentials { principal, key } = authorize(route, Credentials { principal, key }, facts)?;

        // 11. The size of the body
        if route.body_size.is_some_and(|most| announced_length(headers) > most) {
            return Err(DenyReason::RequestTooLarge.into());
        }

        let assertion = match (&principal, route.assertion.as_ref()) {
            (Some(principal), Some(audience)) => Some(
                principal
                    .assertion(&route.realm.tokens, &route.realm.name, audience, to.request.now)
                    .ok_or(DenyReason::Internal)?,
            ),
            _ => None,
        };
        Ok(Decision::Grant(Box::new(Grant {
            target: to.target_of_app(),
            key,
            authority: to.request.message.host,
            client: to.request.client,
            who: identity(route, principal),
            key_needed: route.requires_key(),
            authorization_is_apps: shown.authorization_is_apps,
            assertion,
            cors: to.origin.cors,
            route: to.route,
        })))
    }

    /// Returns the principal of the request, as the route requires or allows one.
    fn principal(
        &self,
        to: &RouteCandidate<'_>,
        shown: &Shown<'_>,
        has_key: bool,
    ) -> Result<Option<Arc<Principal>>, EarlyExit> {
        let is_required = match to.route.access {
            Access::User => true,
            Access::UserOrKey => !has_key || must_be_valid(shown, &to.route, to.request.head.headers),
            Access::Key | Access::Public => false,
        };
        let principal = if is_required { Some(self.required(to, shown)?) } else { self.optional(to, shown)? };
        if let Some(principal) = &principal {
            self.record_step("token", || explanation::principal(principal));
        }
        Ok(principal)
    }

    /// Returns the principal of the token, where one is required.
    fn required(&self, to: &RouteCandidate<'_>, shown: &Shown<'_>) -> Result<Arc<Principal>, EarlyExit> {
        let credential = shown.credential.map_err(DenyReason::from)?;
        if matches!(credential, Credential::Cookie(_)) && !to.origin.allows_cookie(to.request.is_unsafe())? {
            return Err(DenyReason::TokenMissing.into());
        }
        self.verify(to, &credential)
    }

    /// Returns the principal of the token, where none is required: a cookie that does not count, two cookies, or an invalid
    /// token give none.
    fn optional(&self, to: &RouteCandidate<'_>, shown: &Shown<'_>) -> Result<Option<Arc<Principal>>, EarlyExit> {
        let unneeded = |deny| {
            self.record_step("token", || explanation::unneeded(deny));
            Ok(None)
        };
        let credential = match shown.credential {
            Ok(credential) => credential,
            Err(Unclear::Authorizations) => return Err(DenyReason::CredentialConflict.into()),
            Err(unclear) => return unneeded(unclear.into()),
        };
        let counts = !matches!(credential, Credential::Cookie(_))
            || to.origin.allows_cookie(to.request.is_unsafe()).is_ok_and(|allowed| allowed);
        if !counts {
            self.record_step("token", || "a cookie does not count from there".into());
            return Ok(None);
        }
        match self.verify(to, &credential) {
            Ok(principal) => Ok(Some(principal)),
            Err(EarlyExit::Deny(deny)) => unneeded(deny),
            Err(other) => Err(other),
        }
    }

    /// Returns the principal of a valid token, from the cache if it is there.
    fn verify(&self, to: &RouteCandidate<'_>, credential: &Credential<'_>) -> Result<Arc<Principal>, EarlyExit> {
        let (realm, now) = (&to.route.realm, to.request.now);
        let token = credential.token().ok_or(DenyReason::TokenMissing)?;
        if let Some(principal) = self.known.get(self.generation, realm.index, token)
            && principal.is_valid_at(now)
        {
            self.is_not_revoked(principal.marks())?;
            return Ok(principal);
        }
        let verified =
            realm.tokens.verify(token, now).map_err(|reject| self.wait_or_deny(realm, token, reject, now))?;
        self.is_not_revoked(&verified.marks)?;
        let principal = Principal::new(verified, &realm.name).ok_or(DenyReason::Token(TokenError::Claims))?;
        Ok(self.known.insert(self.generation, realm.index, token, principal))
    }
}

impl RouteCandidate<'_> {
    /// Returns the API key, unless it came in Basic credentials that do not count from this origin: browsers send them
    /// by themselves, too.
    fn allowed_key(&self) -> Result<Option<Arc<ApiKey>>, DenyReason> {
        let key = match &self.key {
            Some(Carried { by_basic: true, .. }) if !self.origin.allows_basic(self.request.is_unsafe())? => None,
            Some(Carried { key, .. }) => Some(key.clone()),
            None => None,
        };
        if key.is_none() && self.route.requires_key() {
            return Err(DenyReason::Basic(KeyFault::Missing));
        }
        Ok(key)
    }

    /// Returns path and query for the application, without API keys.
    fn target_of_app(&self) -> Vec<u8> {
        let (realm, target) = (&self.route.realm, &self.request.message.target);
        let query = target.query.and_then(|query| api_key::query_without(realm, query, self.route.requires_key()));
        match query {
            Some(query) => [target.wire_path, &query].join(&b"?"[..]),
            None => target.wire_path.to_vec(),
        }
    }
}

/// Returns the credentials by which the request passes: the principal, and the key without which it would be denied.
fn authorize(route: &Route, shown: Credentials, facts: &mut Denial) -> Result<Credentials, DenyReason> {
    let Credentials { principal, key } = shown;
    let lacking = lacking(route, principal.as_deref());
    match (route.access, lacking) {
        // A user without the role passes by the key only: the application must not see the user's identity.
        (Access::UserOrKey, Some(_)) if key.is_some() => Ok(Credentials { principal: None, key }),
        (_, Some(deny)) => {
            facts.principal = principal;
            Err(deny)
        }
        (Access::UserOrKey, None) if principal.is_none() => Ok(Credentials { principal, key }),
        (_, None) => Ok(Credentials { principal, key: key.filter(|_| route.requires_key()) }),
    }
}

fn identity(route: &Route, principal: Option<Arc<Principal>>) -> RequestIdentity {
    match (principal, route.access) {
        (Some(principal), _) => RequestIdentity::Principal(principal),
        (None, Access::Key | Access::UserOrKey) => {
            IdentityHeaders::of_key(&route.realm.name).map_or(RequestIdentity::Anonymous, RequestIdentity::ApiKey)
        }
        (None, Access::User | Access::Public) => RequestIdentity::Anonymous,
    }
}

/// Returns whether the token must be valid although an API key opens the route: a client that sends it in a header for
/// Tollgate claims to be its user. A cookie is sent automatically, and can be outdated or planted (R51).
fn must_be_valid(shown: &Shown<'_>, route: &Route, headers: &HeaderMap) -> bool {
    match shown.credential {
        Ok(Credential::Bearer(_)) => route.authorization == Authorization::Gate || names_issuer(headers, &route.realm),
        Err(Unclear::Authorizations) => true,
        Ok(Credential::Cookie(_) | Credential::None) | Err(Unclear::Cookies | Unclear::NoText) => false,
    }
}

/// Returns the requirement of the route that the user does not meet.
fn lacking(route: &Route, principal: Option<&Principal>) -> Option<DenyReason> {
    let claims = principal.map(Principal::claims);
    if route.require_mfa && !claims.is_some_and(|claims| claims.mfa) {
        return Some(DenyReason::MfaRequired);
    }
    let wanted = &route.roles;
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
