//! When the plugin dials again.

use std::time::Duration;

/// Seconds to wait after a loss or a failed attempt, first to last; the last one for ever.
const WAITS: [u64; 6] = [0, 1, 3, 5, 10, 30];

/// The wait before the next dial when `failures` attempts failed since the last session.
///
/// The installed plugin dials so after the loss of an established session. Its first connection it
/// tries once, and after its own reload six times; the simulator, whose operator is a test, goes on.
pub(super) fn wait(failures: usize) -> Duration {
    Duration::from_secs(WAITS[failures.min(WAITS.len() - 1)])
}
