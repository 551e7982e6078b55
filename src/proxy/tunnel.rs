//! Tunnels: WebSockets and event streams, which last longer than the decision on their request is valid.
//!
//! A tunnel ends within a second after its token or API key becomes invalid, idle or not, and every tunnel ends when
//! Tollgate stops. A client of a WebSocket gets a close frame (`client_stream`, `websocket`). Other requests have no
//! such end, and pingora can't end a request from outside (pingora-proxy 0.9.1, src/lib.rs). But its future can be
//! dropped, which closes the client's connection or HTTP/2 stream, and the connection to the application. The task that
//! serves the request and the task that ends it share a [`CancelHandle`].

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

/// The open tunnels.
#[derive(Default)]
pub struct Tunnels {
    open: Mutex<Vec<Tunnel>>,
    /// Tollgate stops: a new tunnel is ended at once.
    closing: AtomicBool,
}

struct Tunnel {
    /// The credentials of its request.
    credentials: Option<TunnelCredentials>,
    cancel: Weak<CancelHandle>,
    /// The connection of a WebSocket, for its close frame.
    connection: Option<Weak<ConnectionState>>,
    /// A close frame was requested.
    is_closing: bool,
}

/// The token and the API key that a tunnel was opened with.
pub(super) struct TunnelCredentials {
    token: Option<(RevocationKeys, i64)>,
    is_trusted: IsTrusted,
}

/// Returns whether this policy still has the key that signed the tunnel's token, and its API key, at this Unix second.
type IsTrusted = Box<dyn Fn(&Policy, i64) -> bool + Send>;

/// Ends a request from another task.
#[derive(Debug, Default)]
struct CancelHandle {
    is_cancelled: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Tunnels {
    /// Registers the request of this task as a tunnel. A second call for one request has no effect.
    pub(super) fn open(&self, credentials: Option<TunnelCredentials>, websocket: Option<&Arc<ConnectionState>>) {
        // Outside of [`serve`] there is no future to drop.
        let _ = CANCEL.try_with(|slot| {
            if slot.borrow().is_some() {
                return;
            }
            let cancel = Arc::new(CancelHandle::default());
            let connection = websocket.map(Arc::downgrade);
            let mut tunnel = Tunnel { credentials, cancel: Arc::downgrade(&cancel), connection, is_closing: false };
            let mut all = self.all();
            // Under the lock, so that `close_all` does not miss this one.
            if self.closing.load(Ordering::Relaxed) {
                tunnel.leave();
            }
            all.push(tunnel);
            drop(all);
            slot.replace(Some(cancel));
        });
    }

    /// Ends every tunnel with an invalid token (expired, revoked, or signed with a removed key) or API key (removed or expired),
    /// and forgets those that have closed. The maintenance task calls it several times a second.
    pub fn close_invalid(&self, revoked: &Revocations, policy: &Policy, now: i64) {
        self.all().retain_mut(|tunnel| {
            let Some(cancel) = tunnel.cancel.upgrade() else { return false };
            let valid =
                tunnel.credentials.as_ref().is_none_or(|credentials| credentials.are_valid(revoked, policy, now));
            if valid {
                return true;
            }
            // A tunnel that is still open at the next call is within a frame, or its client does not read.
            if !tunnel.is_closing && tunnel.request_close(websocket::POLICY) {
                return true;
            }
            cancel.cancel();
            false
        });
    }

    /// Ends all tunnels, since Tollgate stops. Clients of WebSockets can connect to the next process.
    pub fn close_all(&self) {
        let mut all = self.all();
        self.closing.store(true, Ordering::Relaxed);
        all.iter_mut().for_each(Tunnel::leave);
    }

    /// Returns the number of open tunnels.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all().len()
    }

    /// Returns whether no tunnel is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn all(&self) -> MutexGuard<'_, Vec<Tunnel>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tunnel {
    /// Ends the tunnel, since Tollgate stops.
    fn leave(&mut self) {
        if !self.request_close(websocket::GOING_AWAY)
            && let Some(cancel) = self.cancel.upgrade()
        {
            cancel.cancel();
        }
    }

    /// Requests a close frame with this code. Returns whether the tunnel is a WebSocket.
    fn request_close(&mut self, code: u16) -> bool {
        let connection = self.connection.as_ref().and_then(Weak::upgrade);
        self.is_closing |= connection.is_some();
        connection.map(|connection| connection.request_close(code)).is_some()
    }
}

impl TunnelCredentials {
    /// Returns the credentials that a request was granted for; `None` if it needed none.
    pub(super) fn from_grant(grant: &Grant) -> Option<Self> {
        let (principal, key) = (grant.principal().cloned(), grant.key().map(|key| key.secret));
        if principal.is_none() && key.is_none() {
            return None;
        }
        let token = principal.as_ref().map(|principal| (*principal.marks(), principal.claims().expires_at));
        let realm = grant.route().realm.clone();
        let is_trusted = move |policy: &Policy, now| {
            let admits = |key: &Sha256| policy.realm(&realm.name).is_some_and(|realm| realm.is_api_key_valid(key, now));
            let trusts = |principal: &Arc<Principal>| principal.is_key_trusted(policy, &realm.name, now);
            key.as_ref().is_none_or(admits) && principal.as_ref().is_none_or(trusts)
        };
        Some(Self { token, is_trusted: Box::new(is_trusted) })
    }

    fn are_valid(&self, revoked: &Revocations, policy: &Policy, now: i64) -> bool {
        let in_force = |(marks, expires_at): &(RevocationKeys, i64)| now < *expires_at && !revoked.contains(marks);
        self.token.as_ref().is_none_or(in_force) && (self.is_trusted)(policy, now)
    }
}

impl CancelHandle {
    fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Release);
        if let Some(waker) = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
    }

    fn is_cancelled(&self, waker: &Waker) -> bool {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner).replace(waker.clone());
        self.is_cancelled.load(Ordering::Acquire)
    }
}

/// Serves one request: `None` if it became a tunnel and was ended from outside.
pub(super) async fn serve<T>(request: impl Future<Output = Option<T>>) -> Option<T> {
    let serving = async {
        let mut request = pin!(request);
        poll_fn(|context| {
            if let Poll::Ready(done) = request.as_mut().poll(context) {
                return Poll::Ready(done);
            }
            let cancelled =
                CANCEL.with(|slot| slot.borrow().as_ref().is_some_and(|cancel| cancel.is_cancelled(context.waker())));
            if cancelled { Poll::Ready(None) } else { Poll::Pending }
        })
        .await
    };
    CANCEL.scope(RefCell::new(None), serving).await
}

tokio::task_local! {
    /// The handle of the request that this task serves, after it has become a tunnel.
    static CANCEL: RefCell<Option<Arc<CancelHandle>>>;
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
