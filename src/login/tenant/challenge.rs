//! Challenges after the password: a new password or a code.

use serde_json::{Map, Value};

use super::super::body;
use super::super::credentials::add_names;
use super::super::guesses::{self, Standing};
use super::super::password::{Password, Share};
use super::super::throttle::{RetryAfter, ThrottleKey};
use super::super::totp::{self, CodeError};
use super::super::{LoginError, LoginRequest, LoginResponse, LoginServices, unsigned};
use super::{challenge_answer, open, text};
use crate::config::{Realm, TenantLogin};
use crate::gate::DenyReason;
use crate::store::{Epoch, Guess, LoginName, SessionsToEnd, StoreError, User};
use crate::token::ChallengeToken;

/// Returns the next challenge of this user, if any. `mfa`: the second factor was proven.
pub(super) const fn question(user: &User, mfa: bool) -> Option<&'static str> {
    if user.temporary {
        Some(NEW_PASSWORD)
    } else if user.second_factor.is_some() && !mfa {
        Some(CODE)
    } else {
        None
    }
}

pub(super) fn next_challenge(
    request: &LoginRequest<'_>,
    (realm, epoch): (&Realm, &Epoch),
    user: &User,
    name: &str,
    mfa: bool,
) -> Result<LoginResponse, DenyReason> {
    let challenge = ChallengeToken { subject: user.id.clone(), version: user.version, name: name.into(), mfa };
    let session = realm.tokens.mint_challenge(&challenge, &epoch.seal, request.now()).map_err(unsigned)?;
    Ok(challenge_answer(request.event, name, &parameters(name, user), &session))
}

/// Handles the response to a challenge.
pub(super) async fn respond(
    request: &LoginRequest<'_>,
    tenant: &TenantLogin,
    services: &LoginServices,
) -> Result<LoginResponse, LoginError> {
    let mut body = body::object(request)?;
    let Some(Value::Object(mut responses)) = body.shift_remove("ChallengeResponses") else {
        return Err(DenyReason::Parameter(MEMBERS).into());
    };
    let (name, session) = (text(&body, "ChallengeName", MEMBERS)?, text(&body, "Session", MEMBERS)?);
    let answer = match name {
        CODE => text(&responses, "SOFTWARE_TOKEN_MFA_CODE", CODE_MEMBERS).map(|code| Given::Code(code.to_owned()))?,
        NEW_PASSWORD => match responses.shift_remove("NEW_PASSWORD") {
            Some(Value::String(password)) if !password.is_empty() => Given::Password(password),
            _ => return Err(DenyReason::Parameter(PASSWORD_MEMBERS).into()),
        },
        _ => return Err(DenyReason::Challenge.into()),
    };
    // The realm that issued the challenge: a session contains no tenant that a client could change.
    let asked = request.admitted.realms.iter().find_map(|realm| {
        let sealed = realm.tokens.verify_challenge(session, request.now()).ok()?;
        Some((realm, sealed))
    });
    let (realm, sealed) = asked.ok_or(DenyReason::Session)?;
    // R62: a signing key alone can't make this half of the token.
    let epoch = services.epoch(realm).await?;
    let challenge =
        sealed.open(&epoch.seal).ok().filter(|challenge| challenge.name == name).ok_or(DenyReason::Session)?;
    request.event.realm(&realm.name);
    request.event.user(&challenge.subject, None);
    let (subject, client, now_ms) = (&challenge.subject, request.client(), request.now_ms);
    let mut subjects = vec![ThrottleKey::User(&realm.name, subject), request.address()];
    let mut at = vec![ThrottleKey::UserAt(&realm.name, subject, client)];
    if name == CODE {
        subjects.push(ThrottleKey::Code(&realm.name, subject));
        at.push(ThrottleKey::CodeAt(&realm.name, subject, client));
    }
    let user = services.store.user(&realm.name, subject).await?;
    let standing = Standing::read(&realm.name, user.as_ref(), client, services).await?;
    services.throttle.forget_until(&at, standing.guesses.reset_at);
    services.throttle.forget_until(&[ThrottleKey::Code(&realm.name, subject)], standing.guesses.reset_at);
    // At the user's own networks, guesses from elsewhere cause no wait.
    standing.check(&subjects, &at, services, now_ms)?;
    // A session is valid for one version of the user: every change ends it, including its own answer.
    let is_asked = |user: &User| user.version == challenge.version && question(user, challenge.mfa) == Some(name);
    let user = user.filter(|user| is_asked(user) && !user.disabled).ok_or(DenyReason::Session)?;
    if !is_named(&user, responses.get("USERNAME")) {
        return Err(DenyReason::Session.into());
    }
    let mut names = Vec::new();
    add_names(&user, &mut names);
    let names = names.iter().map(|name| ThrottleKey::Name(&realm.name, name));
    let subjects: Vec<_> = subjects.into_iter().chain(names).collect();
    let attempt = ChallengeAttempt { request, realm, services, subjects: &subjects, at: &at, standing };
    attempt.admit()?;
    let (user, mfa) = match answer {
        Given::Code(code) => (attempt.prove_code(&user, &code).await?, true),
        Given::Password(password) => (attempt.change_password(&user, password).await?, challenge.mfa),
    };
    if let Some(name) = question(&user, mfa) {
        return Ok(next_challenge(request, (realm, &epoch), &user, name, mfa)?);
    }
    standing.record_success(&subjects, &at, services, now_ms)?;
    standing.signed_in(&user.realm, &user.id, services, now_ms).await?;
    // Changed meanwhile: the session is of an older version of the user, or of an epoch that has ended.
    Ok(open(request, (tenant, realm), &user, (mfa, Some(epoch.id)), services).await?.ok_or(DenyReason::Session)?)
}

enum Given {
    Code(String),
    Password(String),
}

struct ChallengeAttempt<'a> {
    request: &'a LoginRequest<'a>,
    realm: &'a Realm,
    services: &'a LoginServices,
    subjects: &'a [ThrottleKey<'a>],
    /// The user at the client's address.
    at: &'a [ThrottleKey<'a>],
    standing: Standing,
}

impl ChallengeAttempt<'_> {
    /// # Errors
    /// The user has to wait.
    fn admit(&self) -> Result<(), RetryAfter> {
        self.standing.check(self.subjects, self.at, self.services, self.request.now_ms)
    }

    /// Counts a wrong code.
    ///
    /// # Errors
    /// The client is throttled: the response reveals nothing, so it was not a guess.
    async fn count(&self, user: &User) -> Result<(), LoginError> {
        let now_ms = self.request.now_ms;
        let told = self.services.throttle.record_failure(self.subjects, now_ms);
        self.standing.record_failure_at(self.at, told, self.services, now_ms)?;
        Ok(guesses::count(self.request, user, Guess::Code, self.services).await?)
    }

    async fn prove_code(&self, user: &User, code: &str) -> Result<User, LoginError> {
        let factor = user.second_factor.as_ref().ok_or(DenyReason::Session)?;
        let used = totp::consume_code(factor, code, self.request.now());
        // Others may have guessed meanwhile, at other processes too.
        let standing = Standing::read(&user.realm, Some(user), self.request.client(), self.services).await?;
        let used = match used {
            _ if standing.is_locked(Guess::Code) => Err(CodeError::Wrong),
            used => used,
        };
        let used = match used {
            Ok(used) => used,
            Err(error) => {
                self.count(user).await?;
                tracing::info!(realm = self.realm.name, user = user.id, client = %self.request.client(), %error, "a code was refused");
                return Err(match error {
                    CodeError::Wrong => DenyReason::Code,
                    CodeError::Used => DenyReason::CodeUsed,
                }
                .into());
            }
        };
        // A guess in progress when the account was throttled gets the response of a later one.
        self.admit()?;
        self.update(User { second_factor: Some(used), ..user.clone() }, SessionsToEnd::Nothing).await
    }

    async fn change_password(&self, user: &User, password: String) -> Result<User, LoginError> {
        let password = Password::new(password);
        password.check(self.realm, user.username.as_deref(), user.email.as_deref())?;
        let share = Share { realm: &self.realm.name, client: self.request.client() };
        if self.services.passwords.verify(share, &password, Some(&user.password)).await? {
            return Err(DenyReason::NewPassword.into());
        }
        let password = self.services.passwords.hash(share, &password).await?;
        let updated_at = self.request.now_ms;
        let changed =
            self.update(User { password, temporary: false, updated_at, ..user.clone() }, SessionsToEnd::All).await?;
        self.request.event.password_changed();
        // Resets the counted guesses.
        self.services.store.reset_guesses(&changed.realm, &changed.id, updated_at).await?;
        Ok(changed)
    }

    async fn update(&self, user: User, ended: SessionsToEnd) -> Result<User, LoginError> {
        match self.services.store.update_user(&user, ended, None).await {
            Ok((user, revoked)) => {
                self.services.refuse(&revoked);
                self.request.event.ended(revoked.len());
                Ok(user)
            }
            // Another request was faster, for example with the same code.
            Err(StoreError::VersionConflict) => Err(DenyReason::Session.into()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Cognito requires `USERNAME`. Tollgate does not, but a given one must be the user's.
fn is_named(user: &User, name: Option<&Value>) -> bool {
    let Some(name) = name else { return true };
    let Some(name) = name.as_str() else { return false };
    let is = |own: &Option<String>, parse: fn(&str) -> Option<LoginName>| {
        own.as_deref().and_then(parse).is_some_and(|own| Some(own) == parse(name))
    };
    name == user.id || is(&user.username, LoginName::username) || is(&user.email, LoginName::email)
}

/// As in Cognito: strings, some of which are JSON.
fn parameters(challenge: &str, user: &User) -> Map<String, Value> {
    let mut parameters = Map::new();
    let name = user.username.as_deref().unwrap_or(&user.id);
    parameters.insert("USER_ID_FOR_SRP".into(), name.into());
    if challenge == NEW_PASSWORD {
        let mut attributes = Map::new();
        if let Some(email) = user.verified_email() {
            attributes.insert("email".into(), email.into());
        }
        parameters.insert("userAttributes".into(), Value::Object(attributes).to_string().into());
        parameters.insert("requiredAttributes".into(), "[]".into());
    }
    parameters
}

const NEW_PASSWORD: &str = "NEW_PASSWORD_REQUIRED";
const CODE: &str = "SOFTWARE_TOKEN_MFA";
const MEMBERS: &str =
    "The body needs ChallengeName and Session, as non-empty strings, and ChallengeResponses, as an object.";
pub(super) const CODE_MEMBERS: &str = "ChallengeResponses needs SOFTWARE_TOKEN_MFA_CODE, as a string.";
const PASSWORD_MEMBERS: &str = "ChallengeResponses needs NEW_PASSWORD, as a non-empty string.";
