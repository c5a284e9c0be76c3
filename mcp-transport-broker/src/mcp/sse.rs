//! The bytes of an event stream.

use super::EventId;
use bytes::Bytes;
use mcp_transport_core::Message;
use std::collections::VecDeque;
use std::time::Duration;

/// After how long a client may come back for a stream that broke: 1 s. It is told with the first
/// event.
pub const RETRY: Duration = Duration::from_secs(1);

/// A message up to this size is copied behind its head, so that it goes in one piece: 16 KiB.
const COPIED: usize = 16 * 1024;

/// An event without data: it only tells where to resume, and when.
pub fn priming(id: EventId) -> Bytes {
    Bytes::from(format!("id: {id}\nretry: {}\ndata:\n\n", RETRY.as_millis()))
}

/// A comment. No client sees it; it keeps sockets alive, and finds those that are not.
pub const fn comment() -> Bytes {
    Bytes::from_static(b":\n\n")
}

/// A message as an event, in pieces: a large one is not copied.
///
/// JSON may have line ends between its tokens, and a line end ends a `data` line: such a message
/// goes in as many lines, which the client joins again.
pub fn message(id: Option<EventId>, message: &Message, out: &mut VecDeque<Bytes>) {
    let mut head = id.map_or_else(String::new, |id| format!("id: {id}\n"));
    let body = message.as_bytes();
    if body.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        let mut event = head.into_bytes();
        for line in lines(body) {
            event.extend_from_slice(b"data: ");
            event.extend_from_slice(line);
            event.push(b'\n');
        }
        event.push(b'\n');
        out.push_back(Bytes::from(event));
        return;
    }
    head.push_str("data: ");
    if body.len() > COPIED {
        out.extend([Bytes::from(head), body.clone(), Bytes::from_static(b"\n\n")]);
        return;
    }
    let mut event = head.into_bytes();
    event.reserve_exact(body.len() + 2);
    event.extend_from_slice(body);
    event.extend_from_slice(b"\n\n");
    out.push_back(Bytes::from(event));
}

/// Split at CR, LF, and both together, which is how an event stream's reader splits.
fn lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    body.split(|byte| matches!(byte, b'\n' | b'\r'))
        .filter(|line| !line.is_empty())
}
