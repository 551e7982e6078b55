//! The tenant dialect: a login in front of Amazon Cognito (OLOID), for local users or for those of a user pool.
//!
//! Details that its documentation omits follow Cognito's API: challenges, refresh, and the names of errors.

mod challenge;
mod cognito;
mod error;
mod refresh;
mod refresh_token;
mod tokens;

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use super::body::{self, ok};
use super::credentials::{ATTEMPTS, PasswordAttempt, Place, authenticate};
use super::password::Password;
use super::{ErrorResponse, LoginDialect, LoginError, LoginEventRecorder, LoginRequest, LoginResponse, LoginServices};
use crate::config::{LoginOperation, Realm, TenantLogin};
use crate::gate::DenyReason;
use crate::store::{EpochId, LoginName, StoreError, User};
use tokens::TokenIssue;

#[async_trait]
impl LoginDialect for TenantLogin {
    async fn handle(&self, request: LoginRequest<'_>, services: &LoginServices) -> Result<LoginResponse, LoginError> {
        let operation = request.admitted.endpoint().operation;
        request.event.operation(operation);
        if let Some(user_pool) = self.user_pool.as_deref() {
            return cognito::handle(&request, (self, user_pool), operation, services).await;
        }
        match operation {
            LoginOperation::Login => log_in(&request, self, services).await,
            LoginOperation::Challenge => challenge::respond(&request, self, services).await,
            LoginOperation::Refresh => refresh::refresh(&request, self, services).await,
            LoginOperation::Logout => refresh::log_out(&request, services).await,
            _ => Err(DenyReason::EndpointUnknown.into()),
        }
    }

    fn refuse(&self, deny: DenyReason) -> Option<ErrorResponse> {
        Some(error::response(deny))
    }
}

async fn log_in(
    request: &LoginRequest<'_>,
    tenant: &TenantLogin,
    services: &LoginServices,
) -> Result<LoginResponse, LoginError> {
    let LoginBody { user_name, tenant_name, password } = LoginBody::from_request(request)?;
    let password = Password::new(password);
    // The response is the same for an unknown tenant and for a tenant with rules that the request does not meet.
    let realm = tenant
        .realm(&tenant_name)
        .filter(|realm| request.admitted.realms.iter().any(|other| Arc::ptr_eq(other, realm)));
    request.event.username(&user_name);
    realm.into_iter().for_each(|realm| request.event.realm(&realm.name));
    let names: Vec<_> = [LoginName::username(&user_name), LoginName::email(&user_name)].into_iter().flatten().collect();
    let place = realm.map_or(Place::Stranger(&tenant_name), |realm| Place::Realm(&realm.name));
    let attempt = PasswordAttempt { request, place, names: &names, password: &password };
    for _ in 0..ATTEMPTS {
        let Some(user) = authenticate(&attempt, services).await? else { continue };
        // Without a realm there is no user.
        let realm = realm.ok_or(DenyReason::Credentials)?;
        if let Some(name) = challenge::question(&user, false) {
            let epoch = services.epoch(realm).await?;
            return Ok(challenge::next_challenge(request, (realm, &epoch), &user, name, false)?);
        }
        if let Some(answer) = open(request, (tenant, realm), &user, (false, None), services).await? {
            return Ok(answer);
        }
    }
    // The user changes faster than its password can be checked.
    Err(DenyReason::Busy.into())
}

/// The credentials of a login.
struct LoginBody {
    user_name: String,
    tenant_name: String,
    password: String,
}

impl LoginBody {
    fn from_request(request: &LoginRequest<'_>) -> Result<Self, DenyReason> {
        let mut body = body::object(request)?;
        let mut take = |name: &str| match body.shift_remove(name) {
            Some(Value::String(text)) if !text.is_empty() => Ok(text),
            _ => Err(DenyReason::Parameter(LOGIN_MEMBERS)),
        };
        Ok(Self { user_name: take("UserName")?, tenant_name: take("TenantName")?, password: take("Password")? })
    }
}

/// Opens a session for a fully authenticated user, in this epoch if given. `None` if the user was changed meanwhile, or
/// another epoch began.
async fn open(
    request: &LoginRequest<'_>,
    (tenant, realm): (&TenantLogin, &Realm),
    user: &User,
    (mfa, epoch): (bool, Option<EpochId>),
    services: &LoginServices,
) -> Result<Option<LoginResponse>, LoginError> {
    let (session, token) = refresh::new_refresh_state(realm, user, mfa, tenant, (epoch, request.now()))?;
    match services.store.create_session(&session, user.version).await {
        Ok(()) => {}
        Err(StoreError::VersionConflict) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    request.event.user(&user.id, Some(session.token));
    tracing::info!(realm = realm.name, user = user.id, client = %request.client(), session = %session.token, mfa, "logged in");
    let now = request.now();
    let issue = TokenIssue { realm, tenant, user, session: session.token, authenticated_at: now, mfa, now };
    Ok(Some(issue.answer(&token)?))
}

/// The question that has to be answered first: a success in Cognito's eyes, without a token.
fn challenge_answer(
    event: &LoginEventRecorder,
    name: &str,
    parameters: &Map<String, Value>,
    session: &str,
) -> LoginResponse {
    event.challenge(name);
    ok(&json!({"cognitoToken": {"ChallengeName": name, "ChallengeParameters": parameters, "Session": session}}))
}

/// A required non-empty string member.
fn text<'a>(body: &'a Map<String, Value>, name: &str, wanted: &'static str) -> Result<&'a str, DenyReason> {
    body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).ok_or(DenyReason::Parameter(wanted))
}

const LOGIN_MEMBERS: &str = "The body needs UserName, TenantName and Password, as non-empty strings.";
