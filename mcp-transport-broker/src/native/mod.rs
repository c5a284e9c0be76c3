//! The native dialect, version 1: what host and broker say to each other. Pure.
//!
//! `PROTOCOL.md` beside this crate specifies it. A message is carried as the JSON that it is, byte
//! for byte, and never parsed here.

mod attach;
mod hello;
mod items;
mod refused;
mod replace;

pub use attach::{
    Attach, Attached, BrokerInfo, Detach, DetachReason, Former, Host, Resumed, WINDOW,
};
pub use hello::{Hello, NAME, is_proof, proof};
pub use items::{Era, Given, Meet, Pull, Pulled, Push, Pushed, Said};
pub use refused::{Refused, Word};
pub use replace::{Claim, Replace};

/// The version that this crate speaks.
pub const PROTOCOL: u32 = 1;

/// What all paths of this dialect begin with.
pub const PREFIX: &str = "/_broker/v1/";

/// The header that names the lease.
pub const LEASE_HEADER: &str = "mcp-broker-lease";
