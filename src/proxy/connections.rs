//! Counts open connections, in total and by client address.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::gate::AddressPrefix;

/// The open connections of one kind of listener.
#[derive(Debug, Default)]
pub struct Connections {
    open: AtomicUsize,
    accepted: AtomicU64,
    refused: AtomicU64,
    left: Notify,
    /// In shards, each with its own lock. A connection takes a lock when it begins and when it ends; a request takes none.
    by_address: [Mutex<HashMap<AddressPrefix, Address>>; PARTS],
}

/// Open connections and streams of one address.
#[derive(Debug, Default)]
struct Address {
    connections: usize,
    /// HTTP/2 streams that are being served, on all connections of the address.
    streams: Arc<AtomicUsize>,
}

impl Connections {
    /// Returns the number of open connections.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Returns the number of connections since the start.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Returns the number of connections that were closed at once because of `connections_per_address`.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Counts a connection. `None` if there are `most` from its address. A `trusted` proxy has no limit: it sends the requests of
    /// many clients.
    pub(super) fn try_acquire(
        self: &Arc<Self>,
        from: IpAddr,
        most: Option<usize>,
        trusted: bool,
    ) -> Option<ConnectionPermit> {
        let from = AddressPrefix::from_address(from);
        let streams = {
            let mut part = self.part(from).lock().unwrap_or_else(PoisonError::into_inner);
            let there = part.entry(from).or_default();
            if !trusted && most.is_some_and(|most| there.connections >= most) {
                drop(part);
                self.refused.fetch_add(1, Ordering::Relaxed);
                return None;
            }
            there.connections += 1;
            there.streams.clone()
        };
        self.open.fetch_add(1, Ordering::AcqRel);
        self.accepted.fetch_add(1, Ordering::Relaxed);
        Some(ConnectionPermit { connections: self.clone(), from, streams, trusted })
    }

    /// Waits until fewer than `most` are open.
    pub(super) async fn wait_until_below(&self, most: usize) {
        loop {
            let left = self.left.notified();
            if self.open() < most {
                return;
            }
            left.await;
        }
    }

    fn part(&self, from: AddressPrefix) -> &Mutex<HashMap<AddressPrefix, Address>> {
        let [.., last] = match from {
            AddressPrefix::V4(bits) => u64::from(bits).to_be_bytes(),
            AddressPrefix::V6(bits) => bits.to_be_bytes(),
        };
        &self.by_address[usize::from(last) % PARTS]
    }
}

/// An open connection. Dropping it ends the count.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    connections: Arc<Connections>,
    from: AddressPrefix,
    streams: Arc<AtomicUsize>,
    trusted: bool,
}

/// An HTTP/2 stream that is being served. Dropping it ends the count.
#[derive(Debug)]
pub(super) struct OpenStream(Arc<AtomicUsize>);

impl ConnectionPermit {
    /// Counts a stream. `None` if `most` are open from its address.
    pub(super) fn open_stream(&self, most: Option<usize>) -> Option<OpenStream> {
        let open = self.streams.fetch_add(1, Ordering::AcqRel);
        let stream = OpenStream(self.streams.clone());
        (self.trusted || most.is_none_or(|most| open < most)).then_some(stream)
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut part = self.connections.part(self.from).lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut there) = part.entry(self.from) {
            there.get_mut().connections -= 1;
            if there.get().connections == 0 {
                there.remove();
            }
        }
        drop(part);
        self.connections.open.fetch_sub(1, Ordering::AcqRel);
        self.connections.left.notify_waiters();
    }
}

const PARTS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn counts_who_comes_and_forgets_who_goes() {
        let connections = Arc::new(Connections::default());
        let from = |text: &str| text.parse::<IpAddr>().unwrap();
        let enter = |text, most| connections.try_acquire(from(text), Some(most), false);
        let first = enter("192.0.2.1", 2).unwrap();
        let second = enter("::ffff:192.0.2.1", 2).unwrap();
        assert!(enter("192.0.2.1", 2).is_none(), "an address in two spellings");
        let other = enter("192.0.2.2", 2).unwrap();
        let v6 = enter("2001:db8::1", 1).unwrap();
        assert!(enter("2001:db8::2", 1).is_none(), "one network");
        assert!(enter("2001:db8:0:1::2", 1).is_some(), "another one");
        assert_eq!((connections.open(), connections.refused(), connections.accepted()), (4, 2, 5));
        let waiting = tokio::spawn({
            let connections = connections.clone();
            async move { connections.wait_until_below(2).await }
        });
        tokio::task::yield_now().await;
        drop((first, second));
        assert!(enter("192.0.2.1", 1).is_some());
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(v6);
        waiting.await.unwrap();
        drop(other);
        assert_eq!(connections.open(), 0);
        assert!(connections.by_address.iter().all(|part| part.lock().unwrap().is_empty()), "nothing is kept");
    }
    #[test]
    fn streams_count_for_their_address() {
        let connections = Arc::new(Connections::default());
        let enter = |trusted| connections.try_acquire("192.0.2.1".parse().unwrap(), None, trusted).unwrap();
        let (one, another, proxy) = (enter(false), enter(false), enter(true));
        let first = one.open_stream(Some(2)).unwrap();
        let second = another.open_stream(Some(2)).unwrap();
        assert!(one.open_stream(Some(2)).is_none() && another.open_stream(Some(2)).is_none());
        assert!(one.open_stream(None).is_some() && proxy.open_stream(Some(2)).is_some());
        drop(first);
        let third = one.open_stream(Some(2)).unwrap();
        drop((one, another, proxy));
        let fresh = enter(false);
        assert!(fresh.open_stream(Some(1)).is_some(), "an address that went is new");
        drop((second, third));
        assert_eq!(fresh.streams.load(Ordering::Relaxed), 0);
    }
}
