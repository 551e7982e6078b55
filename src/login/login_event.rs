//! What a request to a login turned out to be about, for those who count and write it down.

use std::sync::{Mutex, PoisonError};

use crate::gate::DenyReason;
use crate::token::TokenId;

/// Filled in while the request is answered.
#[derive(Debug, Default)]
pub struct LoginEventRecorder(Mutex<LoginEvent>);

/// What is known of a request to a login. Nothing in it is a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoginEvent {
    /// What was asked for.
    pub operation: LoginOperation,
    /// The realm, where a client may choose one of several, and chose one that there is.
    pub realm: Option<String>,
    /// The name of somebody, as it was sent, but for its length.
    pub username: Option<String>,
    /// Whom it was about: nobody, or several that were logged out.
    pub subjects: Vec<EventSubject>,
    /// The client of a token that was exchanged.
    pub actor: Option<String>,
    /// The question that was asked instead of letting somebody in.
    pub challenge: Option<String>,
    /// A user has another password now.
    pub password_changed: bool,
    /// Whom too many wrong guesses in a row have locked out now, by id.
    pub locked: Vec<String>,
    /// How many sessions ended with it.
    pub ended: usize,
    /// Why it failed, though its answer is none of a refusal.
    pub refused: Option<DenyReason>,
}

/// A user, and a session of theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSubject {
    /// The user's id. Of the end of a session it may not be known.
    pub user: Option<String>,
    /// The session: its id, which is that of its token where it has one only.
    pub session: Option<TokenId>,
}

/// What is asked of a login.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoginOperation {
    /// To show a record.
    #[default]
    Read,
    /// To let somebody in.
    Login,
    /// The same, with the answer to a question.
    Challenge,
    /// To go on with a session.
    Refresh,
    /// To end one.
    Logout,
    /// To become a user.
    Registration,
    /// To change a record.
    Update,
    /// To remove a user.
    Deletion,
    /// To change another issuer's token for one that lets somebody in.
    Exchange,
    /// To let in a browser that brings that.
    Callback,
    /// The same, for an app.
    Redeem,
}

impl LoginOperation {
    /// As metrics and audit lines name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Login => "login",
            Self::Challenge => "challenge",
            Self::Refresh => "refresh",
            Self::Logout => "logout",
            Self::Registration => "registration",
            Self::Update => "update",
            Self::Deletion => "deletion",
            Self::Exchange => "exchange",
            Self::Callback => "callback",
            Self::Redeem => "redeem",
        }
    }
}

impl LoginOperation {
    /// Whether it is more than a look.
    #[must_use]
    pub const fn changes(self) -> bool {
        !matches!(self, Self::Read)
    }
}

impl LoginEventRecorder {
    /// What was noted.
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

    /// Somebody's name, as it was sent: cut, since it may be as long as a body.
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

    /// The one whom it is about.
    pub(super) fn user(&self, user: &str, session: Option<TokenId>) {
        self.note(|noted| noted.subjects = vec![EventSubject { user: Some(user.to_owned()), session }]);
    }

    /// One whose session ended.
    pub(super) fn left(&self, user: Option<&str>, session: TokenId) {
        self.note(|noted| noted.subjects.push(EventSubject { user: user.map(str::to_owned), session: Some(session) }));
    }

    fn note(&self, change: impl FnOnce(&mut LoginEvent)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// An address has up to 254.
const MAX_NAME_CHARS: usize = 256;
