//! What an exchange login asks for, and where it sends.

pub(in crate::config) mod read;

use crate::config::host::Host;
use crate::config::login::{Endpoint, EndpointTokens, LoginOperation};
use crate::config::sealed::Sealed;

/// An Auth0 access token for our own, by way of a URL ("API Palace").
#[derive(Debug)]
pub struct ExchangeLogin {
    pub(in crate::config) issuer: String,
    pub(in crate::config) allowed_clients: Vec<String>,
    pub(in crate::config) required_permission: Option<String>,
    /// What a user must have, in the order in which it is asked for.
    pub required_attributes: Vec<RequiredAttribute>,
    /// The claim with the email address of whoever a user's token is of.
    pub email_claim: String,
    /// Whether the issuer must say that the address is verified, or may say nothing of it.
    pub require_verified_email: bool,
    /// Where the answer sends the browser; the token is added to its query.
    pub callback_url: String,
    pub(in crate::config) callback_host: Host,
    pub(in crate::config) callback_path: String,
    /// Where the callback sends the browser on: a path, or a whole URL.
    pub after_login: String,
    pub(in crate::config) redirect_urls: Vec<String>,
    /// Which revision's answer is given.
    pub answer: AnswerVersion,
    pub(in crate::config) _sealed: Sealed,
}

/// What a user must have, besides a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequiredAttribute {
    /// `licence`
    Licence,
    /// `profile`
    Profile,
}

/// Which revision of the documentation the answer is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerVersion {
    /// Revision 33: `status`, `url` and `message`.
    First,
    /// Those of 2024: `token` and `expires_in`, an absolute time, besides.
    Of2024,
}

impl RequiredAttribute {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Licence, Self::Profile];

    /// Its name in a user's data.
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

    /// Whether a token of this client, with these permissions, may log users in. One of the two is configured at least; where
    /// both are, both must fit.
    #[must_use]
    pub fn allows_client(&self, client: &str, permissions: &[&str]) -> bool {
        let known = self.allowed_clients.is_empty() || self.allowed_clients.iter().any(|allowed| allowed == client);
        let permitted = self.required_permission.as_deref().is_none_or(|needed| permissions.contains(&needed));
        let limited = !self.allowed_clients.is_empty() || self.required_permission.is_some();
        limited && known && permitted
    }

    /// Whether a client may have browsers sent there.
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
    fn what_is_configured_has_to_fit_and_nothing_lets_nobody_in() {
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
