//! `[limits]`: limits for clients.

pub(in crate::config) mod read;

use std::time::Duration;

use crate::config::sealed::Sealed;
use crate::quota::Quota;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    pub(in crate::config) connections: usize,
    pub(in crate::config) connections_per_address: usize,
    pub(in crate::config) streams_per_address: usize,
    /// Bytes of the request line and the header fields.
    pub head_size: u64,
    /// Time from the first byte of a request head to its last one.
    pub head_timeout: Duration,
    /// Pause within a request body.
    pub body_timeout: Duration,
    pub(in crate::config) body_rate: u64,
    pub(in crate::config) body_size: u64,
    /// Time after which an idle client connection is closed.
    pub keepalive: Duration,
    /// Requests of one client address.
    pub per_address: Quota,
    pub(in crate::config) _sealed: Sealed,
}

impl Limits {
    /// Open client connections. `None`: half of the file descriptors that the process can have.
    #[must_use]
    pub const fn connections(&self) -> Option<usize> {
        if self.connections == 0 { None } else { Some(self.connections) }
    }

    /// Open connections of one client address. `None`: no limit.
    #[must_use]
    pub const fn connections_per_address(&self) -> Option<usize> {
        if self.connections_per_address == 0 { None } else { Some(self.connections_per_address) }
    }

    /// Concurrent HTTP/2 requests of one client address. `None`: no limit.
    #[must_use]
    pub const fn streams_per_address(&self) -> Option<usize> {
        if self.streams_per_address == 0 { None } else { Some(self.streams_per_address) }
    }

    /// Minimum average rate of a request body, in bytes per second. `None`: no minimum.
    #[must_use]
    pub const fn body_rate(&self) -> Option<u64> {
        some(self.body_rate)
    }

    /// Bytes of a request body. `None`: no limit. A route can have [its own limit](crate::config::Route::body_size).
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

/// Returns `None` for 0, which means no limit in the file.
pub(in crate::config) const fn some(number: u64) -> Option<u64> {
    if number == 0 { None } else { Some(number) }
}
