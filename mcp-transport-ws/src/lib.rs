#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod config;
mod connector;
mod ending;
mod handshake;
mod io;
mod listener;
mod pulse;
mod transport;
mod upgrade;
mod url;

pub use config::WsConfig;
pub use connector::WsConnector;
pub use listener::{MAX_HANDSHAKES, WsListener};
pub use transport::WsTransport;
pub use upgrade::{Refusal, Upgrading, upgrade};
