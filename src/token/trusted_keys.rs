//! The keys of a trusted issuer at run time, and requests to fetch newer ones.
//!
//! A verifier takes no lock. Fetching is not in this module: it has the location, the due time and the waiting requests
//! only.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, Semaphore, watch};

use super::Algorithm;
use super::jwks::{JwksError, PublicKeys};

/// The source of the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A file, which was read with the configuration.
    File(PathBuf),
    Remote(RemoteJwks),
}

impl KeySource {
    /// Returns whether keys fetched from one location are valid for the other, independent of the schedule.
    #[must_use]
    pub fn is_same_place(&self, other: &Self) -> bool {
        let place = |source: &Self| match source {
            Self::File(_) => None,
            Self::Remote(remote) => Some((remote.location.clone(), remote.insecure_http, remote.roots.clone())),
        };
        place(self).is_some_and(|own| place(other) == Some(own))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteJwks {
    pub location: JwksLocation,
    pub insecure_http: bool,
    /// Certificates (PEM) to trust instead of the system's.
    pub roots: Option<Vec<u8>>,
    /// Maximum age of keys before the next fetch.
    pub refresh: Duration,
    /// Maximum age of keys if fetches fail.
    pub max_stale: Duration,
    /// Time limit of one fetch.
    pub timeout: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksLocation {
    Jwks(String),
    /// The document that names it (OpenID Connect Discovery 1.0, 4).
    Discovery(String),
}

/// The last fetch, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastFetch {
    /// Unix seconds of the last successful fetch.
    pub at: Option<i64>,
    /// Why the last one brought none.
    pub error: Option<String>,
}

/// The keys of one issuer.
#[derive(Debug)]
pub struct IssuerKeys {
    algorithms: Vec<Algorithm>,
    source: KeySource,
    current: ArcSwapOption<PublicKeys>,
    /// Unix seconds from which `current` is invalid.
    stale_at: AtomicI64,
    /// Unix seconds from which an unknown `kid` may cause a fetch.
    may_ask_at: AtomicI64,
    in_flight: watch::Sender<bool>,
    wanted: Notify,
    patience: Semaphore,
    fetched: Mutex<LastFetch>,
    fetches: AtomicU64,
    failures: AtomicU64,
}

impl IssuerKeys {
    /// Starts without keys; [`IssuerKeys::install`] adds them.
    #[must_use]
    pub fn new(source: KeySource, algorithms: Vec<Algorithm>) -> Self {
        Self {
            algorithms,
            source,
            current: ArcSwapOption::empty(),
            stale_at: AtomicI64::new(i64::MAX),
            may_ask_at: AtomicI64::new(i64::MIN),
            in_flight: watch::Sender::new(false),
            wanted: Notify::new(),
            patience: Semaphore::new(MAX_WAITING),
            fetched: Mutex::default(),
            fetches: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }

    #[must_use]
    pub const fn source(&self) -> &KeySource {
        &self.source
    }

    /// Returns whether a policy with these settings can go on with these keys.
    #[must_use]
    pub fn matches(&self, source: &KeySource, algorithms: &[Algorithm]) -> bool {
        self.source == *source && self.algorithms == algorithms
    }

    /// Puts the keys of a JWK Set in force, as fetched at `now`. The same keys again leave everything as it is.
    /// Returns whether they are others.
    ///
    /// # Errors
    /// The old ones stay.
    pub fn install(&self, jwks: &[u8], now: i64) -> Result<bool, JwksError> {
        let known = self.current.load().as_ref().is_some_and(|current| current.text() == jwks);
        if !known {
            self.current.store(Some(Arc::new(PublicKeys::parse(jwks, &self.algorithms)?)));
        }
        if let KeySource::Remote(remote) = &self.source {
            let max_stale = i64::try_from(remote.max_stale.as_secs()).unwrap_or(i64::MAX);
            self.stale_at.store(now.saturating_add(max_stale), Ordering::Release);
        }
        *self.fetched() = LastFetch { at: Some(now), error: None };
        Ok(!known)
    }

    /// Begins with the keys of `other`, which came from the same place, as old as they are.
    pub fn copy_from(&self, other: &Self) {
        if let (Some(at), Some(keys)) = (other.last_fetch().at, other.current.load_full()) {
            // Possibly none is for the configured algorithms: then there is none until the next fetch.
            let _ = self.install(keys.text(), at);
        }
    }

    /// Returns the keys that are valid at `now`.
    #[must_use]
    pub fn current_at(&self, now: i64) -> Option<Arc<PublicKeys>> {
        if now >= self.stale_at.load(Ordering::Acquire) { None } else { self.current.load_full() }
    }

    /// Returns whether these keys are still the valid ones at `now`.
    pub(super) fn still_has(&self, keys: &Arc<PublicKeys>, now: i64) -> bool {
        now < self.stale_at.load(Ordering::Acquire)
            && self.current.load().as_ref().is_some_and(|current| Arc::ptr_eq(current, keys))
    }

    /// Requests newer keys for a token with an unknown `kid`. Returns whether to wait: not shortly after another
    /// request, because anyone can send an invented `kid` (SECURITY.md R30).
    #[must_use]
    pub fn request_refresh(&self, now: i64) -> bool {
        if matches!(self.source, KeySource::File(_)) {
            return false;
        }
        let mut worth_waiting = false;
        self.in_flight.send_if_modified(|in_flight| {
            // A clock that was set back does not put it off.
            let may_ask_at = self.may_ask_at.load(Ordering::Relaxed);
            let may_ask = !(may_ask_at.saturating_sub(ASK_EVERY_SECONDS)..may_ask_at).contains(&now);
            worth_waiting = *in_flight || may_ask;
            let begins = !*in_flight && may_ask;
            if begins {
                self.may_ask_at.store(now.saturating_add(ASK_EVERY_SECONDS), Ordering::Relaxed);
                self.wanted.notify_one();
                *in_flight = true;
            }
            begins
        });
        worth_waiting
    }

    /// Waits for the fetch in progress, if any. Never returns if its fetcher is gone.
    pub async fn fetch_ended(&self) {
        // If a thousand requests wait already, this one does not: a flood must not fill the memory.
        let Ok(_patience) = self.patience.try_acquire() else { return };
        let mut in_flight = self.in_flight.subscribe();
        let _ = in_flight.wait_for(|in_flight| !in_flight).await;
    }

    /// Waits for a request.
    pub async fn refresh_requested(&self) {
        self.wanted.notified().await;
    }

    pub fn fetch_begins(&self) {
        self.in_flight.send_replace(true);
    }

    /// Ends a fetch with this error. Returns whether the error is new.
    pub fn fetch_failed(&self, error: String) -> bool {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let mut fetched = self.fetched();
        let is_news = fetched.error.as_ref() != Some(&error);
        fetched.error = Some(error);
        drop(fetched);
        self.in_flight.send_replace(false);
        is_news
    }

    /// Ends a fetch whose keys were installed.
    pub fn fetch_succeeded(&self) {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        self.in_flight.send_replace(false);
    }

    #[must_use]
    pub fn last_fetch(&self) -> LastFetch {
        self.fetched().clone()
    }

    /// Returns the number of successful and of failed fetches.
    #[must_use]
    pub fn fetches(&self) -> (u64, u64) {
        (self.fetches.load(Ordering::Relaxed), self.failures.load(Ordering::Relaxed))
    }

    fn fetched(&self) -> std::sync::MutexGuard<'_, LastFetch> {
        self.fetched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Checks whether keys can be fetched from this URL.
///
/// # Errors
/// The reason, as the end of a sentence that begins with the URL.
pub fn check_url(url: &str, insecure_http: bool) -> Result<(), &'static str> {
    let uri: http::Uri = url.parse().map_err(|_| "is no URL")?;
    let has_host =
        uri.authority().is_some_and(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'));
    match uri.scheme_str() {
        _ if !has_host || url.contains('#') => Err("must name a host, and no user and no fragment"),
        Some("https") => Ok(()),
        Some("http") if insecure_http => Ok(()),
        Some("http") => Err(
            "must use https, because over http an attacker can replace the keys: write https, or insecure_http = true",
        ),
        _ => Err("must be an https URL"),
    }
}

/// `node-oauth2-jwt-bearer` waits as long.
const ASK_EVERY_SECONDS: i64 = 30;
const MAX_WAITING: usize = 1024;

#[cfg(test)]
mod tests;
