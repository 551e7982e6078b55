//! The tenant dialect: a login in front of Amazon Cognito (OLOID), answered by our own users, or by those of a real pool.
//!
//! What its documentation leaves out works as Cognito's API does: challenges, refresh, and the names of errors.

mod challenge;
mod error;
mod pool;
mod refresh;
mod refresh_token;
mod tokens;

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::body::{self, ok};
use super::credentials::{ATTEMPTS, Attempt, Place, user_of};
use super::password::Password;
use super::{Answer, Desk, Operation, Refusal, Request, Trail};
use crate::config::{Endpoint, Realm, Tenant};
use crate::gate::Deny;
use crate::store::{EpochId, Name, StoreError, User};
pub use error::error;
use tokens::Issue;

/// Answers a request to a login of this dialect.
///
/// # Errors
/// What the client is told instead. The store is then as it was, unless a refresh token came back that was used before.
pub async fn answer(request: Request<'_>, tenant: &Tenant, endpoint: Endpoint, desk: &Desk) -> Result<Answer, Refusal> {
    request.trail.operation(match endpoint {
        Endpoint::Challenge => Operation::Challenge,
        Endpoint::Refresh => Operation::Refresh,
        Endpoint::Logout => Operation::Logout,
        _ => Operation::Login,
    });
    if let Some(user_pool) = tenant.user_pool() {
        return pool::answer(&request, (tenant, user_pool), endpoint, desk).await;
    }
    match endpoint {
        Endpoint::Login => log_in(&request, tenant, desk).await,
        Endpoint::Challenge => challenge::respond(&request, tenant, desk).await,
        Endpoint::Refresh => refresh::refresh(&request, tenant, desk).await,
        Endpoint::Logout => refresh::log_out(&request, desk).await,
        // Another dialect's.
        Endpoint::Callback | Endpoint::Redeem => Err(Deny::EndpointUnknown.into()),
    }
}

async fn log_in(request: &Request<'_>, tenant: &Tenant, desk: &Desk) -> Result<Answer, Refusal> {
    let LoginBody { user_name, tenant_name, password } = LoginBody::of(request)?;
    let password = Password::new(password);
    // A tenant that there is not, and one whose rules the request does not keep, are told apart by nobody.
    let realm = tenant.realm(&tenant_name).filter(|realm| request.realms.iter().any(|other| Arc::ptr_eq(other, realm)));
    request.trail.username(&user_name);
    realm.into_iter().for_each(|realm| request.trail.realm(realm.name()));
    let names: Vec<_> = [Name::username(&user_name), Name::email(&user_name)].into_iter().flatten().collect();
    let place = realm.map_or(Place::Stranger(&tenant_name), |realm| Place::Realm(realm.name()));
    let attempt = Attempt { request, place, names: &names, password: &password };
    for _ in 0..ATTEMPTS {
        let Some(user) = user_of(&attempt, desk).await? else { continue };
        // Of no realm there is no user.
        let realm = realm.ok_or(Deny::Credentials)?;
        if let Some(name) = challenge::question(&user, false) {
            let epoch = desk.epoch(realm).await?;
            return Ok(challenge::ask(request, (realm, &epoch), &user, name, false)?);
        }
        if let Some(answer) = open(request, (tenant, realm), &user, (false, None), desk).await? {
            return Ok(answer);
        }
    }
    // Somebody changes this user faster than its password can be checked.
    Err(Deny::Busy.into())
}

/// Who wants to log in.
struct LoginBody {
    user_name: String,
    tenant_name: String,
    password: String,
}

impl LoginBody {
    fn of(request: &Request<'_>) -> Result<Self, Deny> {
        let mut body = body::object(request)?;
        let mut take = |name: &str| match body.shift_remove(name) {
            Some(Value::String(text)) if !text.is_empty() => Ok(text),
            _ => Err(Deny::Parameter(LOGIN_MEMBERS)),
        };
        Ok(Self { user_name: take("UserName")?, tenant_name: take("TenantName")?, password: take("Password")? })
    }
}

/// Opens a session for a user who proved everything that is asked, in this epoch if any. `None` if the user was changed
/// meanwhile, or another epoch began.
async fn open(
    request: &Request<'_>,
    (tenant, realm): (&Tenant, &Realm),
    user: &User,
    (mfa, epoch): (bool, Option<EpochId>),
    desk: &Desk,
) -> Result<Option<Answer>, Refusal> {
    let (session, token) = refresh::begin(realm, user, mfa, tenant, (epoch, request.now()))?;
    match desk.store.create_session(&session, user.version).await {
        Ok(()) => {}
        Err(StoreError::Stale) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    request.trail.user(&user.id, Some(session.token));
    tracing::info!(realm = realm.name(), user = user.id, client = %request.client, session = %session.token, mfa, "logged in");
    let now = request.now();
    let issue = Issue { realm, tenant, user, session: session.token, authenticated_at: now, mfa, now };
    Ok(Some(issue.answer(&token)?))
}

/// The question that has to be answered first: a success in Cognito's eyes, without a token.
fn challenge_answer(trail: &Trail, name: &str, parameters: &Map<String, Value>, session: &str) -> Answer {
    trail.challenge(name);
    ok(&json!({"cognitoToken": {"ChallengeName": name, "ChallengeParameters": parameters, "Session": session}}))
}

/// A member that must be a string, and say something.
fn text<'a>(body: &'a Map<String, Value>, name: &str, wanted: &'static str) -> Result<&'a str, Deny> {
    body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).ok_or(Deny::Parameter(wanted))
}

const LOGIN_MEMBERS: &str = "The body needs UserName, TenantName and Password, as non-empty strings.";
