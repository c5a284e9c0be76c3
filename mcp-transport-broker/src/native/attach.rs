//! How a host comes and goes.

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// A host asks for a lease.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a wire message; the version tells"
)]
pub struct Attach {
    /// Which dialect it speaks; see [`PROTOCOL`](super::PROTOCOL).
    pub protocol: u32,
    /// Who it is.
    pub host: Host,
    /// How many operations it takes at once.
    #[serde(default = "window")]
    pub window: usize,
    /// `start`, `reload` or `reconnect`; for people.
    #[serde(default)]
    pub reason: String,
    /// It keeps at least one connection open for as long as it lives.
    #[serde(default)]
    pub holds_connection: bool,
    /// Where it takes WebSocket upgrades.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<SocketAddr>,
    /// What it knows of its former lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<Former>,
}

/// How many operations a host takes at once that does not say.
pub const WINDOW: usize = 256;

const fn window() -> usize {
    WINDOW
}

/// Who a host is.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a wire message; the version tells"
)]
pub struct Host {
    /// The program.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it has open; the broker keeps one catalogue for each.
    pub project: String,
    /// Random; one for each life of the host's code.
    pub instance: String,
    /// Its process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
}

/// What a host knows of its former lease.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a wire message; the version tells"
)]
pub struct Former {
    /// Which.
    pub lease: String,
    /// The tickets that it got, and has not answered, or whose answer may be lost.
    pub received: Vec<u64>,
    /// Those of them whose answer it will still push.
    pub coming: Vec<u64>,
}

/// The broker grants a lease.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a wire message; the version tells"
)]
pub struct Attached {
    /// To be said with everything from now on.
    pub lease: String,
    /// How often to ping, in milliseconds.
    pub ping_ms: u64,
    /// After how much silence the lease ends, in milliseconds.
    pub silence_ms: u64,
    /// Who grants it.
    pub broker: BrokerInfo,
    /// What became of the former lease's operations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<Resumed>,
}

/// Who a broker is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a wire message; the version tells"
)]
pub struct BrokerInfo {
    /// The program.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
}

/// What became of the former lease's operations.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a wire message; the version tells"
)]
pub struct Resumed {
    /// Those whose answer still has somebody to go to, or is kept.
    pub coming: Vec<u64>,
}

/// A host goes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a wire message; the version tells"
)]
pub struct Detach {
    /// Why.
    pub reason: DetachReason,
    /// For about how long, in milliseconds; absent where it cannot tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap_ms: Option<u64>,
    /// The tickets that it got and has not answered; absent where it cannot tell. What it did not
    /// get never began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<Vec<u64>>,
    /// The tickets that never began.
    #[serde(default)]
    pub untouched: Vec<u64>,
    /// The tickets whose answer it will push when it is back.
    #[serde(default)]
    pub coming: Vec<u64>,
}

/// Why a host goes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DetachReason {
    /// It will be back.
    Reloading,
    /// It will not.
    ShuttingDown,
}
