//! Requests to logins: one function over the rules of the endpoint.

use std::sync::Arc;

use http::header::{self, HeaderMap};

use super::DenyReason;
use super::api_key::{self, Wanted};
use super::credential::{self, Credential, Shown};
use super::decide::{Authorizer, EarlyExit, Request, is_safe};
use super::decision::{AdmittedLogin, Decision};
use super::query;
use super::request_origin::RequestOrigin;
use crate::config::{Authorization, EndpointTokens, LoginMatch, Realm};
use crate::token::{Claims, TokenError, VerifiedToken};

/// A request to a login with a valid API key, if it needs one.
pub(super) struct LoginCandidate<'a> {
    pub(super) request: Request<'a>,
    pub(super) login: LoginMatch,
    /// The origin of the request by the rules of the login's realm.
    pub(super) origin: Result<RequestOrigin, DenyReason>,
}

impl Authorizer<'_> {
    pub(super) fn admit_login(&self, to: LoginCandidate<'_>) -> Result<Decision, EarlyExit> {
        let master = to.check_endpoint()?;
        let realms = to.allowed_realms();
        let (mut token, mut tokens) = (Err(DenyReason::TokenMissing), Vec::new());
        match &to.login.endpoint().tokens {
            EndpointTokens::None => {}
            EndpointTokens::Own => token = self.own_token(&to),
            EndpointTokens::OwnAndAll => {
                token = self.own_token(&to);
                tokens = to.all_tokens();
            }
            EndpointTokens::Expired => {
                let of_a_realm = |token| realms.iter().find_map(|realm| expired(realm, token, to.request.now));
                tokens.extend(bearers(to.headers()).take(MAX_TOKENS).filter_map(of_a_realm));
            }
            EndpointTokens::TrustedIssuer(issuer) => tokens.push(self.issuer_token(&to, issuer)?),
        }
        Ok(Decision::Login(Box::new(AdmittedLogin {
            realms,
            query: query::of_login(to.query(), to.login.endpoint().query)?,
            master,
            token,
            tokens,
            client: to.request.client,
            cors: to.origin.ok().and_then(|origin| origin.cors),
            login: to.login,
        })))
    }

    /// Verifies the token that the realm of the login issued: the token of another issuer names no user of the realm.
    fn own_token(&self, to: &LoginCandidate<'_>) -> Result<Claims, DenyReason> {
        let realm = &to.login.login.realm;
        let credential = Shown::find(to.headers(), realm, Authorization::Auto, false).credential?;
        let is_allowed = match (&credential, &to.origin) {
            (Credential::Cookie(_), Ok(origin)) if to.login.endpoint().cookie => {
                if is_safe(to.request.head.method) {
                    origin.allows_cookie(false)?
                } else {
                    origin.allows_cookie_at_login()?
                }
            }
            (Credential::Cookie(_), _) => false,
            _ => true,
        };
        let token = credential.token().filter(|_| is_allowed).ok_or(DenyReason::TokenMissing)?;
        let verified = realm.tokens.verify_own(token, to.request.now).map_err(DenyReason::Token)?;
        self.is_not_revoked(&verified.marks)?;
        Ok(verified.claims)
    }

    /// Verifies the token of a trusted issuer. A token of the realm, or of another issuer, is not accepted.
    fn issuer_token(&self, to: &LoginCandidate<'_>, issuer: &str) -> Result<VerifiedToken, EarlyExit> {
        let (realm, now) = (&to.login.login.realm, to.request.now);
        let mut values = to.headers().get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return Err(DenyReason::TokenMissing.into()) };
        let token = value.to_str().ok().and_then(credential::bearer).ok_or(DenyReason::TokenMissing)?;
        let verified = realm.tokens.verify(token, now).map_err(|error| self.wait_or_deny(realm, token, error, now))?;
        self.is_not_revoked(&verified.marks)?;
        match &verified.issuer {
            Some(by) if *by.issuer == *issuer => Ok(verified),
            _ => Err(DenyReason::Token(TokenError::Issuer).into()),
        }
    }
}

impl<'a> LoginCandidate<'a> {
    /// Returns whether the request has the master key of the realm, which replaces an allowed origin.
    ///
    /// # Errors
    /// The rule of the endpoint that the request does not meet.
    fn check_endpoint(&self) -> Result<bool, DenyReason> {
        let endpoint = self.login.endpoint();
        let master = self.has_master_key()?;
        match &self.origin {
            Err(DenyReason::OriginMissing) if endpoint.navigation => {}
            Err(deny) if master != Some(true) => return Err(*deny),
            Ok(_) | Err(_) => {}
        }
        if master == Some(false) {
            return Err(DenyReason::MasterKeyUnknown);
        }
        if endpoint.navigation && !is_navigation(self.headers()) {
            return Err(DenyReason::OriginDenied);
        }
        if !endpoint.allows_method(self.request.head.method) {
            return Err(DenyReason::Method);
        }
        Ok(master == Some(true))
    }

    /// Returns whether the master key of the realm is in the query, or `None` if the query has no master key or the endpoint
    /// reads none.
    fn has_master_key(&self) -> Result<Option<bool>, DenyReason> {
        let (endpoint, realm) = (self.login.endpoint(), &self.login.login.realm);
        if !endpoint.master_key || !endpoint.allows_method(self.request.head.method) || !realm.has_master_key() {
            return Ok(None);
        }
        Ok(query::single_value(self.query(), "masterKey")?.map(|key| realm.is_master_key(&key)))
    }

    /// Returns the realms that the request can name: its API key and its origin meet their rules.
    fn allowed_realms(&self) -> Vec<Arc<Realm>> {
        let is_allowed = |realm: &&Arc<Realm>| {
            let wanted = Wanted { needed: realm.require_key, ..Wanted::default() };
            api_key::find(realm, self.headers(), self.query(), wanted, self.request.now).is_ok()
                && RequestOrigin::classify(realm, self.headers(), || self.request.own_origin()).is_ok()
        };
        self.login.login.named_realms.iter().filter(is_allowed).cloned().collect()
    }

    /// Returns every valid token of the request. Two different credentials are not a conflict at a logout: both sessions end.
    fn all_tokens(&self) -> Vec<VerifiedToken> {
        let (realm, headers) = (&self.login.login.realm, self.headers());
        let cookie_counts = self.login.endpoint().cookie
            && self.origin.as_ref().is_ok_and(|origin| origin.allows_cookie_at_login().is_ok_and(|allowed| allowed));
        let cookies = credential::cookies(headers)
            .filter(|(name, _)| cookie_counts && *name == realm.cookie.name.as_bytes())
            .filter_map(|(_, value)| std::str::from_utf8(value).ok());
        let mut verified: Vec<VerifiedToken> = Vec::new();
        // Only tokens count against the limit: cookies that another site of the domain set must not displace them. But a
        // signature costs up to half a millisecond, and the headers of one request have room for thousands.
        let candidates =
            bearers(headers).chain(cookies).filter(|token| token.bytes().filter(|byte| *byte == b'.').count() == 2);
        for found in
            candidates.take(MAX_CANDIDATES).filter_map(|token| realm.tokens.verify(token, self.request.now).ok())
        {
            if verified.len() < MAX_TOKENS && !verified.iter().any(|other| other.marks == found.marks) {
                verified.push(found);
            }
        }
        verified
    }

    fn headers(&self) -> &'a HeaderMap {
        self.request.head.headers
    }

    fn query(&self) -> Option<&'a [u8]> {
        self.request.message.target.query
    }
}

/// Returns whether a browser opens the URL as a page (W3C Fetch Metadata). A picture or script of another site must not log its
/// visitor in, and a prefetch must not use the token up. A client that sends no metadata is not a browser.
fn is_navigation(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-mode").is_none_or(|mode| mode.as_bytes() == b"navigate")
        && !headers.contains_key("sec-purpose")
}

/// Verifies a token for a logout. It can have expired: its session has not.
fn expired(realm: &Realm, token: &str, now: i64) -> Option<VerifiedToken> {
    realm.tokens.verify_expired(token, now).ok()
}

fn bearers(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(header::AUTHORIZATION).iter().filter_map(|value| value.to_str().ok());
    values.filter_map(credential::bearer)
}

/// Tokens of one logout request.
const MAX_TOKENS: usize = 4;
/// Values in one logout request that have the form of a token.
const MAX_CANDIDATES: usize = 32;

#[cfg(test)]
mod tests;
