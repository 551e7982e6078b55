//! The same login over a user pool of Amazon Cognito: its users, its challenges, its tokens.
//!
//! The pool is asked nothing before the throttle was, and nothing that it says goes to a client as it is: its exceptions
//! are folded into ours, and its tokens are handed on only if the guard would take them.

mod account;
mod call;
mod fold;
mod secret;

use std::time::Duration;

use http::header::AUTHORIZATION;
use serde_json::{Map, Value, json};

use super::super::body::{self, ok};
use super::super::credentials::Place;
use super::super::{Answer, Desk, Refusal, Request, session};
use super::challenge::CODE_MEMBERS;
use super::refresh::{REFRESH_MEMBERS, end, end_own};
use super::tokens::Handed;
use super::{LoginBody, challenge_answer, text};
use crate::clock::now;
use crate::config::{Endpoint, MAX_ACCESS_TTL, MAX_LEEWAY, Realm, Tenant, UserPool};
use crate::gate::Deny;
use crate::json;
use crate::store::{Ends, Guess, Name};
use crate::token::{Accepted, Claims, Marks, Reject, Source, TokenId, peek};
use account::Account;
use call::{Failure, Operation, call};
use fold::{Step, fold, is_no_token};
use secret::RefreshToken;

/// Answers a request to a login whose users are those of `pool`.
pub(super) async fn answer(
    request: &Request<'_>,
    (tenant, pool): (&Tenant, &UserPool),
    endpoint: Endpoint,
    desk: &Desk,
) -> Result<Answer, Refusal> {
    let visit = Visit { request, tenant, pool, realm: request.realm, desk };
    match endpoint {
        Endpoint::Login => visit.log_in().await,
        Endpoint::Challenge => visit.respond().await,
        Endpoint::Refresh => visit.refresh().await,
        Endpoint::Logout => visit.log_out().await,
        // Another dialect's.
        Endpoint::Callback | Endpoint::Redeem => Err(Deny::EndpointUnknown.into()),
    }
}

struct Visit<'a> {
    request: &'a Request<'a>,
    tenant: &'a Tenant,
    pool: &'a UserPool,
    /// The only one whose users these are.
    realm: &'a Realm,
    desk: &'a Desk,
}

/// What a pool answers.
enum Said {
    Tokens(Tokens),
    Challenge { name: String, parameters: Map<String, Value>, session: String },
}

struct Tokens {
    access: String,
    id: String,
    /// Not on refresh, unless refresh tokens rotate.
    refresh: Option<String>,
    /// Seconds.
    expires_in: Option<u64>,
}

impl Visit<'_> {
    async fn log_in(&self) -> Result<Answer, Refusal> {
        let LoginBody { user_name, tenant_name, password } = LoginBody::of(self.request)?;
        self.request.trail.username(&user_name);
        // A tenant that there is not, and one whose rules the request does not keep, are told apart by nobody.
        let of_us = self.tenant.realm(&tenant_name).is_some()
            && self.request.realms.iter().any(|realm| realm.number() == self.realm.number());
        let place = if of_us { Place::Realm(self.realm.name()) } else { Place::Stranger(&tenant_name) };
        // Of what two forms it may have, the one that holds the other.
        let name = Name::username(&user_name).or_else(|| Name::email(&user_name));
        let account = Account::read(place, name.as_ref(), self.request, self.desk).await?;
        // Of a tenant that is none of ours, for a name that can't be throttled, one that has to wait and one that is locked,
        // the pool is asked for a user whom it does not have: it takes as long, and the answer is the same.
        let is_asked = account.may_be_asked() && !account.is_locked(Guess::Password).await;
        let (user_name, password) = if is_asked { (user_name, password) } else { (stranger(), stranger()) };
        let mut parameters = Map::new();
        parameters.insert("USERNAME".into(), user_name.as_str().into());
        parameters.insert("PASSWORD".into(), password.into());
        self.add_hash(&mut parameters, Some(&user_name));
        let said = self.initiate("USER_PASSWORD_AUTH", parameters).await;
        match self.said(Step::Login, said) {
            Ok(said) if is_asked && !account.is_locked(Guess::Password).await => self.settle(said, &account).await,
            Ok(_) | Err(Deny::Credentials) => Err(account.fail(Some(Guess::Password), Deny::Credentials).await),
            Err(deny) => Err(deny.into()),
        }
    }

    async fn respond(&self) -> Result<Answer, Refusal> {
        let mut body = body::object(self.request)?;
        let given = match body.shift_remove("ChallengeResponses") {
            Some(Value::Object(given)) if given.values().all(Value::is_string) => given,
            _ => return Err(Deny::Parameter(MEMBERS).into()),
        };
        let (name, session) = (text(&body, "ChallengeName", MEMBERS)?, text(&body, "Session", MEMBERS)?);
        let user_name = text(&given, "USERNAME", MEMBERS)?;
        self.request.trail.username(user_name);
        let (wanted, missing) = match name {
            "NEW_PASSWORD_REQUIRED" => ("NEW_PASSWORD", "ChallengeResponses needs NEW_PASSWORD, as a string."),
            "SOFTWARE_TOKEN_MFA" => ("SOFTWARE_TOKEN_MFA_CODE", CODE_MEMBERS),
            "SMS_MFA" => ("SMS_MFA_CODE", "ChallengeResponses needs SMS_MFA_CODE, as a string."),
            "EMAIL_OTP" => ("EMAIL_OTP_CODE", "ChallengeResponses needs EMAIL_OTP_CODE, as a string."),
            _ => return Err(Deny::Challenge.into()),
        };
        text(&given, wanted, missing)?;
        // Who can't be throttled is nobody.
        let throttled = Name::username(user_name).or_else(|| Name::email(user_name)).ok_or(Deny::Session)?;
        let place = Place::Realm(self.realm.name());
        let account = Account::read(place, Some(&throttled), self.request, self.desk).await?;
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
            "ClientId": self.pool.client_id(),
            "ChallengeName": name,
            "Session": session,
            "ChallengeResponses": responses,
        });
        let said = call(self.pool, Operation::RespondToAuthChallenge, &request).await;
        match self.said(Step::Challenge, said) {
            // Of a locked account a right code is a wrong one.
            Ok(_) if wanted != "NEW_PASSWORD" && account.is_locked(Guess::Code).await => {
                Err(account.fail(Some(Guess::Code), Deny::Code).await)
            }
            Ok(said) => self.settle(said, &account).await,
            Err(Deny::Code) => Err(account.fail(Some(Guess::Code), Deny::Code).await),
            // Without a session of the pool it is no guess at a code, and locks no account.
            Err(deny @ (Deny::CodeUsed | Deny::Session)) => Err(account.fail(None, deny).await),
            Err(deny) => Err(deny.into()),
        }
    }

    async fn refresh(&self) -> Result<Answer, Refusal> {
        let body = body::object(self.request)?;
        let token = text(&body, "RefreshToken", REFRESH_MEMBERS)?;
        let token = RefreshToken::parse(token, self.pool.client_secret().is_some()).ok_or(Deny::RefreshToken)?;
        // Nobody guesses a refresh token, but what is made up costs a call, of which the pool takes so many a second.
        let address = [self.request.address()];
        self.desk.throttle.admit(&address, self.request.now_ms)?;
        let mut parameters = Map::new();
        parameters.insert("REFRESH_TOKEN".into(), token.token.into());
        self.add_hash(&mut parameters, token.username.as_deref());
        let said = self.initiate("REFRESH_TOKEN_AUTH", parameters).await;
        let said = self.said(Step::Refresh, said);
        if let Err(Deny::RefreshToken | Deny::Parameter(_)) = &said {
            self.desk.throttle.fail(&address, self.request.now_ms)?;
        }
        let Said::Tokens(tokens) = said? else {
            tracing::warn!(realm = self.realm.name(), "the user pool answered a refresh with a challenge");
            return Err(Deny::PoolFailed.into());
        };
        // Its refresh token is good at the pool still, where somebody logged out whose pool could not be told.
        let claims = self.verified(&tokens, Deny::RefreshToken).await?;
        let refresh = tokens.refresh.as_deref().unwrap_or(token.token);
        self.request.trail.user(&claims.subject, Some(claims.session_id()));
        Ok(self.hand_on(&tokens, &claims, refresh))
    }

    /// Ends the session here, for as long as its refresh token could make new tokens, and its refresh token at the pool.
    async fn log_out(&self) -> Result<Answer, Refusal> {
        for accepted in &self.request.tokens {
            if self.is_of_pool(accepted) {
                let ends = self.family_ends(&accepted.claims);
                if ends >= self.request.now() {
                    let whose = (Some(&*accepted.claims.subject), accepted.claims.session_id());
                    end(whose, Ends::At(ends), self.request, self.desk).await?;
                }
            } else {
                end_own(accepted, self.request, self.desk).await?;
            }
        }
        // What it is a token of can't be told: it may well be a session that goes on.
        let issuer = self.realm.tokens().trusted_issuer(self.pool.issuer());
        let no_keys = issuer.is_none_or(|issuer| issuer.keys.at(now()).is_none());
        if no_keys && self.request.tokens.is_empty() && self.request.headers.contains_key(AUTHORIZATION) {
            return Err(Deny::Token(Reject::NoKeys).into());
        }
        let body = json::object(&self.request.body).unwrap_or_default();
        let token = body.get("RefreshToken").and_then(Value::as_str);
        let with_name = self.pool.client_secret().is_some();
        if let Some(token) = token.and_then(|token| RefreshToken::parse(token, with_name)) {
            let mut request = json!({"ClientId": self.pool.client_id(), "Token": token.token});
            if let Some(secret) = self.pool.client_secret() {
                request["ClientSecret"] = secret.into();
            }
            let address = [self.request.address()];
            self.desk.throttle.admit(&address, self.request.now_ms)?;
            match call(self.pool, Operation::RevokeToken, &request).await {
                Ok(_) => {}
                Err(Failure::Refused { kind, .. }) if is_no_token(&kind) => {
                    self.desk.throttle.fail(&address, self.request.now_ms)?;
                    tracing::info!(realm = self.realm.name(), kind, "the user pool knows no such refresh token");
                }
                Err(failure) => return Err(self.denied(Step::Revoke, &failure).into()),
            }
        }
        Ok(ok(&Value::Object(Map::new())))
    }

    async fn initiate(&self, flow: &str, parameters: Map<String, Value>) -> Result<Map<String, Value>, Failure> {
        let request = json!({"AuthFlow": flow, "ClientId": self.pool.client_id(), "AuthParameters": parameters});
        call(self.pool, Operation::InitiateAuth, &request).await
    }

    fn add_hash(&self, parameters: &mut Map<String, Value>, username: Option<&str>) {
        if let (Some(secret), Some(username)) = (self.pool.client_secret(), username) {
            let hash = secret::hash(secret, username, self.pool.client_id());
            parameters.insert("SECRET_HASH".into(), hash.into());
        }
    }

    /// What the pool answered, or what the client is told instead.
    fn said(&self, step: Step, answer: Result<Map<String, Value>, Failure>) -> Result<Said, Deny> {
        let answer = answer.map_err(|failure| self.denied(step, &failure))?;
        Said::of(answer).ok_or_else(|| {
            tracing::warn!(realm = self.realm.name(), "the user pool answered with neither tokens nor a challenge");
            Deny::PoolFailed
        })
    }

    /// Why there is no answer: for the log, what the pool said; for the client, what that means.
    fn denied(&self, step: Step, failure: &Failure) -> Deny {
        let (realm, client) = (self.realm.name(), self.request.client);
        match failure {
            Failure::Refused { kind, message } => {
                let deny = fold(step, kind);
                if deny.row().status.is_server_error() || matches!(deny, Deny::Throttled(_)) {
                    tracing::warn!(realm, %client, ?step, kind, said = message, "the user pool refused a call");
                } else {
                    tracing::info!(realm, %client, ?step, kind, said = message, "the user pool refused a client");
                }
                deny
            }
            Failure::Failed(reason) => {
                tracing::warn!(realm, ?step, reason, "the user pool can't be asked");
                Deny::PoolFailed
            }
            Failure::TimedOut => {
                tracing::warn!(realm, ?step, timeout = ?self.pool.timeout(), "the user pool did not answer in time");
                Deny::PoolTimeout
            }
            Failure::Busy => Deny::Busy,
        }
    }

    /// Answers whoever proved what was asked, with tokens or with the next question.
    async fn settle(&self, said: Said, account: &Account<'_>) -> Result<Answer, Refusal> {
        match said {
            // Failures are remembered yet: whoever knows the password must not guess at the second factor without end.
            Said::Challenge { name, parameters, session } => {
                account.admit()?;
                Ok(challenge_answer(self.request.trail, &name, &parameters, &session))
            }
            Said::Tokens(tokens) => {
                let claims = self.verified(&tokens, Deny::Credentials).await?;
                account.succeed().await?;
                let Some(refresh) = tokens.refresh.as_deref() else {
                    tracing::warn!(realm = self.realm.name(), "the user pool gave no refresh token");
                    return Err(Deny::PoolFailed.into());
                };
                let (client, session) = (self.request.client, claims.session_id());
                self.request.trail.user(&claims.subject, Some(session));
                tracing::info!(realm = self.realm.name(), user = claims.subject, %client, %session, "logged in");
                Ok(self.hand_on(&tokens, &claims, refresh))
            }
        }
    }

    fn hand_on(&self, tokens: &Tokens, claims: &Claims, refresh: &str) -> Answer {
        // The pool hashes the name that it puts into access tokens.
        let name = || claims.username.as_ref().unwrap_or(&claims.subject).clone();
        let username = self.pool.client_secret().map(|_| name());
        let left = || u64::try_from(claims.expires_at.saturating_sub(now())).unwrap_or(0);
        Handed {
            access: &tokens.access,
            id: &tokens.id,
            refresh: &RefreshToken { username, token: refresh }.text(),
            expires_in: tokens.expires_in.unwrap_or_else(left),
            subject: &claims.subject,
        }
        .answer(self.tenant, self.realm)
    }

    /// Whom the tokens speak for, if the guard takes the access token, and both are of one user. `revoked`: what the
    /// client is told whose session has ended here.
    async fn verified(&self, tokens: &Tokens, revoked: Deny) -> Result<Claims, Deny> {
        let rules = self.realm.tokens();
        // Not the request's own time: the pool took some since.
        let mut result = rules.verify(&tokens.access, now());
        if let Err(reject) = &result
            && let Some(issuer) = rules.outdated(&tokens.access, *reject)
            && issuer.keys.ask(now())
            && let Source::Remote(remote) = issuer.keys.source()
        {
            let patience = remote.timeout + Duration::from_secs(1);
            let _ = tokio::time::timeout(patience, issuer.keys.fetch_ended()).await;
            result = rules.verify(&tokens.access, now());
        }
        let failed = |reject: Reject| {
            tracing::warn!(
                realm = self.realm.name(),
                reason = reject.code(),
                "the user pool gave a token that does not count"
            );
            match reject {
                Reject::NoKeys => Deny::Token(reject),
                _ => Deny::PoolFailed,
            }
        };
        let accepted = result.map_err(failed)?;
        if !self.is_of_pool(&accepted) {
            return Err(failed(Reject::Issuer));
        }
        let subject = rules.id_token_subject(self.pool.issuer(), &tokens.id, now()).map_err(failed)?;
        if subject != accepted.claims.subject {
            return Err(failed(Reject::Claims));
        }
        // What a refresh gives is new; what was revoked of the account until some second may be its login.
        let login = peek(&tokens.access).and_then(|(_, payload)| payload.get("auth_time")?.as_i64());
        let issued_at = login.map_or(accepted.marks.issued_at, |at| at.min(accepted.marks.issued_at));
        if self.desk.revocations.contain(&Marks { issued_at, ..accepted.marks }) {
            return Err(revoked);
        }
        Ok(accepted.claims)
    }

    fn is_of_pool(&self, accepted: &Accepted) -> bool {
        accepted.issuer.as_ref().is_some_and(|by| *by.issuer == *self.pool.issuer())
    }

    /// Unix seconds after which no token of the session can count, whatever its refresh token was used for. The session
    /// began before this token expired, and has begun by now.
    fn family_ends(&self, claims: &Claims) -> i64 {
        if claims.session.is_none() {
            return session::end(claims);
        }
        let ttl = self.tenant.refresh_ttl() + MAX_ACCESS_TTL + MAX_LEEWAY;
        claims.expires_at.min(self.request.now()).saturating_add_unsigned(ttl.as_secs())
    }
}

impl Said {
    fn of(mut answer: Map<String, Value>) -> Option<Self> {
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

/// A name that nobody has, or a password.
fn stranger() -> String {
    TokenId::random().to_string()
}

const MEMBERS: &str = "The body needs ChallengeName and Session, as non-empty strings, and ChallengeResponses, as an object of strings with USERNAME.";
