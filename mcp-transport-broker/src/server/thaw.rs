//! What deadlines get back when nobody here was awake for a while. Pure.

use mcp_transport_core::keepalive::TOLERANCE;
use std::time::{Duration, Instant};

/// In which whoever slept as well says that it is there, and what has come meanwhile is read: a
/// timer may fire before anybody has looked at a socket.
const GRACE: Duration = Duration::from_secs(1);

/// By how much every deadline moves when a timer that was set for `due` comes `now`; `None`, unless
/// that is so late that nobody can have been awake.
pub(super) fn gap(due: Instant, now: Instant) -> Option<Duration> {
    // Asked with each touch of the state, and hardly ever so.
    if now <= due {
        return None;
    }
    let late = now.saturating_duration_since(due);
    (late > TOLERANCE).then(|| late + GRACE)
}
