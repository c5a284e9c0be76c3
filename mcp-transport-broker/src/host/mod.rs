//! The host's side of the native dialect: what an application runs that sits behind a broker.
//!
//! [`BrokerListener`] attaches to the broker, and yields one transport for each MCP client.
//!
//! ```text
//!  broker ═══ 2 pulls, 1 push ═══ lease ── given ──▶ state ── read ──▶ BrokerClient ─▶ service
//!     ╚════════ 1 ping                ◀─ batch ──       ◀── write ──                 ◀─
//! ```
//!
//! Pure: `state` (which ticket is whose, and what is said of it when the host goes), `lanes` (which
//! connection does what), `wire`, `refusal`, `address`, `allowance` (how often a broker is started).
//! Shells: `task` (one lease after the other), `lease` (one of them), `attach`, `supervisor`, `http`,
//! `hub` (the lock).

mod address;
mod allowance;
mod attach;
mod builder;
mod carried;
mod client;
mod http;
mod hub;
mod lanes;
mod lease;
mod link;
mod listener;
mod random;
mod refusal;
mod state;
mod supervisor;
mod task;
mod token;
mod wire;

pub use builder::Builder;
pub use carried::{Carried, CarriedCall};
pub use client::BrokerClient;
pub use listener::{BrokerListener, Handle};
pub use token::TokenSource;
