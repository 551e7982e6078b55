//! Fetches the keys of trusted issuers in the background: at `refresh`, and when a token names an unknown key.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Client;
use serde_json::Value;
use tokio::task::AbortHandle;
use tracing::{info, warn};

use crate::clock::now;
use crate::config::Policy;
use crate::json;
use crate::outbound::{client_builder, read_limited, root_cause};
use crate::token::{
    IssuerKeys, JwksLocation, KeySource, MAX_JWKS_BYTES, RemoteJwks, TokenSettings, TrustedIssuer, check_url,
};

/// One task for each fetched key set.
#[derive(Default)]
pub(super) struct JwksFetcher {
    tasks: Mutex<Vec<(Arc<IssuerKeys>, AbortHandle)>>,
}

impl JwksFetcher {
    /// Starts a task for each issuer of this policy, and stops the others.
    pub(super) fn update(&self, policy: &Policy) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = |keys: &Arc<IssuerKeys>| issuers(policy).any(|(_, issuer)| Arc::ptr_eq(&issuer.keys, keys));
        tasks.retain(|(keys, task)| {
            let stays = wanted(keys);
            if !stays {
                task.abort();
            }
            stays
        });
        for (realm, issuer) in issuers(policy) {
            let KeySource::Remote(remote) = issuer.keys.source() else { continue };
            if tasks.iter().any(|(keys, _)| Arc::ptr_eq(keys, &issuer.keys)) {
                continue;
            }
            // Before the first request can come, so that it waits for the keys.
            issuer.keys.fetch_begins();
            let job = FetchTask {
                realm: realm.into(),
                issuer: issuer.name.clone(),
                remote: remote.clone(),
                keys: issuer.keys.clone(),
            };
            tasks.push((issuer.keys.clone(), tokio::spawn(job.run()).abort_handle()));
        }
    }

    /// Waits until each issuer's keys were fetched once, with or without success.
    pub(super) async fn first_attempts(&self) {
        let all: Vec<_> = {
            let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            tasks.iter().map(|(keys, _)| keys.clone()).collect()
        };
        for keys in all {
            keys.fetch_ended().await;
        }
    }
}

/// Every trusted issuer, with the name of its realm.
pub(super) fn issuers(policy: &Policy) -> impl Iterator<Item = (&str, &TrustedIssuer)> {
    policy.realms.iter().flat_map(|realm| realm.tokens.trusted.iter().map(|issuer| (realm.name.as_str(), issuer)))
}

struct FetchTask {
    realm: String,
    issuer: Arc<str>,
    remote: RemoteJwks,
    keys: Arc<IssuerKeys>,
}

impl FetchTask {
    async fn run(self) {
        loop {
            let pause = self.attempt().await;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.keys.refresh_requested() => {}
            }
        }
    }

    /// Returns the time until the next scheduled fetch.
    async fn attempt(&self) -> Duration {
        self.keys.fetch_begins();
        let had_keys = self.keys.current_at(now()).is_some();
        match refresh(&self.keys, &self.remote, &self.issuer).await {
            Ok(is_news) => {
                if is_news {
                    let keys = self.keys.current_at(now());
                    let kids = keys.as_ref().map(|keys| keys.kids().join(", "));
                    info!(realm = self.realm, issuer = %self.issuer, kids, "keys of a trusted issuer fetched");
                    for key in keys.iter().flat_map(|keys| keys.unusable()) {
                        let kid = key.kid.as_deref().unwrap_or_default();
                        warn!(realm = self.realm, issuer = %self.issuer, kid, "unusable key of a trusted issuer: {}", key.reason);
                    }
                }
                self.remote.refresh
            }
            Err(Failed { error, is_news }) => {
                if is_news {
                    let left = if had_keys { "the ones that are there stay" } else { "there are none" };
                    warn!(realm = self.realm, issuer = %self.issuer, "keys of a trusted issuer can't be fetched, {left}: {error}");
                }
                self.remote.refresh.min(if had_keys { RETRY } else { RETRY_WITHOUT_KEYS })
            }
        }
    }
}

/// Fetches the keys that verify `token` once, if they are fetched at all.
///
/// # Errors
/// The reason that the keys are unavailable.
pub async fn fetch_foreign_keys(rules: &TokenSettings, token: &str) -> Result<(), String> {
    let Some((issuer, keys)) = rules.external_issuer(token).map(|issuer| (&issuer.name, &issuer.keys)) else {
        return Ok(());
    };
    let KeySource::Remote(remote) = keys.source() else { return Ok(()) };
    match refresh(keys, remote, issuer).await {
        Ok(_) => Ok(()),
        Err(Failed { error, .. }) => Err(format!("the keys of {issuer} can't be fetched: {error}")),
    }
}

/// Fetches these keys of a trusted issuer of `policy` once, if they are fetched at all.
///
/// # Errors
/// The reason that the keys are unavailable.
pub async fn fetch_keys(policy: &Policy, keys: &Arc<IssuerKeys>) -> Result<(), String> {
    let Some((_, issuer)) = issuers(policy).find(|(_, issuer)| Arc::ptr_eq(&issuer.keys, keys)) else { return Ok(()) };
    let KeySource::Remote(remote) = keys.source() else { return Ok(()) };
    match refresh(keys, remote, &issuer.name).await {
        Ok(_) => Ok(()),
        Err(Failed { error, .. }) => Err(format!("those of {} can't be fetched: {error}", issuer.name)),
    }
}

/// Why there are no newer keys.
struct Failed {
    /// For the log only.
    error: String,
    /// The fetch before this one did not fail for the same reason.
    is_news: bool,
}

/// Fetches the keys of `issuer` once, and installs them. Returns whether they are others than before, or the fetch before
/// this one had failed.
async fn refresh(keys: &IssuerKeys, remote: &RemoteJwks, issuer: &str) -> Result<bool, Failed> {
    let fetched = tokio::time::timeout(remote.timeout, fetch(remote, issuer)).await;
    let fetched = fetched.unwrap_or_else(|_| Err(format!("no answer within {:?}", remote.timeout)));
    let recovered = keys.last_fetch().error.is_some();
    let installed = fetched.and_then(|text| keys.install(&text, now()).map_err(|error| format!("the JWK Set {error}")));
    match installed {
        Ok(are_others) => {
            keys.fetch_succeeded();
            Ok(are_others || recovered)
        }
        Err(error) => Err(Failed { is_news: keys.fetch_failed(error.clone()), error }),
    }
}

/// The text of the JWK Set.
async fn fetch(remote: &RemoteJwks, issuer: &str) -> Result<Vec<u8>, String> {
    let client = client(remote)?;
    match &remote.location {
        JwksLocation::Jwks(url) => get(&client, url).await,
        JwksLocation::Discovery(url) => {
            let text = get(&client, url).await?;
            let document = json::object(&text).map_err(|error| format!("{url} is not a JSON object: {error}"))?;
            // OpenID Connect Discovery 1.0, 4.3: otherwise one tenant of a provider could impersonate another.
            let named = document.get("issuer").and_then(Value::as_str);
            if named != Some(issuer) {
                // Quoted and truncated, because the issuer controls the text and it goes to the log.
                let named = named.map(|named| format!("{:?}", named.chars().take(200).collect::<String>()));
                return Err(format!("{url} is about another issuer: {}", named.as_deref().unwrap_or("it names none")));
            }
            let jwks =
                document.get("jwks_uri").and_then(Value::as_str).ok_or_else(|| format!("{url} names no jwks_uri"))?;
            check_url(jwks, remote.insecure_http).map_err(|problem| format!("{url}: its jwks_uri {problem}"))?;
            get(&client, jwks).await
        }
    }
}

/// Makes a client for each fetch: at one fetch in ten minutes, a kept connection costs more than a new one.
fn client(remote: &RemoteJwks) -> Result<Client, String> {
    client_builder(remote.insecure_http, remote.roots.as_deref())?.build().map_err(|error| root_cause(&error))
}

async fn get(client: &Client, url: &str) -> Result<Vec<u8>, String> {
    let failed = |error: reqwest::Error| format!("{url}: {}", root_cause(&error));
    let request = client.get(url).header(reqwest::header::ACCEPT, "application/json");
    let response = request.send().await.map_err(failed)?;
    let status = response.status();
    if status.is_redirection() {
        let location = response.headers().get(reqwest::header::LOCATION).and_then(|value| value.to_str().ok());
        return Err(format!("{url} redirects to {}, which is not followed", location.unwrap_or("somewhere else")));
    }
    if status != reqwest::StatusCode::OK {
        return Err(format!("{url} answered {status}"));
    }
    read_limited(response, MAX_JWKS_BYTES).await.map_err(|error| error.map_or_else(|| too_large(url), failed))
}

fn too_large(url: &str) -> String {
    format!("{url} answered with more than {MAX_JWKS_BYTES} bytes")
}

const RETRY: Duration = Duration::from_secs(30);
const RETRY_WITHOUT_KEYS: Duration = Duration::from_secs(5);
