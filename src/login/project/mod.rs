//! The project dialect (rested.dev, yawe.dev): one URL. The method and the query select the operation.
//!
//! Order of checks: the form of the request (400), the credentials (401), the permission (403), and the record itself.

use async_trait::async_trait;
use http::{HeaderValue, Method, header};
use serde_json::{Map, Value};

use super::body::{self, ok};
use super::credentials::{ATTEMPTS, PasswordAttempt, Place, authenticate, has_challenge};
use super::password::{Password, needs_rehash};
use super::user_record::{RecordBody, UpdateStrategy, named, to_json};
use super::{LoginDialect, LoginError, LoginRequest, LoginResponse, LoginServices, cookie, one, session, unsigned};
use crate::config::{LoginOperation, ProjectLogin, RequiredAttribute};
use crate::gate::DenyReason;
use crate::store::{PasswordHash, SessionsToEnd, StoreError, TokenExpiry, User};
use crate::token::{Claims, TokenId, VerifiedToken};

#[async_trait]
impl LoginDialect for ProjectLogin {
    async fn handle(&self, request: LoginRequest<'_>, services: &LoginServices) -> Result<LoginResponse, LoginError> {
        let flags = Flags::read(&request.admitted.query)?;
        let operation = match request.admitted.endpoint().operation {
            LoginOperation::Login if flags.logout => LoginOperation::Logout,
            LoginOperation::Login if !flags.login => LoginOperation::Registration,
            operation => operation,
        };
        request.event.operation(operation);
        if *request.method != Method::POST && (flags.login || flags.logout) {
            return Err(DenyReason::FlagMethod.into());
        }
        match operation {
            LoginOperation::Read => who_am_i(&request, services, flags).await,
            LoginOperation::Login => login(&request, services, flags).await,
            LoginOperation::Logout => logout(&request, services).await,
            LoginOperation::Registration => register(&request, services, flags).await,
            LoginOperation::Update => update(&request, services, flags).await,
            LoginOperation::Deletion => delete(&request, services, flags).await,
            _ => Err(DenyReason::EndpointUnknown.into()),
        }
    }
}

/// The flags of the query. Each must occur at most once, with the value `true`.
#[derive(Clone, Copy)]
struct Flags {
    login: bool,
    logout: bool,
    data_only: bool,
    no_cookie: bool,
}

impl Flags {
    fn read(query: &[(String, String)]) -> Result<Self, DenyReason> {
        let flag = |name: &str| match one(query, name) {
            Ok(None) => Ok(false),
            Ok(Some("true")) => Ok(true),
            _ => Err(DenyReason::Flag),
        };
        let flags = Self {
            login: flag("login")?,
            logout: flag("logout")?,
            data_only: flag("dataOnly")?,
            no_cookie: flag("noATCookie")?,
        };
        if flags.login && flags.logout { Err(DenyReason::Flag) } else { Ok(flags) }
    }
}

async fn register(
    request: &LoginRequest<'_>,
    services: &LoginServices,
    flags: Flags,
) -> Result<LoginResponse, LoginError> {
    if !request.realm().users.registration_open {
        return Err(DenyReason::RegistrationClosed.into());
    }
    let (body, password) = RecordBody::with_credentials(body::object(request)?)?;
    body.name_text().into_iter().for_each(|name| request.event.username(name));
    let name = body.login_name().ok_or(DenyReason::NameInvalid)?;
    // Before the name is looked up: a password that is refused by itself reveals nothing about users.
    password.check(request.realm(), body.username(), body.email())?;
    // The response reveals that a name is taken, as the API requires. So that a client can't ask for many names, each
    // counts as a failure of the address.
    let address = [request.address()];
    services.throttle.check(&address, request.now_ms)?;
    services.allowances.take(request.client(), request.realm().users.registrations_per_hour, request.now_ms)?;
    let taken = || match services.throttle.record_failure(&address, request.now_ms) {
        Ok(()) => LoginError::from(DenyReason::UserExists),
        Err(wait) => wait.into(),
    };
    if services.store.user_by_name(&request.realm().name, &name).await?.is_some() {
        return Err(taken());
    }
    // A self-given address is unverified.
    let user = named(User {
        password: services.passwords.hash(request.share(), &password).await?,
        data: body.members,
        ..User::new(&request.realm().name, request.now_ms)
    })?;
    match services.store.register(&user).await {
        Ok(()) => {}
        Err(StoreError::NameTaken) => return Err(taken()),
        Err(error) => return Err(error.into()),
    }
    request.event.user(&user.id, None);
    tracing::info!(realm = user.realm, user = user.id, "registered");
    Ok(ok(&to_json(user, flags.data_only)))
}

async fn login(
    request: &LoginRequest<'_>,
    services: &LoginServices,
    flags: Flags,
) -> Result<LoginResponse, LoginError> {
    let (body, password) = RecordBody::with_credentials(body::object(request)?)?;
    body.name_text().into_iter().for_each(|name| request.event.username(name));
    let (name, realm) = (body.login_name(), &request.realm().name);
    let attempt = PasswordAttempt { request, place: Place::Realm(realm), names: name.as_slice(), password: &password };
    for _ in 0..ATTEMPTS {
        let user = authenticate(&attempt, services).await.map_err(|refusal| clear_if_wrong(request, refusal))?;
        let Some(user) = user else { continue };
        if has_challenge(&user) {
            // This API has no second step. Without it, the second factor would have no effect.
            tracing::info!(realm, user = user.id, client = %request.client(), "the user has a challenge, which this login API does not support");
            return Err(DenyReason::ChallengeRequired.into());
        }
        let claims = session::new_claims(&user, request.realm().token_ttl, request.now());
        match services.store.create_session(&session::new_session(realm, &claims), user.version).await {
            Ok(()) => {}
            Err(StoreError::VersionConflict) => continue,
            Err(error) => return Err(error.into()),
        }
        request.event.user(&user.id, Some(claims.token_id));
        tracing::info!(realm, user = user.id, client = %request.client(), token = %claims.token_id, "logged in");
        return logged_in(request, flags, user, &claims).map_err(LoginError::from);
    }
    // The user changes faster than its password can be checked.
    Err(DenyReason::Busy.into())
}

/// The answer to a login: the token in the cookie or in the header, never in both.
fn logged_in(
    request: &LoginRequest<'_>,
    flags: Flags,
    user: User,
    claims: &Claims,
) -> Result<LoginResponse, DenyReason> {
    let token = request.realm().tokens.mint_with(claims, session::extra_claims(&user)).map_err(unsigned)?;
    let mut answer = ok(&to_json(user, flags.data_only));
    if flags.no_cookie {
        let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| DenyReason::Internal)?;
        value.set_sensitive(true);
        answer.headers_mut().insert(header::AUTHORIZATION, value);
    } else {
        let value = cookie::set(request.realm(), &token).ok_or(DenyReason::Internal)?;
        answer.headers_mut().insert(header::SET_COOKIE, value);
    }
    Ok(answer)
}

/// R33: a failed login must not leave an old cookie in place.
fn clear_if_wrong(request: &LoginRequest<'_>, refusal: LoginError) -> LoginError {
    if refusal.deny != DenyReason::Credentials || !cookie::is_carried(request.realm(), request.headers) {
        return refusal;
    }
    LoginError { set_cookie: cookie::clear(request.realm()), ..refusal }
}

/// Succeeds for every request (RFC 7009, 2.2), because it reveals nothing; but if the store can't keep the revocation,
/// the token stays valid, and a success would be false.
async fn logout(request: &LoginRequest<'_>, services: &LoginServices) -> Result<LoginResponse, LoginError> {
    for VerifiedToken { claims, marks, issuer, .. } in &request.admitted.tokens {
        // Tokens of the realm have unique ids. The id of another issuer's token may have been revoked for a token that
        // expires sooner.
        if issuer.is_none() && services.revocations.contains(marks) {
            continue;
        }
        let id = claims.public_id(issuer.is_none());
        let revocation = services.store.revoke(id, TokenExpiry::At(session::max_expiry(claims))).await?;
        services.refuse(&[revocation]);
        request.event.left(Some(&claims.subject), id);
        tracing::info!(realm = request.realm().name, user = claims.subject, token = %claims.token_id, "logged out");
    }
    Ok(cleared(request, ok(&Value::Object(Map::new()))))
}

async fn who_am_i(
    request: &LoginRequest<'_>,
    services: &LoginServices,
    flags: Flags,
) -> Result<LoginResponse, LoginError> {
    if !request.admitted.master {
        return Ok(ok(&to_json(caller(request, services).await?, flags.data_only)));
    }
    if request.admitted.query.iter().any(|(name, _)| name == UNIQUE_ID) {
        let user =
            services.store.user(&request.realm().name, unique_id(request)?).await?.ok_or(DenyReason::RecordUnknown)?;
        return Ok(ok(&to_json(user, flags.data_only)));
    }
    let (mut records, mut after) = (Vec::new(), None);
    loop {
        let page = services.store.users(&request.realm().name, after.as_deref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        records.extend(page.into_iter().map(|user| to_json(user, flags.data_only)));
    }
    Ok(ok(&Value::Array(records)))
}

async fn update(
    request: &LoginRequest<'_>,
    services: &LoginServices,
    flags: Flags,
) -> Result<LoginResponse, LoginError> {
    let strategy = match one(&request.admitted.query, "strategy") {
        Ok(None | Some("force")) => UpdateStrategy::Force,
        Ok(Some("merge")) => UpdateStrategy::Merge,
        Ok(Some("replace")) => UpdateStrategy::Replace,
        _ => return Err(DenyReason::Strategy.into()),
    };
    let id = unique_id(request)?;
    let body = RecordBody::new(body::object(request)?, strategy)?;
    let by = permitted(request, services, id).await?;
    let mut renames = Renames::Uncounted;
    for _ in 0..ATTEMPTS {
        let user = target(request, services, id).await?;
        request.event.user(&user.id, by);
        let mut changed = User { updated_at: request.now_ms, ..body.apply(&user, strategy)? };
        // Self-given data is not verified by the operator. A holder of the master key can write data, but does not
        // verify all of it.
        changed.vouched &= request.admitted.master || is_vouched_for_alike(&user, &changed);
        if (&changed.username, &changed.email) != (&user.username, &user.email) {
            if !request.admitted.master {
                renames = may_rename(request, &user, renames, services).await?;
            }
            // A change with the master key is the operator's. Another spelling by the user is not.
            changed.email_verified = changed.email.is_some()
                && if changed.email == user.email { user.email_verified } else { request.admitted.master };
        }
        let mut ended = SessionsToEnd::Nothing;
        if let Some(password) = &body.password {
            (changed.password, ended) = new_password(request, password, (&user, &changed), by, services).await?;
            // If the password is unchanged, it is still the one that another person chose.
            changed.temporary &= ended == SessionsToEnd::Nothing;
        }
        match services.store.update_user(&changed, ended, by).await {
            Ok((user, revoked)) => {
                services.refuse(&revoked);
                request.event.ended(revoked.len());
                if ended != SessionsToEnd::Nothing {
                    request.event.password_changed();
                    // Resets the counted guesses.
                    services.store.reset_guesses(&user.realm, &user.id, request.now_ms).await?;
                }
                tracing::info!(realm = user.realm, user = user.id, sessions_ended = revoked.len(), "updated");
                return Ok(ok(&to_json(user, flags.data_only)));
            }
            Err(StoreError::VersionConflict) => {}
            Err(StoreError::NameTaken) => {
                // As at registration: a client can't ask for taken names without limit.
                services.throttle.record_failure(&[request.address()], request.now_ms)?;
                return Err(DenyReason::UserExists.into());
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(DenyReason::Busy.into())
}

/// Whether a rename was counted: once, however often the record changes meanwhile.
enum Renames {
    Uncounted,
    Counted,
}

/// Checks a rename: the realm allows it, it counts like a registration, and the user does not reserve too many names
/// (SECURITY.md R60, R61).
async fn may_rename(
    request: &LoginRequest<'_>,
    user: &User,
    renames: Renames,
    services: &LoginServices,
) -> Result<Renames, LoginError> {
    let rules = request.realm().users;
    if !rules.self_rename {
        return Err(DenyReason::RenameForbidden.into());
    }
    if matches!(renames, Renames::Uncounted) {
        services.throttle.check(&[request.address()], request.now_ms)?;
        services.allowances.take(request.client(), rules.registrations_per_hour, request.now_ms)?;
        services.allowances.take_rename(&user.realm, &user.id, request.now_ms)?;
    }
    if services.store.names_held(&user.realm, &user.id).await? >= MAX_NAMES_HELD {
        return Err(DenyReason::NamesHeld.into());
    }
    Ok(Renames::Counted)
}

/// Returns whether the data that an exchange login uses is unchanged.
fn is_vouched_for_alike(user: &User, changed: &User) -> bool {
    let same = |name: &str| user.data.get(name) == changed.data.get(name);
    user.email == changed.email && RequiredAttribute::ALL.iter().all(|attribute| same(attribute.name()))
}

/// Returns the hash to store, and the sessions to end. Clients send the password with every change: an unchanged one
/// ends no session.
async fn new_password(
    request: &LoginRequest<'_>,
    password: &Password,
    (User { password: stored, .. }, changed): (&User, &User),
    by: Option<TokenId>,
    services: &LoginServices,
) -> Result<(PasswordHash, SessionsToEnd), LoginError> {
    let share = request.share();
    let same = services.passwords.verify(share, password, Some(stored)).await?;
    if !same {
        password.check(request.realm(), changed.username.as_deref(), changed.email.as_deref())?;
    }
    let hash =
        if same && !needs_rehash(stored) { stored.clone() } else { services.passwords.hash(share, password).await? };
    let ended = match by {
        _ if same => SessionsToEnd::Nothing,
        Some(own) => SessionsToEnd::AllBut(own),
        None => SessionsToEnd::All,
    };
    Ok((hash, ended))
}

async fn delete(
    request: &LoginRequest<'_>,
    services: &LoginServices,
    flags: Flags,
) -> Result<LoginResponse, LoginError> {
    let id = unique_id(request)?;
    let by = permitted(request, services, id).await?;
    let deleted = services.store.delete_user(&request.realm().name, id, by).await?;
    let (user, revoked) =
        deleted.ok_or(if request.admitted.master { DenyReason::RecordUnknown } else { DenyReason::UserGone })?;
    services.refuse(&revoked);
    request.event.user(&user.id, by);
    request.event.ended(revoked.len());
    tracing::info!(realm = user.realm, user = user.id, sessions_ended = revoked.len(), "deleted");
    let answer = ok(&to_json(user, flags.data_only));
    Ok(if request.admitted.master { answer } else { cleared(request, answer) })
}

/// Checks that the caller is allowed to change the record `id`. Returns the session of the change: none with the master
/// key.
async fn permitted(
    request: &LoginRequest<'_>,
    services: &LoginServices,
    id: &str,
) -> Result<Option<TokenId>, LoginError> {
    if request.admitted.master {
        return Ok(None);
    }
    // A deleted user is 401, before the owner of the record is checked (403).
    let user = caller(request, services).await?;
    let claims = request.admitted.token.as_ref().map_err(|deny| *deny)?;
    if user.id == id { Ok(Some(claims.session_id())) } else { Err(DenyReason::NotOwner.into()) }
}

/// The record that a permitted caller changes.
async fn target(request: &LoginRequest<'_>, services: &LoginServices, id: &str) -> Result<User, LoginError> {
    if !request.admitted.master {
        return caller(request, services).await;
    }
    Ok(services.store.user(&request.realm().name, id).await?.ok_or(DenyReason::RecordUnknown)?)
}

/// Returns the user of the token. It must still exist, whatever the token says (R45).
async fn caller(request: &LoginRequest<'_>, services: &LoginServices) -> Result<User, LoginError> {
    let claims = request.admitted.token.as_ref().map_err(|deny| *deny)?;
    let user = services.store.user(&request.realm().name, &claims.subject).await?;
    Ok(user.filter(|user| !user.disabled).ok_or(DenyReason::UserGone)?)
}

fn unique_id<'a>(request: &'a LoginRequest<'_>) -> Result<&'a str, DenyReason> {
    match one(&request.admitted.query, UNIQUE_ID) {
        Ok(Some(id)) if !id.is_empty() => Ok(id),
        _ => Err(DenyReason::RecordUnknown),
    }
}

fn cleared(request: &LoginRequest<'_>, mut answer: LoginResponse) -> LoginResponse {
    if let Some(value) = cookie::clear(request.realm()) {
        answer.headers_mut().insert(header::SET_COOKIE, value);
    }
    answer
}

const UNIQUE_ID: &str = "uniqueId";
const PAGE: u32 = 500;
/// Beside those that it has.
const MAX_NAMES_HELD: u64 = 3;

#[cfg(test)]
mod tests;
