//! The event of a login request, for metrics and the audit log.

use std::sync::{Mutex, PoisonError};

use crate::config::LoginOperation;
use crate::gate::DenyReason;
use crate::token::TokenId;

/// Filled in while the request is answered.
#[derive(Debug, Default)]
pub struct LoginEventRecorder(Mutex<LoginEvent>);

/// The facts about a login request. None is a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoginEvent {
    pub operation: LoginOperation,
    /// The realm, if the client selects one of several and it exists.
    pub realm: Option<String>,
    /// The username as sent, truncated.
    pub username: Option<String>,
    /// The users: none, or several after a logout.
    pub subjects: Vec<EventSubject>,
    /// The client of a token that was exchanged.
    pub actor: Option<String>,
    /// The challenge of the response.
    pub challenge: Option<String>,
    /// A user has another password now.
    pub password_changed: bool,
    /// Ids of the users that this request locked.
    pub locked: Vec<String>,
    /// Number of sessions that the request ended.
    pub ended: usize,
    /// The reason of a failure without a refusal.
    pub refused: Option<DenyReason>,
}

/// A user, and a session of theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSubject {
    /// The user's id. At the end of a session it can be unknown.
    pub user: Option<String>,
    /// The session: its id, which is that of its token where it has one only.
    pub session: Option<TokenId>,
}

impl LoginEventRecorder {
    #[must_use]
    pub fn into_noted(self) -> LoginEvent {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn operation(&self, operation: LoginOperation) {
        self.note(|noted| noted.operation = operation);
    }

    pub(super) fn realm(&self, realm: &str) {
        self.note(|noted| noted.realm = Some(realm.to_owned()));
    }

    /// Records the username as sent, truncated because it can be as long as a body.
    pub(super) fn username(&self, name: &str) {
        self.note(|noted| noted.username = Some(name.chars().take(MAX_NAME_CHARS).collect()));
    }

    pub(super) fn actor(&self, client: &str) {
        self.note(|noted| noted.actor = Some(client.chars().take(MAX_NAME_CHARS).collect()));
    }

    pub(super) fn challenge(&self, name: &str) {
        self.note(|noted| noted.challenge = Some(name.chars().take(MAX_NAME_CHARS).collect()));
    }

    pub(super) fn password_changed(&self) {
        self.note(|noted| noted.password_changed = true);
    }

    /// Too many wrong guesses lock this user out.
    pub(super) fn locked(&self, user: &str) {
        self.note(|noted| noted.locked.push(user.to_owned()));
    }

    pub(super) fn refused(&self, deny: DenyReason) {
        self.note(|noted| noted.refused = Some(deny));
    }

    pub(super) fn ended(&self, sessions: usize) {
        self.note(|noted| noted.ended += sessions);
    }

    /// Records the user.
    pub(super) fn user(&self, user: &str, session: Option<TokenId>) {
        self.note(|noted| noted.subjects = vec![EventSubject { user: Some(user.to_owned()), session }]);
    }

    pub(super) fn left(&self, user: Option<&str>, session: TokenId) {
        self.note(|noted| noted.subjects.push(EventSubject { user: user.map(str::to_owned), session: Some(session) }));
    }

    fn note(&self, change: impl FnOnce(&mut LoginEvent)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// An address has up to 254.
const MAX_NAME_CHARS: usize = 256;
