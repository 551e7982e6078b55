//! The keys of a trusted issuer while requests run: those that are there, and the want of newer ones.
//!
//! Who verifies takes no lock. Who fetches is not in here: this only says where from, when it is due, and who waits.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, Semaphore, watch};

use super::Algorithm;
use super::jwks::{JwksError, PublicKeys};

/// Where the keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A file, which was read with the configuration.
    File(PathBuf),
    /// The network.
    Remote(RemoteJwks),
}

impl KeySource {
    /// Whether what was fetched from the one would be believed from the other, whenever and however often that is.
    #[must_use]
    pub fn is_same_place(&self, other: &Self) -> bool {
        let place = |source: &Self| match source {
            Self::File(_) => None,
            Self::Remote(remote) => Some((remote.location.clone(), remote.insecure_http, remote.roots.clone())),
        };
        place(self).is_some_and(|own| place(other) == Some(own))
    }
}

/// How to fetch them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteJwks {
    /// Where.
    pub location: JwksLocation,
    /// Whether `http` will do.
    pub insecure_http: bool,
    /// Certificates (PEM) to trust instead of the system's.
    pub roots: Option<Vec<u8>>,
    /// How old keys may get before they are fetched again.
    pub refresh: Duration,
    /// How old keys may get that can't be fetched again.
    pub max_stale: Duration,
    /// For one fetch as a whole.
    pub timeout: Duration,
}

/// A URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksLocation {
    /// Of the JWK Set.
    Jwks(String),
    /// Of the document that names it (OpenID Connect Discovery 1.0, 4).
    Discovery(String),
}

/// The last fetch, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastFetch {
    /// Unix seconds of the last one that brought keys.
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
    /// Unix seconds from which `current` counts no more.
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
    /// None yet; [`IssuerKeys::install`] brings them.
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

    /// Where they come from.
    #[must_use]
    pub const fn source(&self) -> &KeySource {
        &self.source
    }

    /// Whether a policy that says so can go on with these.
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
            // None of them may suit the algorithms of today: then there are none, until they are fetched.
            let _ = self.install(keys.text(), at);
        }
    }

    /// Those that count at `now`.
    #[must_use]
    pub fn current_at(&self, now: i64) -> Option<Arc<PublicKeys>> {
        if now >= self.stale_at.load(Ordering::Acquire) { None } else { self.current.load_full() }
    }

    /// Whether these are still the ones that count at `now`.
    pub(super) fn still_has(&self, keys: &Arc<PublicKeys>, now: i64) -> bool {
        now < self.stale_at.load(Ordering::Acquire)
            && self.current.load().as_ref().is_some_and(|current| Arc::ptr_eq(current, keys))
    }

    /// Asks for newer keys, because there is none of the `kid` of a token. Whether it is worth waiting for: not if
    /// somebody asked a moment ago, since anybody can make up a `kid` (`threats.md` R30).
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

    /// Waits for the fetch that is under way, if there is one. Without end, if its fetcher is gone.
    pub async fn fetch_ended(&self) {
        // Whoever finds a thousand others waiting does not join them: a flood must not fill the memory.
        let Ok(_patience) = self.patience.try_acquire() else { return };
        let mut in_flight = self.in_flight.subscribe();
        let _ = in_flight.wait_for(|in_flight| !in_flight).await;
    }

    /// Waits until somebody has asked.
    pub async fn refresh_requested(&self) {
        self.wanted.notified().await;
    }

    /// A fetch begins.
    pub fn fetch_begins(&self) {
        self.in_flight.send_replace(true);
    }

    /// It has ended, and this is why it brought nothing. Returns whether that is news.
    pub fn fetch_failed(&self, error: String) -> bool {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let mut fetched = self.fetched();
        let is_news = fetched.error.as_ref() != Some(&error);
        fetched.error = Some(error);
        drop(fetched);
        self.in_flight.send_replace(false);
        is_news
    }

    /// It has ended, and its keys were installed.
    pub fn fetch_succeeded(&self) {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        self.in_flight.send_replace(false);
    }

    /// The last fetch.
    #[must_use]
    pub fn last_fetch(&self) -> LastFetch {
        self.fetched().clone()
    }

    /// How many fetches brought keys, and how many did not.
    #[must_use]
    pub fn fetches(&self) -> (u64, u64) {
        (self.fetches.load(Ordering::Relaxed), self.failures.load(Ordering::Relaxed))
    }

    fn fetched(&self) -> std::sync::MutexGuard<'_, LastFetch> {
        self.fetched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether keys may be fetched from here.
///
/// # Errors
/// Why not, as the end of a sentence that begins with the URL.
pub fn check_url(url: &str, insecure_http: bool) -> Result<(), &'static str> {
    let uri: http::Uri = url.parse().map_err(|_| "is no URL")?;
    let has_host =
        uri.authority().is_some_and(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'));
    match uri.scheme_str() {
        _ if !has_host || url.contains('#') => Err("must name a host, and no user and no fragment"),
        Some("https") => Ok(()),
        Some("http") if insecure_http => Ok(()),
        Some("http") => {
            Err("lets whoever is on the way put keys of their own in: write https, or insecure_http = true")
        }
        _ => Err("is no https URL"),
    }
}

/// `node-oauth2-jwt-bearer` waits as long.
const ASK_EVERY_SECONDS: i64 = 30;
const MAX_WAITING: usize = 1024;

#[cfg(test)]
mod tests;
