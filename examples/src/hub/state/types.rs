//! The words of the hub.

use crate::catalogue::Toolset;
use mcp_transport_core::delivery::{Full, Op, Replay};
use mcp_transport_core::{Message, Outcome};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One plugin's socket. Never used again.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SocketId(pub(super) u64);

/// One call, from its submit to its end. Never used again.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ticket(pub(super) u64);

/// A command for an editor.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a request says all of this, or it says too little"
)]
pub struct Request {
    /// The command's name on the wire.
    pub command: String,
    /// Its parameters.
    pub params: Value,
    /// How long the plugin may work on it.
    pub timeout: Duration,
    /// Whether it may be sent again when nobody knows what became of it.
    pub replay: Replay,
    /// How long it may wait for the editor.
    pub hold: Duration,
}

/// Why a request was not taken.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the caller must tell the client which"
)]
pub enum Refused {
    /// No editor of this project was ever here.
    NoSuchProject,
    /// The editor closed its connection in good order: waiting for it is vain.
    Quit,
    /// A newer client took the editor's only seat. The text says who, and what to do.
    SeatTaken(String),
    /// The queue is full.
    Full(Full),
}

/// An editor that listens, as its status file has it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a file says all of this, or it is not read"
)]
pub struct Listed {
    /// The project's name.
    pub project: String,
    /// The key in the file's name, by which the editor is known here: the beginning of the hash with which its plugin would
    /// register.
    pub hash: String,
    /// The project's folder.
    pub path: Option<String>,
    /// The Unity version.
    pub unity_version: String,
    /// The port on which it listens.
    pub port: u16,
    /// True if it can be dialled.
    pub is_ready: bool,
}

/// How a call ended without an answer.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Lost {
    /// What is known of it.
    pub outcome: Outcome,
    /// Why.
    pub why: Why,
}

/// Why a call has no answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "each has a text and a next step of its own"
)]
pub enum Why {
    /// The editor's connection broke while it had the command: a reload, or a crash.
    LinkLost,
    /// It waited for the editor as long as it may.
    HoldExpired,
    /// The editor closed its connection in good order, or its status file is gone.
    Quit,
    /// Another editor of the same project took the place of one that had fallen silent, or whose connection broke.
    Superseded,
    /// The editor's connection was silent for too long.
    Silent,
    /// A newer client took the editor's only seat. The editor lives, and may be at work.
    SeatTaken,
}

/// What the hub wants done.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "the shell must act on each")]
pub enum Output {
    /// Write to a socket. `op` is there for commands: one that was never written is given back.
    Send {
        /// Whose.
        socket: SocketId,
        /// What.
        message: Message,
        /// Which command, if it is one.
        op: Option<Op>,
    },
    /// Close a socket; the state has forgotten it already.
    Close {
        /// Whose.
        socket: SocketId,
        /// The close code.
        code: u16,
        /// The reason, for people.
        reason: String,
    },
    /// The editor's envelope, for the client that waits.
    Answered {
        /// Whose.
        ticket: Ticket,
        /// The envelope.
        envelope: Value,
    },
    /// The editor's envelope for a call that nobody waits for any more.
    Late {
        /// Whose.
        ticket: Ticket,
        /// The envelope.
        envelope: Value,
    },
    /// The call ends without an answer.
    Lost {
        /// Whose.
        ticket: Ticket,
        /// How.
        lost: Lost,
    },
    /// The editor has had the command for longer than it may take. It may still answer.
    Stuck {
        /// Whose.
        ticket: Ticket,
    },
    /// Editors came, went or changed.
    Changed,
}

/// Where a call is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "each has a text of its own")]
pub enum Standing {
    /// It waits behind other commands of this editor.
    Queued,
    /// It waits for the editor, which is away.
    Away,
    /// The editor has it.
    Running,
}

/// An editor, as clients and `/health` see it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Instance {
    /// The project's name.
    pub project: String,
    /// The project's hash: what identifies an editor.
    pub hash: String,
    /// The project's folder, if the plugin said it.
    pub path: Option<String>,
    /// The Unity version.
    pub unity_version: String,
    /// What state it is in.
    pub phase: Phase,
    /// It is known by its status file: it listens, and is dialled from here.
    pub by_file: bool,
    /// The port on which it listens, if its status file says so.
    pub port: Option<u16>,
    /// The session of the connection that has the seat.
    pub session_id: Option<String>,
    /// Since when it has it.
    pub connected: Option<Instant>,
    /// When something was last heard from it, pongs included.
    pub last_heard: Option<Instant>,
    /// When it last answered a command: its main loop was alive then.
    pub last_answer: Option<Instant>,
    /// The command that it has, and since when.
    pub running: Option<(String, Instant)>,
    /// True if that command ran past its time.
    pub stalled: bool,
    /// Commands that wait.
    pub queued: usize,
    /// Connections of the same project that wait for the seat.
    pub standby: usize,
    /// When and how the seat last changed hands against the holder's will.
    pub superseded: Option<Instant>,
    /// Who took the editor's only seat from us, and what to do; until we have it again.
    pub evicted: Option<String>,
    /// Who answers where its status file says that it listens, if that is somebody else.
    pub misled: Option<String>,
    /// How often the connection came back.
    pub returns: u64,
    /// How long the last gap was.
    pub last_gap: Option<Duration>,
    /// How long its reloads take: the median of the last five; `None` before the first.
    pub usual_gap: Option<Duration>,
    /// What its plugin offers, as it said last; `None` until it has said so.
    pub tools: Option<Arc<Toolset>>,
}

/// What state an editor is in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "each has a text of its own")]
pub enum Phase {
    /// Connected and registered.
    Connected,
    /// Its status file says that it listens. It is connected when a call needs it.
    Listening {
        /// Since when.
        since: Instant,
    },
    /// Its connection broke without a goodbye: it reloads, or it crashed. Calls are held.
    Away {
        /// Since when.
        since: Instant,
    },
    /// It closed its connection in good order, or its status file is gone. Calls fail at once.
    Quit {
        /// Since when.
        since: Instant,
    },
}

impl Instance {
    /// `Name@hash`, by which clients choose an editor.
    pub fn id(&self) -> String {
        format!("{}@{}", self.project, self.hash)
    }
}
