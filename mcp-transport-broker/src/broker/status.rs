//! What the broker says of itself.

use super::Broker;
use crate::native::Host;
use serde::Serialize;
use std::time::Instant;

/// A broker in numbers.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// Who is attached; null where nobody is.
    pub host: Option<Attached>,
    /// While nobody is: why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub away: Option<String>,
    /// Clients of both eras that are there.
    pub clients: usize,
    /// Those of them that are legacy sessions.
    pub sessions: usize,
    /// Calls that wait for a host.
    pub queued: usize,
    /// Calls that a host has.
    pub running: usize,
    /// Calls whose host is gone, and will still answer.
    pub deferred: usize,
    /// Results, and ends, that may be asked for.
    pub late: usize,
    /// True once the broker is ending.
    pub shutting_down: bool,
}

/// The host that is attached.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Attached {
    /// Who it is.
    #[serde(flatten)]
    pub host: Host,
    /// For how long, in milliseconds.
    pub since_ms: u64,
    /// When it was heard, in milliseconds ago.
    pub heard_ms: u64,
    /// The connections that it has open.
    pub connections: usize,
}

impl Broker {
    /// How many calls of clients are not over.
    pub fn pending(&self) -> usize {
        self.calls.len()
    }

    /// Whether a host is attached, or a call waits for one.
    pub fn is_needed(&self) -> bool {
        self.seat.is_some() || !self.calls.is_empty()
    }

    /// Who is attached, and what waits.
    pub fn status(&self, now: Instant) -> Status {
        let millis = |since| {
            let time = now.saturating_duration_since(since);
            u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
        };
        let counts = self.counts();
        Status {
            host: self.seat.as_ref().map(|seat| Attached {
                host: seat.host.clone(),
                since_ms: millis(seat.since),
                heard_ms: millis(seat.heard),
                connections: seat.connections,
            }),
            away: match self.seat {
                Some(_) => None,
                None => Some(super::endings::phrase(now, &self.away)),
            },
            clients: self
                .clients
                .iter()
                .filter(|(_, client)| !client.gone)
                .count(),
            sessions: self.clients.sessions(),
            queued: counts.queued,
            running: counts.running,
            deferred: counts.deferred,
            late: self.late.len(),
            shutting_down: self.shut,
        }
    }
}
