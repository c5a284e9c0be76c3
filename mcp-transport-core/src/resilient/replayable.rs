//! Which methods of MCP may be sent again when nobody knows what became of them. A closed table:
//! what is not in it may not.

use crate::delivery::Replay;
use crate::message::Message;

/// Reads, and what opens a session. `tools/call` is not among them, whatever the tool.
const SAFE: [&str; 13] = [
    "completion/complete",
    "initialize",
    "ping",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/templates/list",
    "server/discover",
    "tasks/get",
    "tasks/list",
    "tasks/result",
    "tools/list",
];

/// A request that has no end by design: it is answered when the host ends the subscription
/// (2026-07-28).
pub const ENDLESS: &str = "subscriptions/listen";

/// Whether a request of this method may be sent again when nobody knows what became of it.
///
/// ```
/// use mcp_transport_core::delivery::Replay;
/// use mcp_transport_core::resilient::replayable::replay;
///
/// assert_eq!(replay("tools/list"), Replay::Safe);
/// assert_eq!(replay("tools/call"), Replay::Never);
/// ```
pub fn replay(method: &str) -> Replay {
    if SAFE.contains(&method) {
        Replay::Safe
    } else {
        Replay::Never
    }
}

/// The same for a message, of which a method that nobody knows may not be sent again.
pub(super) fn of(request: &Message) -> Replay {
    request.method().map_or(Replay::Never, replay)
}
