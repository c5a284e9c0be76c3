//! The Funplay plugin's dialect, version 3, as versions 0.5.4 to 0.6.2 of the plugin speak it.
//!
//! The plugin asks for work: it pulls, runs what it got, pushes the answer, and pulls again, one
//! call at a time. Every request of it is a connection of its own, and names its *session*, which is
//! new in each life of the plugin's code.
//!
//! | request, below `/_funplay/broker/` | answer | what it does |
//! |---|---|---|
//! | `GET health` | 200, `{"ok":true,"name":…,"protocol":3,"pid":…,"pending":…}` | nothing |
//! | `POST attach` | 200; 409 while another session is alive | the session has the lease |
//! | `GET pull` | 200 and a call; 204 after 25 s without one; 409 while another session is alive, or after its own `detach` | attaches, if need be |
//! | `POST push` | 200; 409 if the call is not this session's | answers the client |
//! | `POST detach` | 200 | the lease is over |
//! | `POST shutdown` | 200 | answers whoever waits, and ends the process |
//!
//! All of them carry the token in `X-Funplay-Broker-Token`; without it the answer is 403. The query
//! of a path is not looked at. Other paths below that prefix are 404, other verbs 405.
//!
//! What is decided where the original lost or repeated calls:
//!
//! - **A session is alive** while it has a connection open, was heard within 2 s, or has a call that
//!   it pulled less than 300 s ago, which is as long as the plugin lets one run. While it is, nobody
//!   else gets the lease. If nobody else has got it since, it may also come back later, and what it
//!   pushes then is taken.
//! - **A session that said `detach` is over**: a late pull of it gets 409, so that no call goes to a
//!   plugin that unloads. Only an `attach` brings it back.
//! - **A session that pulls while it has a call** never got it, or lost its push, for it is serial.
//!   That call is handed out again, as after a reload: a `tools/call` flagged, so that the plugin
//!   says what it knows of it instead of running it again. If the lost push comes after all, it is
//!   taken.
//! - **A plugin that unloads and can no longer run what it pulled** says so by an error to no id
//!   (−32000). The call goes back to its place, unflagged, for the next life; the session is refused
//!   for 500 ms. The fourth time, the client gets that error.
//! - **A push that is said twice** is answered 200 twice.
//! - **`X-Funplay-Broker-Redelivery` is 1** for a `tools/call` that a plugin may have seen, and for
//!   nothing else: not for one that could not be written to a socket that had died.

mod armour;
mod desk;
mod reply;

pub use armour::{MAX_DEPTH, TooDeep, armour};
pub use desk::{Desk, Push, Work};
pub use reply::{Reply, read};

/// Below this are the dialect's paths.
pub const PREFIX: &str = "/_funplay/broker/";

/// The version.
pub const PROTOCOL: &str = "3";

/// The method that may not run twice, and that the plugin does not run again where it is flagged.
pub const CALL: &str = "tools/call";

/// The name that a probe expects.
pub const NAME: &str = "funplay-unity-mcp-broker";

/// The headers, in lower case.
pub mod header {
    /// On all answers: the version.
    pub const BROKER: &str = "x-funplay-broker";
    /// What every request must present.
    pub const TOKEN: &str = "x-funplay-broker-token";
    /// Who asks.
    pub const SESSION: &str = "x-funplay-broker-session";
    /// What was pulled, and is pushed.
    pub const REQ_ID: &str = "x-funplay-broker-reqid";
    /// 1 if a plugin may have seen it before.
    pub const REDELIVERY: &str = "x-funplay-broker-redelivery";
    /// 1 if the client takes an event stream.
    pub const ACCEPT_SSE: &str = "x-funplay-broker-accept-sse";
    /// What a pushed body is, where it is not JSON.
    pub const CONTENT_TYPE: &str = "x-funplay-broker-content-type";
}

/// What a plugin may ask.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the shell must answer each")]
pub enum Verb {
    /// Is this a broker that I know?
    Health,
    /// I am here.
    Attach,
    /// What is there to do?
    Pull,
    /// This is the answer.
    Push,
    /// I go.
    Detach,
    /// End.
    Shutdown,
}

impl Verb {
    /// What a path asks; `None` where it is none of the dialect's.
    pub fn of(path: &str) -> Option<Self> {
        Some(match path.strip_prefix(PREFIX)? {
            "health" => Self::Health,
            "attach" => Self::Attach,
            "pull" => Self::Pull,
            "push" => Self::Push,
            "detach" => Self::Detach,
            "shutdown" => Self::Shutdown,
            _ => return None,
        })
    }

    /// The method that goes with it.
    pub const fn method(self) -> &'static str {
        match self {
            Self::Health | Self::Pull => "GET",
            Self::Attach | Self::Push | Self::Detach | Self::Shutdown => "POST",
        }
    }
}

/// The body of a healthy answer.
pub fn health(pid: u32, pending: usize) -> String {
    format!(
        r#"{{"ok":true,"name":"{NAME}","protocol":{PROTOCOL},"pid":{pid},"pending":{pending}}}"#
    )
}
