//! The words of the delivery rule.

use crate::outcome::Outcome;
use std::fmt;
use std::time::Duration;

/// One operation: its ticket, and its rank in the queue. One per submit, never used again.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Op(pub(super) u64);

impl Op {
    /// The number: unique in its [`Delivery`](super::Delivery), rising from 1.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One attach: a connection, a lease, a host's session. One per attach, never used again.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Link(pub(super) u64);

impl Link {
    /// The number: unique in its [`Delivery`](super::Delivery), rising from 1.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether an operation may be sent again when nobody knows what became of it. The caller's
/// knowledge.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the rule's table has these three columns"
)]
pub enum Replay {
    /// Running it twice is the same as running it once.
    Safe,
    /// The host itself refuses to run it twice, if the second handing out is flagged.
    HostGuards,
    /// It may not run twice.
    Never,
}

/// An operation to be delivered.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a submit says all of this, or it says too little"
)]
pub struct Submit<P> {
    /// What is handed out.
    pub payload: P,
    /// What it counts against [`Limits::bytes`].
    pub bytes: usize,
    /// Whether it may be sent again.
    pub replay: Replay,
    /// Whether somebody waits for an answer. One without is over as soon as it is completed or its
    /// connection is.
    pub answered: bool,
    /// How long it may wait in the queue, from the submit on, before it is settled as not
    /// delivered; or as unknown, if a host may have seen it.
    /// [`hold_afresh`](super::Delivery::hold_afresh) starts it anew.
    pub hold: Duration,
    /// How long it may run after each handing out before [`Output::Stuck`] says so.
    pub run: Duration,
}

/// An operation on its way to the host.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Handout<P> {
    /// Which.
    pub op: Op,
    /// What.
    pub payload: P,
    /// True if it was handed out before, and the host may have seen it.
    pub redelivered: bool,
}

/// What became of an operation that its client gave up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the caller must act on each")]
pub enum Abandoned {
    /// It was still queued: no host sees it, or sees it again.
    Withdrawn,
    /// The host has it; an [`Output::Cancel`] is on its way there. A result counts as late.
    Running(Link),
    /// It was over already, or never was.
    Over,
}

/// Whom an answer belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the caller must act on each")]
pub enum Answer {
    /// To the client that waits for it. The operation is done.
    ForClient,
    /// To nobody who waits, but it is genuine: the first result of an operation that was given up
    /// or settled.
    Late,
    /// To nobody: no such operation, one that this link never got, or one that has its answer.
    Stray,
}

/// Why an operation was settled without an answer.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Cause {
    /// The connection that it was delivered on went, and it may not be sent again.
    LinkLost,
    /// It waited in the queue for as long as it may.
    HoldExpired,
    /// It was sent again as often as the limits allow.
    Redelivered,
}

impl Cause {
    /// One word, stable, for the `cause` of an [`Ending`](crate::Ending).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LinkLost => "link_lost",
            Self::HoldExpired => "hold_expired",
            Self::Redelivered => "redelivered",
        }
    }
}

/// What the machine wants done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Output {
    /// Answer the client: this operation is over, and gets no answer from a host.
    Settle {
        /// Which.
        op: Op,
        /// What is known of it.
        outcome: Outcome,
        /// Why.
        cause: Cause,
    },
    /// Tell the host that nobody waits for this any more.
    Cancel {
        /// Where it runs.
        link: Link,
        /// Which.
        op: Op,
    },
    /// It ran past its `run` time. It keeps its place in the window; said once for each handing
    /// out.
    Stuck {
        /// Where it runs.
        link: Link,
        /// Which.
        op: Op,
    },
}

/// The limits of one [`Delivery`](super::Delivery).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// Operations that are not over, at most. Default 1,024.
    pub ops: usize,
    /// Their bytes together, at most. Default 64 MiB.
    pub bytes: usize,
    /// Operations that are over without an answer and whose late result is still recognised, at
    /// most. Default 256.
    pub remembered: usize,
    /// How often one is sent again, at most. Default 3.
    pub redeliveries: u32,
}

impl Limits {
    /// Sets the number of operations that are not over.
    #[must_use]
    pub const fn ops(mut self, ops: usize) -> Self {
        self.ops = ops;
        self
    }

    /// Sets their bytes together.
    #[must_use]
    pub const fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// Sets how many are remembered for their late result.
    #[must_use]
    pub const fn remembered(mut self, remembered: usize) -> Self {
        self.remembered = remembered;
        self
    }

    /// Sets how often one is sent again.
    #[must_use]
    pub const fn redeliveries(mut self, redeliveries: u32) -> Self {
        self.redeliveries = redeliveries;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            ops: 1_024,
            bytes: 64 * 1024 * 1024,
            remembered: 256,
            redeliveries: 3,
        }
    }
}

/// There is no room: the operation was not taken. Try again when something has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Full {
    /// Too many operations are not over.
    #[error("{limit} operations are waiting, as many as may")]
    Ops {
        /// The limit.
        limit: usize,
    },
    /// Their bytes together would pass the limit.
    #[error("the operations that wait would pass {limit} bytes together")]
    Bytes {
        /// The limit.
        limit: usize,
    },
}

/// Somebody is attached already: nothing is offered to a second while the first is alive. Detach it
/// first.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("link {holder} is attached, and alive")]
#[non_exhaustive]
pub struct Busy {
    /// Who is.
    pub holder: Link,
}
