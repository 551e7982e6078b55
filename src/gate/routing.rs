//! Steps 3 and 4 of docs/request-order.md: the JWKS, and the login or route of a request.

use std::sync::Arc;

use http::Method;

use super::DenyReason;
use super::decide::{Authorizer, Head};
use super::decision::{Decision, Denial, RouteId};
use super::explanation;
use super::message::{self, Message};
use super::target::{Path, Target, innermost};
use crate::config::{EncodedSlash, Host, LoginMatch, NoMatch, PathRules, RouteMatch};

impl Authorizer<'_> {
    /// Returns the JWKS of this path. A path that only some readers take for such a path is refused.
    pub(super) fn jwks(&self, method: &Method, target: &Target<'_>) -> Result<Option<Decision>, DenyReason> {
        let keys = match &target.path {
            Path::Canonical(canonical) => {
                let is_meant = |reading: &String| self.policy.jwks_at(reading).is_some();
                if canonical.other_readings.iter().any(is_meant) {
                    return Err(DenyReason::Target);
                }
                self.policy.jwks_at(&canonical.path)
            }
            Path::Other(read) if self.policy.key_set_may_be_meant(read) => return Err(DenyReason::Target),
            Path::Other(_) => None,
        };
        match (keys, method) {
            (Some(keys), &(Method::GET | Method::HEAD)) => Ok(Some(Decision::Jwks(keys.clone()))),
            (Some(_), _) => Err(DenyReason::KeySetMethod),
            (None, _) => Ok(None),
        }
    }

    /// Finds the login or route for `method`. `facts` gets what an error response needs from it.
    pub(super) fn find(
        &self,
        message: &Message<'_>,
        method: &Method,
        facts: &mut Denial,
    ) -> Result<Result<RouteMatch, NoMatch>, DenyReason> {
        let found = self.find_in_table(&message.authority.host, &message.target, method)?;
        match &found {
            Ok(RouteMatch::Login(login) | RouteMatch::UnknownEndpoint(login)) => {
                facts.place = RouteId::Login(login.login.index);
                facts.login = Some(login.clone());
            }
            Ok(RouteMatch::Route(route)) => {
                facts.place = RouteId::Route(route.index);
                (facts.takes_key, facts.takes_basic) = (route.access.takes_key(), route.basic);
            }
            Err(_) => {}
        }
        self.record_step("rule", || explanation::rule(&found));
        Ok(found)
    }

    /// Returns the login of a request that is denied before the routing: a client of a login knows the errors of its API only.
    pub(super) fn login_of_invalid(&self, head: &Head<'_>) -> Option<LoginMatch> {
        let path = head.target.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
        let target = Target::parse(path).ok()?;
        let path = &target.canonical()?.path;
        let routing = &self.policy.routing;
        let first = routing.logins.iter().find_map(|login| login.endpoint(path, head.method))?;
        match message::authority(head) {
            Ok((authority, _)) => routing.login_at(&authority.host, path, head.method),
            // The host is unknown.
            Err(_) => Some(first),
        }
    }

    /// Finds the login or route. A path that applications read in several ways must lead to the same one in each
    /// reading, or a route could be reached under the rules of another.
    fn find_in_table(
        &self,
        host: &Host,
        target: &Target<'_>,
        method: &Method,
    ) -> Result<Result<RouteMatch, NoMatch>, DenyReason> {
        let routing = &self.policy.routing;
        let Some(canonical) = target.canonical() else {
            let route = routing.find_opaque(host, target.wire_path, method);
            self.record_step("path_rules", || explanation::path_rules(routing, host, route.as_ref()));
            return route.map(|route| Ok(RouteMatch::Route(route))).ok_or(DenyReason::Target);
        };
        let found = routing.find(host, &canonical.path, method);
        let Ok(RouteMatch::Route(route)) = &found else {
            return if canonical.has_encoded_slash { Err(DenyReason::Target) } else { Ok(found) };
        };
        self.record_step("path_rules", || explanation::path_rules(routing, host, Some(route)));
        if canonical.has_escape && routing.path_rules(host, route).0 == PathRules::Opaque {
            // Readings beyond the strict rules must not leave the route either.
            return innermost(target.wire_path).map(|_| found);
        }
        if canonical.has_encoded_slash && route.encoded_slash == EncodedSlash::Reject {
            return Err(DenyReason::Target);
        }
        let is_same = |other| matches!(other, Ok(RouteMatch::Route(other)) if Arc::ptr_eq(route, &other));
        if canonical.other_readings.iter().all(|reading| is_same(routing.find(host, reading, method))) {
            Ok(found)
        } else {
            Err(DenyReason::Target)
        }
    }
}

impl From<NoMatch> for DenyReason {
    fn from(none: NoMatch) -> Self {
        match none {
            NoMatch::Path => Self::NotFound,
            NoMatch::Host => Self::WrongHost,
        }
    }
}

#[cfg(test)]
mod tests;
