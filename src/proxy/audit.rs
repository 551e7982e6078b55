//! Who did what: one JSON object for every event, with fields that stay as they are.
//!
//! `time`, `event`, `outcome`, `reason` and, of a request, `client` and `request_id` come first and in this order, before
//! anything that a client chose: a filter that reads from the start of the line can't be led astray by what stands in a name.

use std::net::IpAddr;

use pingora::proxy::Session;

use super::State;
use super::meters::Meters;
use super::record::client;
use crate::clock::now_ms;
use crate::gate::{Deny, Refusal};
use crate::lines::Json;
use crate::login::Noted;

/// An event, at this moment. `reason` is empty for one that succeeded.
#[must_use]
pub fn event(event: &str, outcome: &str, reason: &str) -> Json {
    Json::at(now_ms()).text("event", event).text("outcome", outcome).text("reason", reason)
}

/// What a login was asked, and what came of it.
pub(super) struct Login<'a> {
    pub(super) realm: &'a str,
    pub(super) dialect: &'static str,
    pub(super) client: IpAddr,
    pub(super) request_id: &'a str,
    pub(super) noted: &'a Noted,
    pub(super) refused: Option<Deny>,
}

impl Login<'_> {
    /// In one word: what it comes to for whoever asked.
    pub(super) fn outcome(&self) -> &'static str {
        match self.refused {
            Some(deny) if deny.row().status.is_server_error() => "error",
            Some(_) => "failure",
            None if self.noted.challenge.is_some() => "challenge",
            None => "success",
        }
    }

    pub(super) fn reason(&self) -> &'static str {
        self.refused.map_or("", |deny| deny.row().reason)
    }

    /// Counts it.
    pub(super) fn count(&self, meters: &Meters) {
        let realm = self.noted.realm.as_deref().unwrap_or(self.realm);
        meters.login(realm, self.dialect, (self.noted.operation.name(), self.outcome(), self.reason()));
        meters.locked(realm, self.dialect, self.noted.locked.len());
    }

    /// Writes it down.
    pub(super) fn write(&self, state: &State) {
        if !state.journal.audits() {
            return;
        }
        let noted = self.noted;
        if noted.operation.changes() {
            let nobody = [None];
            let subjects = noted.subjects.iter().map(Some);
            let subjects: Vec<_> =
                if noted.subjects.is_empty() { nobody.into_iter().collect() } else { subjects.collect() };
            for subject in subjects {
                let line = self.line(noted.operation.name(), self.outcome(), self.reason());
                let line = line.maybe("user", subject.and_then(|subject| subject.user.as_deref()));
                let session = subject.and_then(|subject| subject.session).map(|session| session.to_string());
                let line = line.maybe("session", session.as_deref()).maybe("username", noted.username.as_deref());
                let line = line.maybe("challenge", noted.challenge.as_deref()).maybe("actor", noted.actor.as_deref());
                let line = if noted.ended > 0 { line.number("sessions_ended", noted.ended) } else { line };
                state.journal.audit(line);
            }
        } else if let Some(deny) = self.refused.filter(|deny| is_of_interest(*deny)) {
            state.journal.audit(self.line("denied", self.outcome(), deny.row().reason));
        }
        for user in &noted.locked {
            let line = self.line("lock", "failure", self.reason()).text("user", user);
            state.journal.audit(line.maybe("username", noted.username.as_deref()));
        }
        if noted.password_changed {
            let user = noted.subjects.first().and_then(|subject| subject.user.as_deref());
            state.journal.audit(self.line("password_change", "success", "").maybe("user", user));
        }
    }

    fn line(&self, name: &str, outcome: &str, reason: &str) -> Json {
        let realm = self.noted.realm.as_deref().unwrap_or(self.realm);
        of_request(event(name, outcome, reason), Some(self.client), self.request_id)
            .text("realm", realm)
            .text("dialect", self.dialect)
    }
}

/// Writes down that a request was refused, if it was refused for what it is allowed to do.
pub(super) fn denied(state: &State, session: &Session, refusal: &Refusal, request_id: &str) {
    if !is_of_interest(refusal.deny) || !state.journal.audits() {
        return;
    }
    let line = event("denied", "failure", refusal.deny.row().reason);
    let speaker = refusal.speaker.as_ref().map(|speaker| speaker.claims());
    let snapshot = state.snapshot.load();
    let line = of_request(line, client(state, session), request_id)
        .maybe("realm", refusal.realm.as_ref().map(|realm| realm.name()))
        .text("route", &snapshot.meters.at(refusal.place).route)
        .text("method", session.req_header().method.as_str().get(..32).unwrap_or(session.req_header().method.as_str()))
        .maybe("user", speaker.map(|claims| claims.subject.as_str()))
        .maybe("username", speaker.and_then(|claims| claims.username.as_deref()))
        .maybe("key", refusal.key.as_ref().map(|key| key.id()));
    state.journal.audit(line);
}

fn of_request(line: Json, client: Option<IpAddr>, request_id: &str) -> Json {
    line.text("client", &client.map(|client| client.to_string()).unwrap_or_default()).text("request_id", request_id)
}

/// Whether it is about credentials and permissions, and not about a request that nobody could answer.
fn is_of_interest(deny: Deny) -> bool {
    let row = deny.row();
    matches!(row.status.as_u16(), 401 | 403 | 429)
        || row.reason.starts_with("key_")
        || row.reason == Deny::CredentialConflict.row().reason
}
