//! What a client may take up.

pub(in crate::config) mod read;

use std::time::Duration;

use crate::config::sealed::Sealed;
use crate::quota::Quota;

/// `[limits]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    pub(in crate::config) connections: usize,
    pub(in crate::config) connections_per_address: usize,
    pub(in crate::config) streams_per_address: usize,
    /// The largest head of a request, in bytes: request line and headers.
    pub head_size: u64,
    /// How long the head of a request may take to come, from its first byte on.
    pub head_timeout: Duration,
    /// How long a request's body may pause.
    pub body_timeout: Duration,
    pub(in crate::config) body_rate: u64,
    pub(in crate::config) body_size: u64,
    /// How long an idle connection of a client stays open.
    pub keepalive: Duration,
    /// How many requests a client's address may send.
    pub per_address: Quota,
    pub(in crate::config) _sealed: Sealed,
}

impl Limits {
    /// How many connections of clients may be open; `None`: half of the file descriptors that the process may have.
    #[must_use]
    pub const fn connections(&self) -> Option<usize> {
        if self.connections == 0 { None } else { Some(self.connections) }
    }

    /// How many of one address, if there is a limit.
    #[must_use]
    pub const fn connections_per_address(&self) -> Option<usize> {
        if self.connections_per_address == 0 { None } else { Some(self.connections_per_address) }
    }

    /// How many streams of HTTP/2 of one address may be served at the same time, if there is a limit.
    #[must_use]
    pub const fn streams_per_address(&self) -> Option<usize> {
        if self.streams_per_address == 0 { None } else { Some(self.streams_per_address) }
    }

    /// How many bytes a second of a request's body have to come on average, if there is a limit.
    #[must_use]
    pub const fn body_rate(&self) -> Option<u64> {
        some(self.body_rate)
    }

    /// The largest body of a request in bytes, if there is a limit. A route may have [another](crate::config::Route::body_size).
    #[must_use]
    pub const fn body_size(&self) -> Option<u64> {
        some(self.body_size)
    }
}

impl Limits {
    /// The limits without a `[limits]` section.
    pub(in crate::config) const DEFAULT: Self = Self {
        _sealed: Sealed(()),
        connections: 0,
        connections_per_address: 0,
        streams_per_address: 1000,
        head_size: 64 << 10,
        head_timeout: Duration::from_secs(10),
        body_timeout: Duration::from_secs(30),
        body_rate: 500,
        body_size: 0,
        keepalive: Duration::from_secs(75),
        per_address: Quota { rate: None, concurrent: None },
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// As the file writes that there is none.
pub(in crate::config) const fn some(number: u64) -> Option<u64> {
    if number == 0 { None } else { Some(number) }
}
