//! `tollgate serve`: run in the foreground, as systemd does.

use std::path::Path;

use crate::ops::{self, Failure};

/// Runs the gate until it is told to stop.
pub(super) fn run(config: &Path) -> Result<(), Failure> {
    ops::serve(config, |_| {})
}
