//! What an older broker gives to a newer one: the answer to `replace`, see `PROTOCOL.md`.

use crate::broker::{Declared, Snapshot};
use crate::native::Meet;
use mcp_transport_core::delivery::Replay;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Everything that waits at a broker, and what its hosts and clients know it by.
///
/// Times are in milliseconds, and relative: ages, or what is left.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct HandOver {
    /// The last number of a client's short name.
    pub last_client: u64,
    /// The last ticket, and the last one of the broker's own requests.
    pub last_ticket: u64,
    /// The last ticket of the broker's own.
    pub last_own: u64,
    /// The last number of a stream.
    pub last_stream: u64,
    /// The legacy sessions.
    pub sessions: Vec<HeldSession>,
    /// The modern clients whose calls wait.
    pub lanes: Vec<Lane>,
    /// What waits, in order.
    pub calls: Vec<HeldCall>,
    /// The leases whose hosts may come back, and answer what they announced.
    pub leases: Vec<String>,
    /// What may be asked for by an operation's id.
    pub results: Vec<KeptResult>,
    /// What the last host offered.
    pub catalogue: Snapshot,
}

/// A legacy session.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct HeldSession {
    /// The number in the short name that hosts know.
    pub client: u64,
    /// Its `Mcp-Session-Id`.
    pub session: String,
    /// Whom a host meets.
    pub meet: Meet,
    /// The version that was agreed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negotiated: Option<String>,
    /// The lists whose changes it was promised to hear of, as in the result of its `initialize`.
    #[serde(default)]
    pub declared: Declared,
    /// What set it up, to be said again to each host.
    #[serde(default)]
    pub handshake: Vec<Box<RawValue>>,
    /// Messages for it that nobody has read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<Box<RawValue>>,
    /// For how long it has not been used.
    #[serde(default)]
    pub idle_ms: u64,
}

/// A client that has no session, and goes with its call.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Lane {
    /// The number in the short name that hosts know.
    pub client: u64,
    /// Whom a host meets.
    pub meet: Meet,
}

/// A call that waits.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct HeldCall {
    /// By which it is claimed: 128 random bits.
    pub operation_id: String,
    /// Its number, which it keeps.
    pub ticket: u64,
    /// Whose.
    pub client: u64,
    /// The request, byte for byte.
    pub message: Box<RawValue>,
    /// Whether it may be handed out twice.
    pub replay: HeldReplay,
    /// The catalogue may learn from its answer.
    #[serde(default)]
    pub catalogue: bool,
    /// How long ago it was asked.
    #[serde(default)]
    pub age_ms: u64,
    /// How long it may wait in the queue.
    pub hold_ms: u64,
    /// When its client is answered at the latest; absent: when it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_ms: Option<u64>,
    /// The progress that its client was told last.
    #[serde(default)]
    pub progress: f64,
    /// A host may have seen it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub seen: bool,
    /// Its host is gone and has announced its answer, which is waited for so long. No other host
    /// gets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coming_ms: Option<u64>,
    /// Its client was answered that it runs, and nobody claims it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub told: bool,
}

/// [`Replay`], on the wire.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HeldReplay {
    /// It may.
    Safe,
    /// The host refuses repetitions itself.
    HostGuards,
    /// It may not; also what this version does not know.
    #[serde(other)]
    Never,
}

/// A result that was promised to somebody.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct KeptResult {
    /// By which it is asked for.
    pub operation_id: String,
    /// The call.
    pub ticket: u64,
    /// How it ended; absent: it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Box<RawValue>>,
    /// For how long it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_ms: Option<u64>,
}

impl From<Replay> for HeldReplay {
    fn from(replay: Replay) -> Self {
        match replay {
            Replay::Safe => Self::Safe,
            Replay::HostGuards => Self::HostGuards,
            _ => Self::Never,
        }
    }
}

impl From<HeldReplay> for Replay {
    fn from(replay: HeldReplay) -> Self {
        match replay {
            HeldReplay::Safe => Self::Safe,
            HeldReplay::HostGuards => Self::HostGuards,
            HeldReplay::Never => Self::Never,
        }
    }
}
