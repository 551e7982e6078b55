//! The tenant login with an Amazon Cognito user pool: its users, challenges and tokens.
//!
//! The throttle comes before every call to the pool. Nothing of the pool's responses reaches a client unchanged: its
//! exceptions are mapped to Tollgate's, and its tokens are handed out only if `gate` would accept them.

mod account;
mod call;
mod fold;
mod secret;

use std::time::Duration;

use http::header::AUTHORIZATION;
use serde_json::{Map, Value, json};

use super::super::body::{self, ok};
use super::super::credentials::Place;
use super::super::{LoginError, LoginRequest, LoginResponse, LoginServices, session};
use super::challenge::CODE_MEMBERS;
use super::refresh::{REFRESH_MEMBERS, end_session, end_token_session};
use super::tokens::TokenResponse;
use super::{LoginBody, challenge_answer, text};
use crate::clock::now;
use crate::config::{LoginOperation, MAX_ACCESS_TTL, Realm, TenantLogin, UserPool};
use crate::gate::DenyReason;
use crate::json;
use crate::store::{Guess, LoginName, TokenExpiry};
use crate::token::MAX_LEEWAY;
use crate::token::{Claims, KeySource, RevocationKeys, TokenError, TokenId, VerifiedToken, decode_unverified};
use account::Account;
use call::{CallError, CognitoAction, call};
use fold::{CognitoStep, is_no_token, map_exception};
use secret::UserBoundRefreshToken;

/// Answers a request to a login with the users of `pool`.
pub(super) async fn handle(
    request: &LoginRequest<'_>,
    (tenant, pool): (&TenantLogin, &UserPool),
    operation: LoginOperation,
    services: &LoginServices,
) -> Result<LoginResponse, LoginError> {
    let visit = CognitoRequest { request, tenant, pool, realm: request.realm(), services };
    match operation {
        LoginOperation::Login => visit.log_in().await,
        LoginOperation::Challenge => visit.respond().await,
        LoginOperation::Refresh => visit.refresh().await,
        LoginOperation::Logout => visit.log_out().await,
        _ => Err(DenyReason::EndpointUnknown.into()),
    }
}

struct CognitoRequest<'a> {
    request: &'a LoginRequest<'a>,
    tenant: &'a TenantLogin,
    pool: &'a UserPool,
    /// The realm of these users.
    realm: &'a Realm,
    services: &'a LoginServices,
}

enum CognitoResponse {
    Tokens(Tokens),
    Challenge { name: String, parameters: Map<String, Value>, session: String },
}

struct Tokens {
    access: String,
    id: String,
    /// Absent on refresh, unless refresh tokens rotate.
    refresh: Option<String>,
    /// Seconds.
    expires_in: Option<u64>,
}

impl CognitoRequest<'_> {
    async fn log_in(&self) -> Result<LoginResponse, LoginError> {
        let LoginBody { user_name, tenant_name, password } = LoginBody::from_request(self.request)?;
        self.request.event.username(&user_name);
        // The response is the same for an unknown tenant and for a tenant with rules that the request does not meet.
        let of_us = self.tenant.realm(&tenant_name).is_some()
            && self.request.admitted.realms.iter().any(|realm| realm.index == self.realm.index);
        let place = if of_us { Place::Realm(&self.realm.name) } else { Place::Stranger(&tenant_name) };
        // Of the two forms, the one that includes the other.
        let name = LoginName::username(&user_name).or_else(|| LoginName::email(&user_name));
        let account = Account::read(place, name.as_ref(), self.request, self.services).await?;
        // For an unknown tenant, and for a name that can't be throttled, has to wait or is locked, the pool is asked
        // for a user that does not exist: the time and the response are the same.
        let is_asked = account.may_be_asked() && !account.is_locked(Guess::Password).await;
        let (user_name, password) = if is_asked { (user_name, password) } else { (stranger(), stranger()) };
        let mut parameters = Map::new();
        parameters.insert("USERNAME".into(), user_name.as_str().into());
        parameters.insert("PASSWORD".into(), password.into());
        self.add_hash(&mut parameters, Some(&user_name));
        let said = self.initiate("USER_PASSWORD_AUTH", parameters).await;
        match self.said(CognitoStep::Login, said) {
            Ok(said) if is_asked && !account.is_locked(Guess::Password).await => self.settle(said, &account).await,
            Ok(_) | Err(DenyReason::Credentials) => {
                Err(account.fail(Some(Guess::Password), DenyReason::Credentials).await)
            }
            Err(deny) => Err(deny.into()),
        }
    }

    async fn respond(&self) -> Result<LoginResponse, LoginError> {
        let mut body = body::object(self.request)?;
        let given = match body.shift_remove("ChallengeResponses") {
            Some(Value::Object(given)) if given.values().all(Value::is_string) => given,
            _ => return Err(DenyReason::Parameter(MEMBERS).into()),
        };
        let (name, session) = (text(&body, "ChallengeName", MEMBERS)?, text(&body, "Session", MEMBERS)?);
        let user_name = text(&given, "USERNAME", MEMBERS)?;
        self.request.event.username(user_name);
        let (wanted, missing) = match name {
            "NEW_PASSWORD_REQUIRED" => ("NEW_PASSWORD", "ChallengeResponses needs NEW_PASSWORD, as a string."),
            "SOFTWARE_TOKEN_MFA" => ("SOFTWARE_TOKEN_MFA_CODE", CODE_MEMBERS),
            "SMS_MFA" => ("SMS_MFA_CODE", "ChallengeResponses needs SMS_MFA_CODE, as a string."),
            "EMAIL_OTP" => ("EMAIL_OTP_CODE", "ChallengeResponses needs EMAIL_OTP_CODE, as a string."),
            _ => return Err(DenyReason::Challenge.into()),
        };
        text(&given, wanted, missing)?;
        // A name that can't be throttled belongs to no user.
        let throttled =
            LoginName::username(user_name).or_else(|| LoginName::email(user_name)).ok_or(DenyReason::Session)?;
        let place = Place::Realm(&self.realm.name);
        let account = Account::read(place, Some(&throttled), self.request, self.services).await?;
        account.admit()?;
        let goes_on = |member: &str| {
            member == wanted
                || member == "USERNAME"
                || wanted == "NEW_PASSWORD" && member.starts_with("userAttributes.")
        };
        let mut responses: Map<_, _> =
            given.iter().filter(|(name, _)| goes_on(name)).map(|(name, value)| (name.clone(), value.clone())).collect();
        self.add_hash(&mut responses, Some(user_name));
        let request = json!({
            "ClientId": self.pool.client_id,
            "ChallengeName": name,
            "Session": session,
            "ChallengeResponses": responses,
        });
        let said = call(self.pool, CognitoAction::RespondToAuthChallenge, &request).await;
        match self.said(CognitoStep::Challenge, said) {
            // For a locked account a correct code is a wrong one.
            Ok(_) if wanted != "NEW_PASSWORD" && account.is_locked(Guess::Code).await => {
                Err(account.fail(Some(Guess::Code), DenyReason::Code).await)
            }
            Ok(said) => self.settle(said, &account).await,
            Err(DenyReason::Code) => Err(account.fail(Some(Guess::Code), DenyReason::Code).await),
            // Without a session of the pool it is not a guess at a code, and locks no account.
            Err(deny @ (DenyReason::CodeUsed | DenyReason::Session)) => Err(account.fail(None, deny).await),
            Err(deny) => Err(deny.into()),
        }
    }

    async fn refresh(&self) -> Result<LoginResponse, LoginError> {
        let body = body::object(self.request)?;
        let token = text(&body, "RefreshToken", REFRESH_MEMBERS)?;
        let token =
            UserBoundRefreshToken::parse(token, self.pool.client_secret().is_some()).ok_or(DenyReason::RefreshToken)?;
        // Refresh tokens can't be guessed, but an invented one costs a call, and the pool limits calls per second.
        let address = [self.request.address()];
        self.services.throttle.check(&address, self.request.now_ms)?;
        let mut parameters = Map::new();
        parameters.insert("REFRESH_TOKEN".into(), token.token.into());
        self.add_hash(&mut parameters, token.username.as_deref());
        let said = self.initiate("REFRESH_TOKEN_AUTH", parameters).await;
        let said = self.said(CognitoStep::Refresh, said);
        if let Err(DenyReason::RefreshToken | DenyReason::Parameter(_)) = &said {
            self.services.throttle.record_failure(&address, self.request.now_ms)?;
        }
        let CognitoResponse::Tokens(tokens) = said? else {
            tracing::warn!(realm = self.realm.name, "the user pool answered a refresh with a challenge");
            return Err(DenyReason::PoolFailed.into());
        };
        // Its refresh token is still valid at the pool, if the pool was unavailable at the logout.
        let claims = self.verified(&tokens, DenyReason::RefreshToken).await?;
        let refresh = tokens.refresh.as_deref().unwrap_or(token.token);
        self.request.event.user(&claims.subject, Some(claims.session_id()));
        Ok(self.hand_on(&tokens, &claims, refresh))
    }

    /// Ends the session here, for as long as its refresh token could make new tokens, and its refresh token at the pool.
    async fn log_out(&self) -> Result<LoginResponse, LoginError> {
        for accepted in &self.request.admitted.tokens {
            if self.is_of_pool(accepted) {
                let ends = self.family_ends(&accepted.claims);
                if ends >= self.request.now() {
                    let subject_and_session = (Some(&*accepted.claims.subject), accepted.claims.session_id());
                    end_session(subject_and_session, TokenExpiry::At(ends), self.request, self.services).await?;
                }
            } else {
                end_token_session(accepted, self.request, self.services).await?;
            }
        }
        // The token can't be identified: its session may go on.
        let issuer = self.realm.tokens.trusted_issuer(&self.pool.issuer);
        let no_keys = issuer.is_none_or(|issuer| issuer.keys.current_at(now()).is_none());
        if no_keys && self.request.admitted.tokens.is_empty() && self.request.headers.contains_key(AUTHORIZATION) {
            return Err(DenyReason::Token(TokenError::NoKeys).into());
        }
        let body = json::object(&self.request.body).unwrap_or_default();
        let token = body.get("RefreshToken").and_then(Value::as_str);
        let with_name = self.pool.client_secret().is_some();
        if let Some(token) = token.and_then(|token| UserBoundRefreshToken::parse(token, with_name)) {
            let mut request = json!({"ClientId": self.pool.client_id, "Token": token.token});
            if let Some(secret) = self.pool.client_secret() {
                request["ClientSecret"] = secret.into();
            }
            let address = [self.request.address()];
            self.services.throttle.check(&address, self.request.now_ms)?;
            match call(self.pool, CognitoAction::RevokeToken, &request).await {
                Ok(_) => {}
                Err(CallError::Refused { kind, .. }) if is_no_token(&kind) => {
                    self.services.throttle.record_failure(&address, self.request.now_ms)?;
                    tracing::info!(realm = self.realm.name, kind, "the user pool knows no such refresh token");
                }
                Err(failure) => return Err(self.denied(CognitoStep::Revoke, &failure).into()),
            }
        }
        Ok(ok(&Value::Object(Map::new())))
    }

    async fn initiate(&self, flow: &str, parameters: Map<String, Value>) -> Result<Map<String, Value>, CallError> {
        let request = json!({"AuthFlow": flow, "ClientId": self.pool.client_id, "AuthParameters": parameters});
        call(self.pool, CognitoAction::InitiateAuth, &request).await
    }

    fn add_hash(&self, parameters: &mut Map<String, Value>, username: Option<&str>) {
        if let (Some(secret), Some(username)) = (self.pool.client_secret(), username) {
            let hash = secret::hash(secret, username, &self.pool.client_id);
            parameters.insert("SECRET_HASH".into(), hash.into());
        }
    }

    /// Returns the pool's response, or the refusal for the client.
    fn said(
        &self,
        step: CognitoStep,
        answer: Result<Map<String, Value>, CallError>,
    ) -> Result<CognitoResponse, DenyReason> {
        let answer = answer.map_err(|failure| self.denied(step, &failure))?;
        CognitoResponse::from_answer(answer).ok_or_else(|| {
            tracing::warn!(realm = self.realm.name, "the user pool answered with neither tokens nor a challenge");
            DenyReason::PoolFailed
        })
    }

    /// Returns the refusal for a failed call, and logs the pool's message.
    fn denied(&self, step: CognitoStep, failure: &CallError) -> DenyReason {
        let (realm, client) = (&self.realm.name, self.request.client());
        match failure {
            CallError::Refused { kind, message } => {
                let deny = map_exception(step, kind);
                if deny.response().status.is_server_error() || matches!(deny, DenyReason::Throttled(_)) {
                    tracing::warn!(realm, %client, ?step, kind, said = message, "the user pool refused a call");
                } else {
                    tracing::info!(realm, %client, ?step, kind, said = message, "the user pool refused a client");
                }
                deny
            }
            CallError::Failed(reason) => {
                tracing::warn!(realm, ?step, reason, "the user pool can't be asked");
                DenyReason::PoolFailed
            }
            CallError::TimedOut => {
                tracing::warn!(realm, ?step, timeout = ?self.pool.timeout, "the user pool did not answer in time");
                DenyReason::PoolTimeout
            }
            CallError::Busy => DenyReason::Busy,
        }
    }

    /// Answers with tokens or with the next challenge.
    async fn settle(&self, said: CognitoResponse, account: &Account<'_>) -> Result<LoginResponse, LoginError> {
        match said {
            // Failures are kept: a client that knows the password must not guess the second factor without limit.
            CognitoResponse::Challenge { name, parameters, session } => {
                account.admit()?;
                Ok(challenge_answer(self.request.event, &name, &parameters, &session))
            }
            CognitoResponse::Tokens(tokens) => {
                let claims = self.verified(&tokens, DenyReason::Credentials).await?;
                account.succeed().await?;
                let Some(refresh) = tokens.refresh.as_deref() else {
                    tracing::warn!(realm = self.realm.name, "the user pool returned no refresh token");
                    return Err(DenyReason::PoolFailed.into());
                };
                let (client, session) = (self.request.client(), claims.session_id());
                self.request.event.user(&claims.subject, Some(session));
                tracing::info!(realm = self.realm.name, user = claims.subject, %client, %session, "logged in");
                Ok(self.hand_on(&tokens, &claims, refresh))
            }
        }
    }

    fn hand_on(&self, tokens: &Tokens, claims: &Claims, refresh: &str) -> LoginResponse {
        // The pool hashes the name that it puts into access tokens.
        let name = || claims.username.as_ref().unwrap_or(&claims.subject).clone();
        let username = self.pool.client_secret().map(|_| name());
        let left = || u64::try_from(claims.expires_at.saturating_sub(now())).unwrap_or(0);
        TokenResponse {
            access: &tokens.access,
            id: &tokens.id,
            refresh: &UserBoundRefreshToken { username, token: refresh }.text(),
            expires_in: tokens.expires_in.unwrap_or_else(left),
            subject: &claims.subject,
        }
        .answer(self.tenant, self.realm)
    }

    /// Returns the claims of the tokens, if `gate` accepts the access token, and both are of one user. `revoked`: the
    /// response for an ended session.
    async fn verified(&self, tokens: &Tokens, revoked: DenyReason) -> Result<Claims, DenyReason> {
        let rules = &self.realm.tokens;
        // Not the time of the request: the call to the pool took some.
        let mut result = rules.verify(&tokens.access, now());
        if let Err(reject) = &result
            && let Some(issuer) = rules.issuer_to_refresh(&tokens.access, *reject)
            && issuer.keys.request_refresh(now())
            && let KeySource::Remote(remote) = issuer.keys.source()
        {
            let patience = remote.timeout + Duration::from_secs(1);
            let _ = tokio::time::timeout(patience, issuer.keys.fetch_ended()).await;
            result = rules.verify(&tokens.access, now());
        }
        let failed = |reject: TokenError| {
            tracing::warn!(realm = self.realm.name, reason = reject.code(), "the user pool returned an invalid token");
            match reject {
                TokenError::NoKeys => DenyReason::Token(reject),
                _ => DenyReason::PoolFailed,
            }
        };
        let accepted = result.map_err(failed)?;
        if !self.is_of_pool(&accepted) {
            return Err(failed(TokenError::Issuer));
        }
        let subject = rules.id_token_subject(&self.pool.issuer, &tokens.id, now()).map_err(failed)?;
        if subject != accepted.claims.subject {
            return Err(failed(TokenError::Claims));
        }
        // The refreshed token is new, but a revocation of the account may include its login.
        let login = decode_unverified(&tokens.access).and_then(|(_, payload)| payload.get("auth_time")?.as_i64());
        let issued_at = login.map_or(accepted.marks.issued_at, |at| at.min(accepted.marks.issued_at));
        if self.services.revocations.contains(&RevocationKeys { issued_at, ..accepted.marks }) {
            return Err(revoked);
        }
        Ok(accepted.claims)
    }

    fn is_of_pool(&self, accepted: &VerifiedToken) -> bool {
        accepted.issuer.as_ref().is_some_and(|by| *by.issuer == *self.pool.issuer)
    }

    /// Unix seconds after which no token of the session can be valid, whatever its refresh token was used for. The
    /// session began before this token expired, and before now.
    fn family_ends(&self, claims: &Claims) -> i64 {
        if claims.session.is_none() {
            return session::max_expiry(claims);
        }
        let ttl = self.tenant.refresh_ttl + MAX_ACCESS_TTL + MAX_LEEWAY;
        claims.expires_at.min(self.request.now()).saturating_add_unsigned(ttl.as_secs())
    }
}

impl CognitoResponse {
    fn from_answer(mut answer: Map<String, Value>) -> Option<Self> {
        let string = |value: Option<Value>| match value {
            Some(Value::String(text)) if !text.is_empty() => Some(text),
            _ => None,
        };
        if let Some(Value::Object(mut result)) = answer.shift_remove("AuthenticationResult") {
            return Some(Self::Tokens(Tokens {
                access: string(result.shift_remove("AccessToken"))?,
                id: string(result.shift_remove("IdToken"))?,
                refresh: string(result.shift_remove("RefreshToken")),
                expires_in: result.get("ExpiresIn").and_then(Value::as_u64),
            }));
        }
        let parameters = match answer.shift_remove("ChallengeParameters") {
            Some(Value::Object(parameters)) => parameters,
            Some(Value::Null) | None => Map::new(),
            Some(_) => return None,
        };
        let name = string(answer.shift_remove("ChallengeName"))?;
        Some(Self::Challenge { name, parameters, session: string(answer.shift_remove("Session"))? })
    }
}

/// A name or password that no user has.
fn stranger() -> String {
    TokenId::random().to_string()
}

const MEMBERS: &str = "The body needs ChallengeName and Session, as non-empty strings, and ChallengeResponses, as an object of strings with USERNAME.";
