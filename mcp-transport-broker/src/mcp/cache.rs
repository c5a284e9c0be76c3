//! What was said on streams that may break, for whoever comes back for it. Bounded.

use super::streams::{Event, EventId, StreamId};
use std::collections::VecDeque;

/// Events of all streams together, at most.
const MAX_EVENTS: usize = 1_024;

/// Their bytes together, at most: 16 MiB.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// In the order in which they were said; the oldest gives way.
#[derive(Debug, Default)]
pub(super) struct Cache {
    events: VecDeque<(EventId, Event)>,
    bytes: usize,
}

impl Cache {
    pub(super) fn keep(&mut self, id: EventId, event: Event) {
        self.bytes += event.message.len();
        self.events.push_back((id, event));
        while self.events.len() > MAX_EVENTS || self.bytes > MAX_BYTES {
            let Some((id, event)) = self.events.pop_front() else {
                return;
            };
            self.bytes -= event.message.len();
            tracing::debug!(%id, "an event of a stream can no longer be resumed");
        }
    }

    /// What came on this stream after this event.
    pub(super) fn after(&self, id: EventId) -> impl Iterator<Item = &Event> {
        self.events
            .iter()
            .filter(move |(kept, _)| kept.stream == id.stream && kept.number > id.number)
            .map(|(_, event)| event)
    }

    pub(super) fn forget(&mut self, stream: StreamId) {
        let bytes = &mut self.bytes;
        self.events.retain(|(id, event)| {
            let keep = id.stream != stream;
            if !keep {
                *bytes -= event.message.len();
            }
            keep
        });
    }
}
