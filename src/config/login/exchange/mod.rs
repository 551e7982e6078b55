//! Exchange logins.

pub(in crate::config) mod read;

use crate::config::host::Host;
use crate::config::login::{Endpoint, EndpointTokens, LoginOperation};
use crate::config::sealed::Sealed;

/// Settings of an exchange login: an access token of a trusted issuer for a session, by a URL ("API Palace").
#[derive(Debug)]
pub struct ExchangeLogin {
    pub(in crate::config) issuer: String,
    pub(in crate::config) allowed_clients: Vec<String>,
    pub(in crate::config) required_permission: Option<String>,
    /// In the order in which they are checked.
    pub required_attributes: Vec<RequiredAttribute>,
    /// Claim with the email address in the token of a user.
    pub email_claim: String,
    /// Whether `email_verified` must be true. Otherwise it can also be absent.
    pub require_verified_email: bool,
    /// URL for the browser. The callback token is added to its query.
    pub callback_url: String,
    pub(in crate::config) callback_host: Host,
    pub(in crate::config) callback_path: String,
    /// Destination of the browser after the callback: a path or a URL.
    pub after_login: String,
    pub(in crate::config) redirect_urls: Vec<String>,
    pub answer: AnswerVersion,
    pub(in crate::config) _sealed: Sealed,
}

/// A member that the data of a user must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequiredAttribute {
    /// `licence`
    Licence,
    /// `profile`
    Profile,
}

/// Revision of the API for the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerVersion {
    /// Revision 33: `status`, `url` and `message`.
    First,
    /// The revisions of 2024: also `token` and `expires_in`, which is an absolute time.
    Of2024,
}

impl RequiredAttribute {
    pub const ALL: [Self; 2] = [Self::Licence, Self::Profile];

    /// The name of the member.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Licence => "licence",
            Self::Profile => "profile",
        }
    }
}

impl ExchangeLogin {
    pub(in crate::config) fn endpoints(&self, path: &str) -> Vec<Endpoint> {
        let issuer = EndpointTokens::TrustedIssuer(self.issuer.clone());
        let callback = Endpoint::page(self.callback_path.clone(), self.callback_host.clone(), LoginOperation::Callback);
        let redeem = format!("{}{REDEEM}", path.trim_end_matches('/'));
        vec![
            Endpoint { tokens: issuer, ..Endpoint::post(path.to_owned(), LoginOperation::Exchange) },
            Endpoint { query: &["token", "redirect_url"], ..callback },
            Endpoint::post(redeem, LoginOperation::Redeem),
        ]
    }

    /// Returns whether a token of this client with these permissions is allowed to log users in. At least one of the two conditions
    /// is configured, and each configured one must be satisfied.
    #[must_use]
    pub fn allows_client(&self, client: &str, permissions: &[&str]) -> bool {
        let known = self.allowed_clients.is_empty() || self.allowed_clients.iter().any(|allowed| allowed == client);
        let permitted = self.required_permission.as_deref().is_none_or(|needed| permissions.contains(&needed));
        let limited = !self.allowed_clients.is_empty() || self.required_permission.is_some();
        limited && known && permitted
    }

    /// Returns whether a client can choose this URL as the destination of the browser.
    #[must_use]
    pub fn allows_redirect(&self, url: &str) -> bool {
        self.redirect_urls.iter().any(|allowed| allowed == url)
    }
}

const REDEEM: &str = "/redeem";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_configured_condition_must_be_satisfied() {
        let exchange = |clients: &[&str], permission: Option<&str>| ExchangeLogin {
            _sealed: Sealed(()),
            issuer: "https://idp.example/".into(),
            allowed_clients: clients.iter().map(|client| (*client).to_owned()).collect(),
            required_permission: permission.map(str::to_owned),
            required_attributes: Vec::new(),
            email_claim: "email".into(),
            require_verified_email: false,
            callback_url: "https://app.example/site/callback".into(),
            callback_host: Host::parse("app.example").unwrap(),
            callback_path: "/site/callback".into(),
            after_login: "/".into(),
            redirect_urls: vec!["https://app.example/failed".into()],
            answer: AnswerVersion::First,
        };
        for (clients, permission, client, permissions, admitted) in [
            (&["a", "b"][..], None, "b", &[][..], true),
            (&["a", "b"], None, "c", &["login"], false),
            (&["a", "b"], None, "", &[], false),
            (&[], Some("login"), "c", &["x", "login"], true),
            (&[], Some("login"), "c", &["login:x"], false),
            (&[], Some("login"), "c", &[], false),
            (&["a"], Some("login"), "a", &["login"], true),
            (&["a"], Some("login"), "a", &[], false),
            (&["a"], Some("login"), "b", &["login"], false),
            (&[], None, "a", &["login"], false),
        ] {
            let exchange = exchange(clients, permission);
            assert_eq!(exchange.allows_client(client, permissions), admitted, "{clients:?} {permission:?} {client}");
        }
        let one = exchange(&["a"], None);
        assert!(one.allows_redirect("https://app.example/failed"));
        for other in ["https://app.example/failed/", "https://app.example/failed?", "HTTPS://app.example/failed", ""] {
            assert!(!one.allows_redirect(other), "{other}");
        }
    }
}
