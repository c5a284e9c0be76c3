//! The endings, and the one place that decides what follows from each.

use crate::eviction::EvictionReason;
use crate::outcome::Outcome;
use std::time::Duration;
use std::{fmt, io};

/// Who ended it, and why.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Nobody listens there yet. Start the peer, or wait: the dial is repeated.
    Unreachable,
    /// The connection broke without a goodbye.
    Disconnected,
    /// The peer was silent past its keep-alive, or a message was held too long.
    TimedOut,
    /// Bytes arrived that are no message. The next connection starts afresh.
    Malformed,
    /// A message over the limit, in bytes; 0 where the peer did not say which limit or size.
    TooLarge {
        /// The limit that was passed.
        limit: u64,
        /// The size that passed it.
        size: u64,
    },
    /// A queue is full. Send less, or wait for `retry_after`.
    Overloaded {
        /// How long to wait, where the peer said so.
        retry_after: Option<Duration>,
    },
    /// The peer took our place away, and said why.
    Evicted(EvictionReason),
    /// Credentials were refused. A new token file or a wake dials again; the schedule does not.
    Unauthorized,
    /// Another protocol or version lives there. An upgrade and a wake dial again; the schedule does
    /// not.
    Incompatible,
    /// We closed it ourselves.
    Closed,
}

/// What to do after a connection has ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a dial loop must handle each; a new one is a breaking change"
)]
pub enum Reconnect {
    /// Dial again by the schedule, from its start.
    Schedule,
    /// Dial again by the schedule, from its first step of at least 5 s: the host is leaving, and
    /// needs no hammering.
    Later,
    /// Dial only when the seat is free, or when told to.
    Standby,
    /// Dial only when woken: waiting alone mends nothing.
    OnWake,
    /// Never: we closed it.
    Never,
}

impl ErrorKind {
    /// What follows from this ending. Every other decision in the family about reconnecting is
    /// taken from here.
    pub const fn reconnect(self) -> Reconnect {
        match self {
            Self::Unreachable
            | Self::Disconnected
            | Self::TimedOut
            | Self::Malformed
            | Self::TooLarge { .. }
            | Self::Overloaded { .. }
            | Self::Evicted(EvictionReason::Reloading | EvictionReason::Stale) => {
                Reconnect::Schedule
            }
            Self::Evicted(EvictionReason::ShuttingDown) => Reconnect::Later,
            Self::Evicted(EvictionReason::Superseded) => Reconnect::Standby,
            Self::Unauthorized | Self::Incompatible => Reconnect::OnWake,
            Self::Closed => Reconnect::Never,
        }
    }

    /// True if the schedule dials again after this ending.
    pub const fn is_retryable(self) -> bool {
        matches!(self.reconnect(), Reconnect::Schedule | Reconnect::Later)
    }

    /// What is known of a call that is answered with this ending: whether the host can have seen
    /// it.
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::Disconnected | Self::TimedOut | Self::Malformed | Self::Closed => {
                Outcome::Unknown
            }
            Self::Evicted(EvictionReason::Reloading | EvictionReason::Stale) => Outcome::Unknown,
            _ => Outcome::NotDelivered,
        }
    }

    /// One word, stable, for logs and for the `cause` of an [`Ending`](crate::Ending).
    pub const fn cause(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Disconnected => "disconnected",
            Self::TimedOut => "timed_out",
            Self::Malformed => "malformed",
            Self::TooLarge { .. } => "too_large",
            Self::Overloaded { .. } => "overloaded",
            Self::Evicted(EvictionReason::Reloading) => "reloading",
            Self::Evicted(EvictionReason::ShuttingDown) => "shutting_down",
            Self::Evicted(EvictionReason::Stale) => "stale",
            Self::Evicted(EvictionReason::Superseded) => "superseded",
            Self::Unauthorized => "unauthorized",
            Self::Incompatible => "incompatible",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable => f.write_str("nobody listens there yet"),
            Self::Disconnected => f.write_str("the connection broke without a goodbye"),
            Self::TimedOut => f.write_str("the peer was silent for too long"),
            Self::Malformed => f.write_str("what arrived is no message"),
            Self::TooLarge { limit: 0, .. } => f.write_str("the message is over the peer's limit"),
            Self::TooLarge { limit, size } => {
                write!(
                    f,
                    "a message of {size} bytes is over the limit of {limit} bytes"
                )
            }
            Self::Overloaded { retry_after: None } => f.write_str("the queue is full"),
            Self::Overloaded {
                retry_after: Some(wait),
            } => {
                write!(f, "the queue is full; try again in {} ms", wait.as_millis())
            }
            Self::Evicted(reason) => reason.fmt(f),
            Self::Unauthorized => f.write_str("the peer refused our credentials"),
            Self::Incompatible => f.write_str("the peer speaks another protocol or version"),
            Self::Closed => f.write_str("the connection was closed on our side"),
        }
    }
}

/// Files an I/O error kind under an ending.
pub(super) const fn of_io(kind: io::ErrorKind) -> ErrorKind {
    match kind {
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::NotFound
        | io::ErrorKind::AddrNotAvailable
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable => ErrorKind::Unreachable,
        io::ErrorKind::TimedOut => ErrorKind::TimedOut,
        io::ErrorKind::InvalidData => ErrorKind::Malformed,
        io::ErrorKind::PermissionDenied => ErrorKind::Unauthorized,
        // The port is another program's.
        io::ErrorKind::AddrInUse | io::ErrorKind::Unsupported => ErrorKind::Incompatible,
        _ => ErrorKind::Disconnected,
    }
}

/// The I/O error kind whose handlers do the right thing for this ending.
pub(super) const fn to_io(kind: ErrorKind) -> io::ErrorKind {
    match kind {
        ErrorKind::Unreachable => io::ErrorKind::ConnectionRefused,
        ErrorKind::Disconnected => io::ErrorKind::ConnectionReset,
        ErrorKind::TimedOut => io::ErrorKind::TimedOut,
        ErrorKind::Malformed | ErrorKind::TooLarge { .. } => io::ErrorKind::InvalidData,
        ErrorKind::Overloaded { .. } => io::ErrorKind::ResourceBusy,
        ErrorKind::Evicted(_) => io::ErrorKind::ConnectionAborted,
        ErrorKind::Unauthorized => io::ErrorKind::PermissionDenied,
        ErrorKind::Incompatible => io::ErrorKind::Unsupported,
        ErrorKind::Closed => io::ErrorKind::NotConnected,
    }
}
