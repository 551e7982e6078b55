//! What keeps a running gate in order.

pub mod watch;
