//! The audit log: one JSON object per event, with stable fields.
//!
//! `time`, `event`, `outcome`, `reason` and, for a request, `client` and `request_id` come first and in this order, before any
//! text that a client chose: a filter that reads from the start of the line can't be misled by a name.

use std::net::IpAddr;

use pingora::proxy::Session;

use super::SharedState;
use super::metrics::Metrics;
use super::record::client;
use crate::clock::now_ms;
use crate::gate::{Denial, DenyReason};
use crate::log_output::JsonLine;
use crate::login::LoginEvent;

/// Makes an event with the current time. `reason` is empty after success.
#[must_use]
pub fn event(event: &str, outcome: &str, reason: &str) -> JsonLine {
    JsonLine::at(now_ms()).text("event", event).text("outcome", outcome).text("reason", reason)
}

/// A login request and its result.
pub(super) struct LoginAudit<'a> {
    pub(super) realm: &'a str,
    pub(super) dialect: &'static str,
    pub(super) client: IpAddr,
    pub(super) request_id: &'a str,
    pub(super) noted: &'a LoginEvent,
    pub(super) refused: Option<DenyReason>,
}

impl LoginAudit<'_> {
    /// Returns the result in one word, as the audit log and the metrics have it.
    pub(super) fn outcome(&self) -> &'static str {
        match self.refused {
            Some(deny) if deny.response().status.is_server_error() => "error",
            Some(_) => "failure",
            None if self.noted.challenge.is_some() => "challenge",
            None => "success",
        }
    }

    pub(super) fn reason(&self) -> &'static str {
        self.refused.map_or("", |deny| deny.response().reason)
    }

    /// Counts the result in the metrics.
    pub(super) fn count(&self, meters: &Metrics) {
        let realm = self.noted.realm.as_deref().unwrap_or(self.realm);
        meters.login(realm, self.dialect, (self.noted.operation.name(), self.outcome(), self.reason()));
        meters.locked(realm, self.dialect, self.noted.locked.len());
    }

    /// Writes the result to the audit log.
    pub(super) fn write(&self, state: &SharedState) {
        if !state.journal.is_audit_enabled() {
            return;
        }
        let noted = self.noted;
        if noted.operation.changes() {
            let no_subject = [None];
            let subjects = noted.subjects.iter().map(Some);
            let subjects: Vec<_> =
                if noted.subjects.is_empty() { no_subject.into_iter().collect() } else { subjects.collect() };
            for subject in subjects {
                let line = self.line(noted.operation.name(), self.outcome(), self.reason());
                let line = line.optional_text("user", subject.and_then(|subject| subject.user.as_deref()));
                let session = subject.and_then(|subject| subject.session).map(|session| session.to_string());
                let line = line
                    .optional_text("session", session.as_deref())
                    .optional_text("username", noted.username.as_deref());
                let line = line
                    .optional_text("challenge", noted.challenge.as_deref())
                    .optional_text("actor", noted.actor.as_deref());
                let line = if noted.ended > 0 { line.number("sessions_ended", noted.ended) } else { line };
                state.journal.audit(line);
            }
        } else if let Some(deny) = self.refused.filter(|deny| is_of_interest(*deny)) {
            state.journal.audit(self.line("denied", self.outcome(), deny.response().reason));
        }
        for user in &noted.locked {
            let line = self.line("lock", "failure", self.reason()).text("user", user);
            state.journal.audit(line.optional_text("username", noted.username.as_deref()));
        }
        if noted.password_changed {
            let user = noted.subjects.first().and_then(|subject| subject.user.as_deref());
            state.journal.audit(self.line("password_change", "success", "").optional_text("user", user));
        }
    }

    fn line(&self, name: &str, outcome: &str, reason: &str) -> JsonLine {
        let realm = self.noted.realm.as_deref().unwrap_or(self.realm);
        of_request(event(name, outcome, reason), Some(self.client), self.request_id)
            .text("realm", realm)
            .text("dialect", self.dialect)
    }
}

/// Writes a refused request to the audit log, if its credentials or permissions are the reason.
pub(super) fn denied(state: &SharedState, session: &Session, refusal: &Denial, request_id: &str) {
    if !is_of_interest(refusal.deny) || !state.journal.is_audit_enabled() {
        return;
    }
    let line = event("denied", "failure", refusal.deny.response().reason);
    let principal = refusal.principal.as_ref().map(|principal| principal.claims());
    let snapshot = state.snapshot.load();
    let line = of_request(line, client(state, session), request_id)
        .optional_text("realm", refusal.realm.as_ref().map(|realm| &*realm.name))
        .text("route", &snapshot.meters.at(refusal.place).route)
        .text("method", session.req_header().method.as_str().get(..32).unwrap_or(session.req_header().method.as_str()))
        .optional_text("user", principal.map(|claims| claims.subject.as_str()))
        .optional_text("username", principal.and_then(|claims| claims.username.as_deref()))
        .optional_text("key", refusal.key.as_ref().map(|key| &*key.id));
    state.journal.audit(line);
}

fn of_request(line: JsonLine, client: Option<IpAddr>, request_id: &str) -> JsonLine {
    line.text("client", &client.map(|client| client.to_string()).unwrap_or_default()).text("request_id", request_id)
}

/// Returns whether the reason concerns credentials or permissions, and not the form of the request.
fn is_of_interest(deny: DenyReason) -> bool {
    let row = deny.response();
    matches!(row.status.as_u16(), 401 | 403 | 429)
        || row.reason.starts_with("key_")
        || row.reason == DenyReason::CredentialConflict.response().reason
}
