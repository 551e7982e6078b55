//! Tunnels: WebSockets and event streams, which outlive the judgement on their request.
//!
//! One that was opened with a token or an API key ends within a second of its end (contract 4.6), idle or not, and every
//! one ends when the gate stops. The client of a WebSocket is told (`stream`, `websocket`). For the others, nothing in pingora
//! ends a request from outside, but its future may be dropped: that closes the client's connection or HTTP/2 stream, and
//! the upstream's. [`CancelHandle`] is what the one who drops and the one who serves the request share.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Poll, Waker};

use super::connection_state::ConnectionState;
use super::websocket;
use crate::config::{Policy, Sha256};
use crate::gate::{Grant, Principal};
use crate::token::{RevocationKeys, Revocations};

/// The tunnels that are open.
#[derive(Default)]
pub struct Tunnels {
    open: Mutex<Vec<Tunnel>>,
    /// The gate stops: whoever comes still has to go at once.
    closing: AtomicBool,
}

struct Tunnel {
    /// What it was opened with.
    pass: Option<TunnelCredentials>,
    line: Weak<CancelHandle>,
    /// Of a WebSocket, which can be told why it ends.
    connection: Option<Weak<ConnectionState>>,
    /// It was told, and is to end by itself.
    told: bool,
}

/// The token and the API key that a tunnel was opened with.
pub(super) struct TunnelCredentials {
    token: Option<(RevocationKeys, i64)>,
    is_trusted: IsTrusted,
}

/// Whether the key that signed a tunnel's token, and its API key, are among those of this policy, at this Unix second.
type IsTrusted = Box<dyn Fn(&Policy, i64) -> bool + Send>;

/// Cut from outside, it ends its request.
#[derive(Debug, Default)]
struct CancelHandle {
    cut: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Tunnels {
    /// Remembers the request that this task is serving as a tunnel. Twice for one request changes nothing.
    pub(super) fn open(&self, pass: Option<TunnelCredentials>, websocket: Option<&Arc<ConnectionState>>) {
        // Outside of [`serve`] there is no line, and nothing that could be cut.
        let _ = LINE.try_with(|slot| {
            if slot.borrow().is_some() {
                return;
            }
            let line = Arc::new(CancelHandle::default());
            let connection = websocket.map(Arc::downgrade);
            let mut tunnel = Tunnel { pass, line: Arc::downgrade(&line), connection, told: false };
            let mut all = self.all();
            // Under the lock, so that whoever says goodbye to all of them has not missed this one.
            if self.closing.load(Ordering::Relaxed) {
                tunnel.leave();
            }
            all.push(tunnel);
            drop(all);
            slot.replace(Some(line));
        });
    }

    /// Ends every tunnel whose token has expired or was revoked, or was signed with a key that was taken away since, or
    /// whose API key was taken away or has expired, and forgets those that have closed. To be called several times a second.
    pub fn close_invalid(&self, revoked: &Revocations, policy: &Policy, now: i64) {
        self.all().retain_mut(|tunnel| {
            let Some(line) = tunnel.line.upgrade() else { return false };
            let counts = tunnel.pass.as_ref().is_none_or(|pass| pass.counts(revoked, policy, now));
            if counts {
                return true;
            }
            // Whoever was told, and is here still, was within a frame, or does not read.
            if !tunnel.told && tunnel.say_goodbye(websocket::POLICY) {
                return true;
            }
            line.cut();
            false
        });
    }

    /// Ends them all, since the gate stops: a client that hears of it connects anew, to whoever is there then.
    pub fn close_all(&self) {
        let mut all = self.all();
        self.closing.store(true, Ordering::Relaxed);
        all.iter_mut().for_each(Tunnel::leave);
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn all(&self) -> MutexGuard<'_, Vec<Tunnel>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tunnel {
    /// Ends it, since the gate stops.
    fn leave(&mut self) {
        if !self.say_goodbye(websocket::GOING_AWAY)
            && let Some(line) = self.line.upgrade()
        {
            line.cut();
        }
    }

    /// Tells the client of a WebSocket that it ends. Returns whether there is one to be told.
    fn say_goodbye(&mut self, code: u16) -> bool {
        let connection = self.connection.as_ref().and_then(Weak::upgrade);
        self.told |= connection.is_some();
        connection.map(|connection| connection.request_close(code)).is_some()
    }
}

impl TunnelCredentials {
    /// What a request was granted for; `None` if anybody may send it.
    pub(super) fn from_grant(grant: &Grant) -> Option<Self> {
        let (speaker, key) = (grant.speaker().cloned(), grant.key().map(|key| key.secret()));
        if speaker.is_none() && key.is_none() {
            return None;
        }
        let token = speaker.as_ref().map(|speaker| (*speaker.marks(), speaker.claims().expires_at));
        let realm = grant.route().realm().clone();
        let is_trusted = move |policy: &Policy, now| {
            let admits =
                |key: &Sha256| policy.realm(realm.name()).is_some_and(|realm| realm.is_api_key_valid(key, now));
            let trusts = |speaker: &Arc<Principal>| speaker.is_key_trusted(policy, realm.name(), now);
            key.as_ref().is_none_or(admits) && speaker.as_ref().is_none_or(trusts)
        };
        Some(Self { token, is_trusted: Box::new(is_trusted) })
    }

    fn counts(&self, revoked: &Revocations, policy: &Policy, now: i64) -> bool {
        let in_force = |(marks, expires_at): &(RevocationKeys, i64)| now < *expires_at && !revoked.contains(marks);
        self.token.as_ref().is_none_or(in_force) && (self.is_trusted)(policy, now)
    }
}

impl CancelHandle {
    fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        if let Some(waker) = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
    }

    fn is_cut(&self, waker: &Waker) -> bool {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner).replace(waker.clone());
        self.cut.load(Ordering::Acquire)
    }
}

/// Serves one request: `None` if it became a tunnel that was cut.
pub(super) async fn serve<T>(request: impl Future<Output = Option<T>>) -> Option<T> {
    let serving = async {
        let mut request = pin!(request);
        poll_fn(|context| {
            if let Poll::Ready(done) = request.as_mut().poll(context) {
                return Poll::Ready(done);
            }
            let cut = LINE.with(|slot| slot.borrow().as_ref().is_some_and(|line| line.is_cut(context.waker())));
            if cut { Poll::Ready(None) } else { Poll::Pending }
        })
        .await
    };
    LINE.scope(RefCell::new(None), serving).await
}

tokio::task_local! {
    /// The line of the request that this task serves, once it is a tunnel.
    static LINE: RefCell<Option<Arc<CancelHandle>>>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{AccountId, TokenId};

    fn marks(token: u128) -> RevocationKeys {
        RevocationKeys {
            token: TokenId(token),
            session: None,
            account: AccountId(0),
            everyone: AccountId(1),
            issued_at: 0,
        }
    }

    #[tokio::test]
    async fn an_idle_tunnel_ends_with_its_token() {
        let (tunnels, revoked) = (Arc::new(Tunnels::default()), Revocations::new());
        let (policy, taken_away) = (Policy::default(), Arc::new(AtomicBool::new(false)));
        let idle = |token, expires_at| {
            let (tunnels, taken_away) = (tunnels.clone(), taken_away.clone());
            let is_trusted = move |_: &Policy, _| token != 3 || !taken_away.load(Ordering::Relaxed);
            tokio::spawn(serve(async move {
                for _ in 0..2 {
                    let is_trusted = Box::new(is_trusted.clone());
                    tunnels.open(Some(TunnelCredentials { token: Some((marks(token), expires_at)), is_trusted }), None);
                }
                std::future::pending::<Option<()>>().await
            }))
        };
        let (expiring, logged_out, of_the_key, lasting) = (idle(1, 100), idle(2, 1000), idle(3, 1000), idle(4, 1000));
        while tunnels.len() < 4 {
            tokio::task::yield_now().await;
        }
        tunnels.close_invalid(&revoked, &policy, 99);
        assert_eq!(tunnels.len(), 4);
        tunnels.close_invalid(&revoked, &policy, 100);
        assert_eq!(expiring.await.unwrap(), None);
        revoked.extend([(TokenId(2), 1000)]);
        tunnels.close_invalid(&revoked, &policy, 100);
        assert_eq!(logged_out.await.unwrap(), None);
        assert_eq!(tunnels.len(), 2);
        taken_away.store(true, Ordering::Relaxed);
        tunnels.close_invalid(&revoked, &policy, 100);
        assert_eq!(of_the_key.await.unwrap(), None);
        assert_eq!(tunnels.len(), 1);
        assert!(!lasting.is_finished());
        tunnels.close_all();
        assert_eq!(lasting.await.unwrap(), None, "when the gate stops");
        tunnels.close_invalid(&revoked, &policy, 100);
        assert!(tunnels.is_empty());
    }

    #[tokio::test]
    async fn what_is_no_tunnel_ends_by_itself() {
        assert_eq!(serve(async { Some(7) }).await, Some(7));
    }
}
