//! The steps of a decision, for `tollgate explain`.
//!
//! The deciding code records them itself, so that `explain` can't differ. They contain no secret: keys appear by id,
//! and tokens by their claims.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::api_key::{Carried, Wanted};
use super::credential::{Credential, Shown};
use super::request_origin::RequestOrigin;
use super::target::Target;
use super::token_cache::Principal;
use super::{Authorizer, ClientInfo, DenyReason};
use crate::clock::rfc3339;
use crate::config::{Host, LoginOperation, NoMatch, PathRules, Realm, Route, RouteMatch, RouteTable};
use crate::quota::Quota;

/// The steps of one decision, in order.
#[derive(Debug, Default)]
pub struct Explanation(Mutex<Vec<ExplanationStep>>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplanationStep {
    pub step: &'static str,
    pub found: String,
}

impl Explanation {
    #[must_use]
    pub fn findings(&self) -> Vec<ExplanationStep> {
        self.steps().clone()
    }

    /// Clears the steps, for another decision.
    pub fn clear(&self) {
        self.steps().clear();
    }

    #[cold]
    fn record(&self, step: &'static str, found: impl FnOnce() -> String) {
        let found = found();
        self.steps().push(ExplanationStep { step, found });
    }

    fn steps(&self) -> MutexGuard<'_, Vec<ExplanationStep>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Authorizer<'_> {
    /// Records a step. Without a reader, its text is not even made.
    #[inline]
    pub(super) fn record_step(&self, step: &'static str, found: impl FnOnce() -> String) {
        if let Some(trace) = self.trace {
            trace.record(step, found);
        }
    }
}

/// The path as it is compared.
pub(super) fn path(target: &Target<'_>) -> String {
    match target.canonical() {
        // A slash that was encoded is a control character in there.
        Some(canonical) => format!("{}, in its canonical form", canonical.path.replace('\0', "%2F")),
        None => format!("{}, which readers read differently", String::from_utf8_lossy(target.wire_path)),
    }
}

/// The path rules in force, and the reason.
pub(super) fn path_rules(routing: &RouteTable, host: &Host, route: Option<&Arc<Route>>) -> String {
    let Some(route) = route else { return "strict: no route takes paths of this form here".into() };
    let (rules, why) = routing.path_rules(host, route);
    let name = if rules == PathRules::Opaque { "opaque" } else { "strict" };
    format!("{name}, {why}")
}

pub(super) fn rule(found: &Result<RouteMatch, NoMatch>) -> String {
    match found {
        Ok(RouteMatch::Login(found)) => {
            let login = &found.login;
            let endpoint = match found.endpoint().operation {
                LoginOperation::Challenge => "answers to challenges",
                LoginOperation::Refresh => "refreshing",
                LoginOperation::Logout => "logging out",
                LoginOperation::Callback => "the callback",
                LoginOperation::Redeem => "redeeming callback tokens",
                _ => "the login itself",
            };
            let (index, dialect) = (login.index, login.dialect.name());
            let (path, realm) = (&login.path, &login.realm.name);
            let host = login.host.as_ref().map(|host| format!(", host {host}")).unwrap_or_default();
            format!("login[{index}], dialect {dialect}{host}, path {path}, realm {realm}: {endpoint}")
        }
        Ok(RouteMatch::UnknownEndpoint(found)) => {
            format!("below the login at {}, which has no such endpoint", found.login.path)
        }
        Ok(RouteMatch::Route(route)) => of_route(route),
        Err(NoMatch::Path) => "no login and no route takes this method and path".into(),
        Err(NoMatch::Host) => "no login takes this path, and no route this host".into(),
    }
}

fn of_route(route: &Route) -> String {
    let host = route.host.as_ref().map(|host| format!(", host {host}")).unwrap_or_default();
    let access = route.access.name();
    format!("route[{}]{host}, path {}, access {access}, realm {}", route.index, route.path, route.realm.name)
}

pub(super) fn client(client: &ClientInfo) -> String {
    let scheme = if client.secure { "over TLS" } else { "without TLS" };
    format!("{}, {scheme}", client.address)
}

pub(super) fn quota(quota: &Quota) -> String {
    if quota.is_unlimited() {
        return "none".into();
    }
    let rate = quota.rate.map(|rate| rate.to_string());
    let concurrent = quota.concurrent.map(|most| format!("{most} at once"));
    rate.into_iter().chain(concurrent).collect::<Vec<_>>().join(", ")
}

pub(super) fn key(realm: &Realm, carried: Option<&Carried>, wanted: Wanted) -> String {
    match carried {
        Some(Carried { key, by_basic }) => {
            let way = if *by_basic { ", as Authorization: Basic" } else { "" };
            format!("\"{}\", good{way}; its limit: {}", key.id, quota(&key.quota))
        }
        None if wanted.needed => "none".into(),
        None if !realm.has_api_keys() => "none is looked for, since the realm has none".into(),
        None => "none that counts, and none is needed".into(),
    }
}

/// The origin of the request.
pub(super) fn origin(caller: &Result<RequestOrigin, DenyReason>) -> String {
    caller.as_ref().map_or_else(|deny| deny.response().detail.into(), |caller| caller.to_string())
}

pub(super) fn credential(shown: &Shown<'_>) -> String {
    let found = match shown.credential {
        Ok(Credential::Bearer(_)) => "Authorization: Bearer",
        Ok(Credential::Cookie(_)) => "the realm's cookie",
        Ok(Credential::None) => "none",
        Err(unclear) => DenyReason::from(unclear).response().detail,
    };
    let apps = if shown.authorization_is_apps { "; the Authorization header is the app's" } else { "" };
    format!("{found}{apps}")
}

pub(super) fn principal(principal: &Principal) -> String {
    let claims = principal.claims();
    let issuer = principal.issuer().map_or_else(|| "the realm".to_owned(), |issuer| format!("{issuer:?}"));
    let mfa = if claims.mfa { ", with a second factor" } else { "" };
    format!(
        "good until {}, signed by {issuer}: subject {:?}, roles {:?}{mfa}",
        rfc3339(claims.expires_at),
        claims.subject,
        claims.roles.join(","),
    )
}

/// An invalid token where none is required.
pub(super) fn unneeded(deny: DenyReason) -> String {
    match deny {
        DenyReason::TokenMissing => "none, and none is needed".into(),
        deny => format!("{}, and none is needed: it goes on without an identity", deny.response().reason),
    }
}

#[cfg(test)]
mod tests;
