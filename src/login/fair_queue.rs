//! The order in which passwords are hashed: a bounded queue in which each realm has the same share, and in each realm
//! each client network.
//!
//! With a single queue, one client with one valid account could fill it and block every other client (SECURITY.md R64).
//! Here each network has its own queue. The next password is from the network with the least use, in the realm with the
//! least use (weighted fair queueing: A. Demers, S. Keshav and S. Shenker, "Analysis and Simulation of a Fair Queueing
//! Algorithm", 1989). If there is no room, the longest queue loses its newest password, and not the newcomer.

use std::collections::VecDeque;
use std::net::IpAddr;

/// The share of the threads in which a password is hashed.
#[derive(Clone, Copy, Debug)]
pub struct Share<'a> {
    /// The realm of the login, or of the user.
    pub realm: &'a str,
    /// The client's address, as far as it is believed.
    pub client: IpAddr,
}

/// The queue. `T` is a queued job.
#[derive(Debug)]
pub(super) struct FairQueue<T> {
    realms: Turns<String, Turns<Network, VecDeque<T>>>,
    length: usize,
}

/// A client's network: an address of IPv4, or the first 56 bits of one of IPv6, as most providers give them to one customer
/// (RIPE-690, 4.2).
type Network = u128;

impl<T> FairQueue<T> {
    pub(super) const fn new() -> Self {
        Self { realms: Turns::new(), length: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.length
    }

    /// Adds a job. Returns the job that is dropped if more than `most` would wait, which can be the new one.
    pub(super) fn push(&mut self, share: Share<'_>, item: T, most: usize) -> Option<T> {
        let network = network(share.client);
        let realm = self.realms.flow(|name| name == share.realm, || share.realm.to_owned());
        let own = self.realms.flows[realm].queue.flow(|other| *other == network, || network);
        self.realms.flows[realm].queue.flows[own].queue.push_back(item);
        self.length += 1;
        if self.length <= most { None } else { self.displace(realm, own) }
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let realm = self.realms.next()?;
        let networks = &mut self.realms.flows[realm].queue;
        let network = networks.next()?;
        let queue = &mut networks.flows[network].queue;
        let item = queue.pop_front();
        if queue.is_empty() {
            networks.flows.remove(network);
        }
        if networks.flows.is_empty() {
            self.realms.flows.remove(realm);
        }
        self.length -= 1;
        item
    }

    /// Removes the newest job of the longest queue, in the realm with the most jobs. The new job, in `network` of
    /// `realm`, is included, and is dropped unless another queue is longer than its own.
    fn displace(&mut self, realm: usize, network: usize) -> Option<T> {
        let length =
            |networks: &Turns<Network, VecDeque<T>>| networks.flows.iter().map(|flow| flow.queue.len()).sum::<usize>();
        let longest = self.realms.longest(realm, length);
        let networks = &mut self.realms.flows[longest].queue;
        // In another realm there is no new job: of equally long queues, the last one to arrive loses.
        let network = if longest == realm { network } else { networks.flows.len() - 1 };
        let loser = networks.longest(network, VecDeque::len);
        let queue = &mut networks.flows[loser].queue;
        let item = queue.pop_back();
        if queue.is_empty() {
            networks.flows.remove(loser);
        }
        if networks.flows.is_empty() {
            self.realms.flows.remove(longest);
        }
        self.length -= 1;
        item
    }
}

/// Flows that take turns. Only those in which something waits are kept.
#[derive(Debug)]
struct Turns<K, Q> {
    flows: Vec<Flow<K, Q>>,
    /// The virtual time: the use of a flow that always had work.
    clock: u64,
    /// The virtual time after the last turn.
    next: u64,
}

#[derive(Debug)]
struct Flow<K, Q> {
    key: K,
    /// The virtual time of its next turn.
    due: u64,
    queue: Q,
}

impl<K, Q> Turns<K, Q> {
    const fn new() -> Self {
        Self { flows: Vec::new(), clock: 0, next: 0 }
    }

    /// The place of a flow. A new one is due now: before those that had their turn already, and after those that were there
    /// and still wait for theirs.
    fn flow(&mut self, is: impl Fn(&K) -> bool, key: impl FnOnce() -> K) -> usize
    where
        Q: Default,
    {
        self.flows.iter().position(|flow| is(&flow.key)).unwrap_or_else(|| {
            self.flows.push(Flow { key: key(), due: self.clock, queue: Q::default() });
            self.flows.len() - 1
        })
    }

    /// Returns the next flow.
    fn next(&mut self) -> Option<usize> {
        self.clock = self.next;
        let flows = self.flows.len().max(1) as u64;
        // The first of those that are due at the same time.
        let (place, flow) = self.flows.iter_mut().enumerate().min_by_key(|(_, flow)| flow.due)?;
        // All flows together use one turn, so the time of each advances by its part. So a stream of newcomers does not
        // block the others. The time never passes the flow itself, so that the next newcomer comes before a lone flow.
        let part = TURN / flows;
        self.next = self.clock.max((self.clock + part).min(flow.due + TURN - part));
        flow.due += TURN;
        Some(place)
    }

    /// The longest flow; the one at `first` if no other is longer.
    fn longest(&self, first: usize, length: impl Fn(&Q) -> usize) -> usize {
        let lengths = self.flows.iter().enumerate().map(|(place, flow)| (length(&flow.queue), place == first, place));
        lengths.max().map_or(first, |(_, _, place)| place)
    }
}

impl<K, Q> Default for Turns<K, Q> {
    fn default() -> Self {
        Self::new()
    }
}

fn network(client: IpAddr) -> Network {
    match client.to_canonical() {
        // No IPv6 network is among the addresses that stand for IPv4.
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits() & V6_MASK,
    }
}

/// A turn of one flow, in virtual time.
const TURN: u64 = 1 << 20;
const V6_MASK: u128 = u128::MAX << (128 - 56);

#[cfg(test)]
mod tests {
    use super::*;

    fn share<'a>(realm: &'a str, client: &str) -> Share<'a> {
        Share { realm, client: client.parse().unwrap() }
    }

    fn push<T>(queue: &mut FairQueue<T>, client: &str, item: T) {
        assert!(queue.push(share("a", client), item, 64).is_none());
    }

    fn rest<T>(queue: &mut FairQueue<T>) -> Vec<T> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn r64_who_comes_beside_a_flood_is_next() {
        let mut queue = FairQueue::new();
        (0..20).for_each(|_| push(&mut queue, "192.0.2.1", "flood"));
        for _ in 0..5 {
            assert_eq!(queue.pop(), Some("flood"));
        }
        for client in ["192.0.2.2", "192.0.2.3", "2001:db8::1"] {
            push(&mut queue, client, client);
        }
        let order: Vec<_> = (0..5).filter_map(|_| queue.pop()).collect();
        assert_eq!(order, ["192.0.2.2", "192.0.2.3", "2001:db8::1", "flood", "flood"]);
        push(&mut queue, "192.0.2.2", "again");
        assert_eq!((queue.pop(), queue.len()), (Some("again"), 13));
    }

    #[test]
    fn two_that_never_rest_have_the_same() {
        let mut queue = FairQueue::new();
        for _ in 0..30 {
            push(&mut queue, "192.0.2.1", 1);
        }
        for _ in 0..10 {
            push(&mut queue, "192.0.2.2", 2);
        }
        let first: Vec<_> = (0..20).filter_map(|_| queue.pop()).collect();
        assert_eq!(first.iter().filter(|from| **from == 2).count(), 10, "{first:?}");
        assert_eq!(rest(&mut queue), [1; 20]);
    }

    #[test]
    fn newcomers_without_end_hold_no_one_up_for_ever() {
        let mut queue = FairQueue::new();
        push(&mut queue, "192.0.2.1", "patient");
        push(&mut queue, "192.0.2.1", "patient");
        let mut turns = Vec::new();
        for number in 0..100 {
            push(&mut queue, &format!("198.51.100.{number}"), "new");
            push(&mut queue, &format!("203.0.113.{number}"), "new");
            turns.extend(queue.pop());
            turns.extend(queue.pop());
        }
        assert_eq!(turns.iter().filter(|turn| **turn == "patient").count(), 2);
    }

    #[test]
    fn each_realm_has_the_same_share() {
        let mut queue = FairQueue::new();
        for number in 0..30 {
            assert_eq!(queue.push(share("a", &format!("192.0.2.{number}")), "a", 64), None);
        }
        for _ in 0..10 {
            assert_eq!(queue.push(share("b", "192.0.2.1"), "b", 64), None);
        }
        let first: Vec<_> = (0..20).filter_map(|_| queue.pop()).collect();
        assert_eq!(first.iter().filter(|realm| **realm == "b").count(), 10, "{first:?}");
    }

    #[test]
    fn r64_the_longest_queue_makes_room_and_not_the_newcomer() {
        let mut queue = FairQueue::new();
        for number in 0..8 {
            assert_eq!(queue.push(share("a", "192.0.2.1"), number, 8), None);
        }
        assert_eq!(queue.push(share("a", "192.0.2.2"), 100, 8), Some(7), "its newest");
        assert_eq!(queue.push(share("a", "192.0.2.1"), 8, 8), Some(8), "which is what came, if it is its own");
        for number in 0..3 {
            assert_eq!(queue.push(share("a", "192.0.2.3"), 200 + number, 8), Some(6 - number));
        }
        assert_eq!(queue.push(share("a", "192.0.2.3"), 203, 8), Some(203), "no longer one: 4, 1, 3");
        // A realm with fewer jobs than another takes a place from it.
        assert_eq!(queue.push(share("b", "192.0.2.1"), 300, 8), Some(3));
        assert_eq!(queue.len(), 8);
        let mut left = rest(&mut queue);
        left.sort_unstable();
        assert_eq!((left, queue.len()), (vec![0, 1, 2, 100, 200, 201, 202, 300], 0));
        assert!(queue.realms.flows.is_empty(), "nothing is kept");
    }

    #[test]
    fn without_room_the_newcomer_goes_if_all_have_the_same() {
        let mut queue = FairQueue::new();
        for number in 0..8 {
            assert_eq!(queue.push(share("a", &format!("192.0.2.{number}")), number, 8), None);
        }
        assert_eq!(queue.push(share("a", "192.0.2.9"), 9, 8), Some(9));
        assert_eq!(queue.push(share("b", "192.0.2.9"), 10, 8), Some(7), "another realm's newest");
        assert_eq!(FairQueue::new().push(share("a", "192.0.2.9"), 11, 0), Some(11));
    }

    #[test]
    fn networks_are_addresses_of_ipv4_and_sites_of_ipv6() {
        let same = |one: &str, other: &str| network(one.parse().unwrap()) == network(other.parse().unwrap());
        assert!(same("192.0.2.1", "::ffff:192.0.2.1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
        assert!(same("2001:db8::1", "2001:db8:0:ff:1:2:3:4"));
        assert!(!same("2001:db8::1", "2001:db8:0:100::1"));
        assert!(!same("::1", "192.0.2.1"));
    }
}
