//! Admission of a request to a login: the tokens that it carries, and whether they count there.

use std::sync::Arc;

use http::Method;
use http::header::{self, HeaderMap};

use super::DenyReason;
use super::api_key::{self, Wanted};
use super::client::ClientInfo;
use super::credential::{self, Credential, Shown};
use super::decide::{Authorizer, EarlyExit, Head, is_safe};
use super::decision::{AdmittedLogin, Decision};
use super::query;
use super::request_origin::{Cors, RequestOrigin};
use crate::config::{Authorization, Dialect, ExchangeLogin, Login, LoginEndpoint, Origin, Realm, TenantLogin};
use crate::token::{Claims, TokenError, VerifiedToken};

/// A request to a login path, before the checks of its dialect.
pub(super) struct LoginCandidate<'a> {
    pub(super) head: &'a Head<'a>,
    pub(super) login: Arc<Login>,
    pub(super) endpoint: LoginEndpoint,
    pub(super) query: Option<&'a [u8]>,
    pub(super) client: ClientInfo,
    /// Unix seconds.
    pub(super) now: i64,
}

impl Authorizer<'_> {
    /// `own` makes the origin of the request's own target.
    pub(super) fn admit_login(
        &self,
        to: LoginCandidate<'_>,
        caller: Result<RequestOrigin, DenyReason>,
        own: impl Fn() -> Origin,
    ) -> Result<Decision, EarlyExit> {
        let login = to.login.clone();
        match login.dialect() {
            Dialect::Project => Ok(self.admit_project(to, &caller)?),
            Dialect::Tenant(tenant) => Ok(admit_tenant(to, tenant, caller?, own)?),
            Dialect::Exchange(exchange) => self.admit_exchange(to, exchange, caller),
        }
    }

    fn admit_project(
        &self,
        to: LoginCandidate<'_>,
        caller: &Result<RequestOrigin, DenyReason>,
    ) -> Result<Decision, DenyReason> {
        let (head, realm, now) = (to.head, to.login.realm(), to.now);
        // The correct master key replaces the token and lifts the origin rules (docs/logins.md, With the master key).
        let stands_in = matches!(*head.method, Method::GET | Method::HEAD | Method::PUT | Method::DELETE);
        // A realm without a master key ignores the member.
        let is_read = stands_in && realm.has_master_key();
        let master_key = if is_read { query::single_value(to.query, "masterKey")? } else { None };
        let master = master_key.as_ref().is_some_and(|key| realm.is_master_key(key));
        let cors = caller.as_ref().ok().and_then(|caller| caller.cors.clone());
        if !master {
            let _allowed = caller.as_ref().map_err(|deny| *deny)?;
            if master_key.is_some() {
                return Err(DenyReason::MasterKeyUnknown);
            }
        }
        if !(stands_in || head.method == Method::POST) {
            return Err(DenyReason::Method);
        }
        let shown = Shown::find(head.headers, realm, Authorization::Auto, false);
        let token = shown.credential.map_err(DenyReason::from).and_then(|credential| {
            let speaks = match (&credential, caller) {
                (Credential::Cookie(_), Ok(caller)) if is_safe(head.method) => caller.allows_cookie(false)?,
                (Credential::Cookie(_), Ok(caller)) => caller.allows_cookie_at_login()?,
                (Credential::Cookie(_), Err(_)) => false,
                _ => true,
            };
            if speaks { self.own_claims(realm, &credential, now) } else { Err(DenyReason::TokenMissing) }
        });
        // Only a POST can be a logout; the others would verify their token twice.
        let tokens =
            if head.method == Method::POST { all_tokens(realm, head.headers, caller, now) } else { Vec::new() };
        to.admitted(cors, |admitted| AdmittedLogin { master, token, tokens, ..admitted })
    }

    /// Admits a request to an exchange login, with the token to exchange. A browser at the callback brings the URL
    /// only.
    fn admit_exchange(
        &self,
        to: LoginCandidate<'_>,
        exchange: &ExchangeLogin,
        caller: Result<RequestOrigin, DenyReason>,
    ) -> Result<Decision, EarlyExit> {
        let callback = to.endpoint == LoginEndpoint::Callback;
        let cors = match caller {
            // A navigation needs no origin.
            Err(DenyReason::OriginMissing) if callback => None,
            caller => caller?.cors,
        };
        // Only a navigation, and no image or script, by which another site could log its visitor in as another user
        // (Fetch metadata). All browsers send it.
        let headers = to.head.headers;
        let navigates = headers.get("sec-fetch-mode").is_none_or(|mode| mode.as_bytes() == b"navigate");
        // No prefetch, which would use the token.
        if callback && (!navigates || headers.contains_key("sec-purpose")) {
            return Err(DenyReason::OriginDenied.into());
        }
        // No HEAD: to use the token up would leave nothing for the GET that it announces.
        if *to.head.method != if callback { Method::GET } else { Method::POST } {
            return Err(DenyReason::Method.into());
        }
        let mut tokens = Vec::new();
        if to.endpoint == LoginEndpoint::Login {
            tokens.push(self.foreign(to.login.realm(), exchange.issuer(), to.head.headers, to.now)?);
        }
        Ok(to.admitted(cors, |admitted| AdmittedLogin { tokens, ..admitted })?)
    }

    /// Returns the claims of the token to exchange. It must be of this issuer: neither the realm's own token nor one of
    /// another trusted issuer.
    fn foreign(&self, realm: &Realm, issuer: &str, headers: &HeaderMap, now: i64) -> Result<VerifiedToken, EarlyExit> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return Err(DenyReason::TokenMissing.into()) };
        let token = value.to_str().ok().and_then(credential::bearer).ok_or(DenyReason::TokenMissing)?;
        let accepted =
            realm.tokens().verify(token, now).map_err(|reject| self.wait_or_deny(realm, token, reject, now))?;
        self.is_not_revoked(&accepted.marks)?;
        match &accepted.issuer {
            Some(by) if *by.issuer == *issuer => Ok(accepted),
            _ => Err(DenyReason::Token(TokenError::Issuer).into()),
        }
    }

    /// Returns the claims of a token of the realm, for a login: another issuer's token is no user of the realm.
    fn own_claims(&self, realm: &Realm, credential: &Credential<'_>, now: i64) -> Result<Claims, DenyReason> {
        let token = credential.token().ok_or(DenyReason::TokenMissing)?;
        let accepted = realm.tokens().verify_own(token, now).map_err(DenyReason::Token)?;
        self.is_not_revoked(&accepted.marks)?;
        Ok(accepted.claims)
    }
}

impl LoginCandidate<'_> {
    /// Admits without a token; `with` adds the parts of the dialect.
    ///
    /// # Errors
    /// [`DenyReason::Query`] for a known member that can't be decoded.
    fn admitted(
        self,
        cors: Option<Cors>,
        with: impl FnOnce(AdmittedLogin) -> AdmittedLogin,
    ) -> Result<Decision, DenyReason> {
        let Self { login, endpoint, query, client, .. } = self;
        let query = query::of_login(query)?;
        Ok(Decision::Login(Box::new(with(AdmittedLogin {
            login,
            endpoint,
            realms: Vec::new(),
            query,
            master: false,
            token: Err(DenyReason::TokenMissing),
            tokens: Vec::new(),
            client,
            cors,
        }))))
    }
}

/// A request to a tenant login, which a token in the Authorization header may end, and no cookie.
fn admit_tenant(
    to: LoginCandidate<'_>,
    tenant: &TenantLogin,
    caller: RequestOrigin,
    own: impl Fn() -> Origin,
) -> Result<Decision, DenyReason> {
    let (head, now) = (to.head, to.now);
    if head.method != Method::POST {
        return Err(DenyReason::Method);
    }
    let lets_in = |realm: &&Arc<Realm>| {
        let wanted = Wanted { needed: realm.requires_key(), ..Wanted::default() };
        api_key::find(realm, head.headers, to.query, wanted, now).is_ok()
            && RequestOrigin::classify(realm, head.headers, &own).is_ok()
    };
    let realms: Vec<_> = tenant.realms().into_iter().filter(lets_in).cloned().collect();
    let mut tokens = Vec::new();
    if to.endpoint == LoginEndpoint::Logout {
        let bearers = bearers(head.headers).take(MAX_TOKENS);
        tokens.extend(bearers.filter_map(|token| realms.iter().find_map(|realm| ending(realm, token, now))));
    }
    to.admitted(caller.cors, |admitted| AdmittedLogin { realms, tokens, ..admitted })
}

/// Returns the token for a logout. It may have expired: its session can go on.
fn ending(realm: &Realm, token: &str, now: i64) -> Option<VerifiedToken> {
    realm.tokens().verify_expired(token, now).ok()
}

fn bearers(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(header::AUTHORIZATION).iter().filter_map(|value| value.to_str().ok());
    values.filter_map(credential::bearer)
}

/// Returns the tokens to end. Logout is always 200, so two credentials are no conflict: both end.
fn all_tokens(
    realm: &Realm,
    headers: &HeaderMap,
    caller: &Result<RequestOrigin, DenyReason>,
    now: i64,
) -> Vec<VerifiedToken> {
    let cookie_speaks = caller.as_ref().is_ok_and(|caller| caller.allows_cookie_at_login().is_ok_and(|speaks| speaks));
    let cookies = credential::cookies(headers)
        .filter(|(name, _)| cookie_speaks && *name == realm.cookie().name().as_bytes())
        .filter_map(|(_, value)| std::str::from_utf8(value).ok());
    let mut accepted: Vec<VerifiedToken> = Vec::new();
    // Only tokens count against the limit, so that cookies planted by another site of the domain can't displace them. A
    // signature costs up to half a millisecond, and the headers of one request can hold thousands.
    let candidates =
        bearers(headers).chain(cookies).filter(|token| token.bytes().filter(|byte| *byte == b'.').count() == 2);
    for found in candidates.take(MAX_CANDIDATES).filter_map(|token| realm.tokens().verify(token, now).ok()) {
        if accepted.len() < MAX_TOKENS && !accepted.iter().any(|other| other.marks == found.marks) {
            accepted.push(found);
        }
    }
    accepted
}

const MAX_TOKENS: usize = 4;
/// Candidates for a token, per request.
const MAX_CANDIDATES: usize = 32;
