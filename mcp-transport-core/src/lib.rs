//! Transports that outlive the connection.
//!
//! A *connection* is one transport's life; a *session* is what outlives connections. This crate has
//! the words that the family shares: [`Message`], [`Error`], [`Transport`], [`Connector`] and
//! [`Listener`], and the parts that keep a session going: who may retry and when, what is sent
//! again and what is settled as unknown, and who lost a seat to whom.
//!
//! Decisions live in modules without I/O, tasks or clocks; a few shells act on them.
#![forbid(unsafe_code)]

mod answering;
pub mod codec;
pub mod delivery;
pub mod dial;
mod ending;
mod error;
mod eviction;
pub mod guard;
pub mod handshake;
pub mod keepalive;
pub mod loopback;
pub mod memory;
mod message;
mod outcome;
pub mod redial;
pub mod resilient;
pub mod retry;
mod slot;
mod transport;
mod typed;

pub use answering::Answering;
pub use dial::State;
pub use ending::Ending;
pub use error::{Error, ErrorKind, Reconnect};
pub use eviction::{Eviction, EvictionReason};
pub use message::{Defect, Id, Kind, Members, Message};
pub use outcome::Outcome;
pub use redial::Redial;
pub use resilient::Resilient;
pub use retry::RetryPolicy;
pub use slot::Slot;
pub use transport::{BoxTransport, Connector, Listener, Transport, TransportExt};
pub use typed::Typed;

/// Compiles the samples of the readme.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
