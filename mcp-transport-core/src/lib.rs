#![doc = include_str!("../README.md")]
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
