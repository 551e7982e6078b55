//! What a request to a login needs to be answered: whose tokens it carries, and whether they may speak there.

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

/// A request to a login path, judged but for what depends on the dialect.
pub(super) struct LoginCandidate<'a> {
    pub(super) head: &'a Head<'a>,
    pub(super) login: Arc<Login>,
    pub(super) endpoint: LoginEndpoint,
    /// As it came.
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
        // The master key lifts the origin rules where it stands in for a token (contract 3.1), if it is right.
        let stands_in = matches!(*head.method, Method::GET | Method::HEAD | Method::PUT | Method::DELETE);
        // Where there is none, the member means nothing.
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

    /// A request to an exchange login, with the token that is to be exchanged. A browser is sent to the callback, and brings
    /// what stands in its URL, and nothing more.
    fn admit_exchange(
        &self,
        to: LoginCandidate<'_>,
        exchange: &ExchangeLogin,
        caller: Result<RequestOrigin, DenyReason>,
    ) -> Result<Decision, EarlyExit> {
        let callback = to.endpoint == LoginEndpoint::Callback;
        let cors = match caller {
            // To go to a page is no call of another page's.
            Err(DenyReason::OriginMissing) if callback => None,
            caller => caller?.cors,
        };
        // A page that is gone to, and no picture or script by which another site logs its visitor in as somebody else
        // (Fetch metadata). Browsers send it; who does not is none.
        let headers = to.head.headers;
        let navigates = headers.get("sec-fetch-mode").is_none_or(|mode| mode.as_bytes() == b"navigate");
        // Nor one that is fetched before anybody goes there, which would use the token up.
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

    /// What the token of another issuer says, to be exchanged. The realm's own is none, nor is one of somebody else whom the
    /// realm trusts.
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

    /// What a token of the realm's own says, for a login: another issuer's speaks for no user of ours.
    fn own_claims(&self, realm: &Realm, credential: &Credential<'_>, now: i64) -> Result<Claims, DenyReason> {
        let token = credential.token().ok_or(DenyReason::TokenMissing)?;
        let accepted = realm.tokens().verify_own(token, now).map_err(DenyReason::Token)?;
        self.is_not_revoked(&accepted.marks)?;
        Ok(accepted.claims)
    }
}

impl LoginCandidate<'_> {
    /// Without a token; `with` adds what the dialect takes.
    ///
    /// # Errors
    /// [`DenyReason::Query`] for a member that a login knows and that can't be decoded.
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

/// What a token says with which somebody logs out. It may have expired: its session has not.
fn ending(realm: &Realm, token: &str, now: i64) -> Option<VerifiedToken> {
    realm.tokens().verify_expired(token, now).ok()
}

fn bearers(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(header::AUTHORIZATION).iter().filter_map(|value| value.to_str().ok());
    values.filter_map(credential::bearer)
}

/// What logout ends: it answers 200 whatever came, so two credentials are no conflict there but two to end.
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
    // Only tokens count against the limit: cookies that another site of the domain planted must not crowd them out. But a
    // signature costs up to half a millisecond, and the headers of one request have room for thousands.
    let candidates =
        bearers(headers).chain(cookies).filter(|token| token.bytes().filter(|byte| *byte == b'.').count() == 2);
    for found in candidates.take(MAX_CANDIDATES).filter_map(|token| realm.tokens().verify(token, now).ok()) {
        if accepted.len() < MAX_TOKENS && !accepted.iter().any(|other| other.marks == found.marks) {
            accepted.push(found);
        }
    }
    accepted
}

/// Of one logout request.
const MAX_TOKENS: usize = 4;
/// What looks like a token, of one such request.
const MAX_CANDIDATES: usize = 32;
