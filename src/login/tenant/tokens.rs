//! The tokens of a session, with the claims and in the shapes that Cognito has.

use serde_json::{Map, Value, json};

use super::super::LoginResponse;
use super::super::body::ok;
use super::super::{session, unsigned};
use crate::config::{Realm, ResponseShape, TenantLogin};
use crate::gate::DenyReason;
use crate::store::User;
use crate::token::{Claims, KeyError, TokenId};

pub(super) struct TokenIssue<'a> {
    pub(super) realm: &'a Realm,
    pub(super) tenant: &'a TenantLogin,
    pub(super) user: &'a User,
    pub(super) session: TokenId,
    /// Unix seconds of the login, which refreshing does not change.
    pub(super) authenticated_at: i64,
    pub(super) mfa: bool,
    /// Unix seconds.
    pub(super) now: i64,
}

/// Tokens for a client, from Tollgate or a user pool.
pub(super) struct TokenResponse<'a> {
    pub(super) access: &'a str,
    pub(super) id: &'a str,
    pub(super) refresh: &'a str,
    /// Seconds.
    pub(super) expires_in: u64,
    pub(super) subject: &'a str,
}

impl TokenResponse<'_> {
    /// Returns the response in the shape of the login.
    pub(super) fn answer(&self, tenant: &TenantLogin, realm: &Realm) -> LoginResponse {
        ok(&match tenant.shape {
            ResponseShape::Nested => json!({
                "cognitoToken": {
                    "ChallengeParameters": {},
                    "AuthenticationResult": {
                        "IdToken": self.id,
                        "TokenType": "Bearer",
                        "ExpiresIn": self.expires_in,
                        "RefreshToken": self.refresh,
                        "AccessToken": self.access,
                    },
                },
            }),
            ResponseShape::Flat => json!({
                "cognitoToken": {
                    "IdToken": self.id,
                    "AccessToken": self.access,
                    "RefreshToken": self.refresh,
                    "ExpiresIn": self.expires_in,
                },
                "user": {
                    "OloID": self.subject,
                    "TenantID": realm.name,
                    "TenantName": tenant.name_of(realm),
                },
            }),
        })
    }
}

impl TokenIssue<'_> {
    /// Returns the response with this refresh token, after all factors.
    pub(super) fn answer(&self, refresh_token: &str) -> Result<LoginResponse, DenyReason> {
        let (access, id) = (self.access_token().map_err(unsigned)?, self.id_token().map_err(unsigned)?);
        let expires_in = self.tenant.access_ttl(self.realm).as_secs();
        let subject = &self.user.id;
        Ok(TokenResponse { access: &access, id: &id, refresh: refresh_token, expires_in, subject }
            .answer(self.tenant, self.realm))
    }

    fn access_token(&self) -> Result<String, KeyError> {
        let claims = Claims {
            token_id: TokenId::random(),
            subject: self.user.id.clone(),
            username: self.user.username.clone(),
            email: self.user.verified_email().map(str::to_owned),
            roles: self.user.roles.clone(),
            session: Some(self.session),
            mfa: self.mfa,
            issued_at: self.now,
            expires_at: self.expires_at(),
        };
        let mut more = self.common("access");
        more.insert("client_id".into(), self.tenant.client_id(self.realm).into());
        more.insert("scope".into(), SCOPE.into());
        more.insert("username".into(), self.name().into());
        self.realm.tokens.mint_with(&claims, more)
    }

    fn id_token(&self) -> Result<String, KeyError> {
        let mut payload = self.common("id");
        for (name, value) in &self.user.data {
            // Names and addresses are added below, from their verified sources.
            if let Value::String(text) = value
                && text.len() <= MAX_ATTRIBUTE_BYTES
                && !matches!(name.as_str(), "username" | "email")
            {
                let name = if STANDARD.contains(&name.as_str()) { name.clone() } else { format!("custom:{name}") };
                payload.insert(name, text.as_str().into());
            }
        }
        payload.insert("sub".into(), self.user.id.as_str().into());
        payload.insert("aud".into(), self.tenant.client_id(self.realm).into());
        payload.insert("cognito:username".into(), self.name().into());
        if let Some(email) = self.user.verified_email() {
            payload.insert("email".into(), email.into());
        }
        payload.insert("jti".into(), TokenId::random().to_string().into());
        payload.insert("iat".into(), self.now.into());
        payload.insert("exp".into(), self.expires_at().into());
        self.realm.tokens.mint_id(payload, self.now)
    }

    fn common(&self, usage: &str) -> Map<String, Value> {
        let mut claims = session::extra_claims(self.user);
        claims.insert("token_use".into(), usage.into());
        claims.insert("auth_time".into(), self.authenticated_at.into());
        claims.insert("origin_jti".into(), self.session.to_string().into());
        if !self.user.roles.is_empty() {
            claims.insert("cognito:groups".into(), self.user.roles.clone().into());
        }
        claims
    }

    /// Cognito uses the id as the name of a user without one.
    fn name(&self) -> &str {
        self.user.username.as_deref().unwrap_or(&self.user.id)
    }

    fn expires_at(&self) -> i64 {
        self.now.saturating_add_unsigned(self.tenant.access_ttl(self.realm).as_secs())
    }
}

/// Cognito's value for a login through its API.
const SCOPE: &str = "aws.cognito.signin.user.admin";
/// As in Cognito.
const MAX_ATTRIBUTE_BYTES: usize = 2048;
/// The standard claims of `OpenID` Connect Core 1.0, 5.1, that are strings; Cognito prefixes the others.
const STANDARD: [&str; 14] = [
    "name",
    "given_name",
    "family_name",
    "middle_name",
    "nickname",
    "preferred_username",
    "profile",
    "picture",
    "website",
    "gender",
    "birthdate",
    "zoneinfo",
    "locale",
    "phone_number",
];
