//! The framed TCP bridge of the Unity plugin: both sides of it, with seats.
//!
//! The plugin listens on a loopback port, says a welcome line, and then reads frames: eight bytes of length, big-endian, and
//! a payload that is `ping` or one JSON command. There are no ids: one request at a time, answered in order. It serves one
//! client; with the installed plugin each newcomer silently ends the others.
//!
//! [`BridgeConnector`] dials such a bridge, the plugin's or ours. [`BridgeListener`] is one, and adds what keeps clients
//! from fighting: a seat that is asked for, waited for and lost with a notice. What a frame is, who has the seat and which
//! command is the same one again are decided by the pure [`wire`], [`seat`] and [`resend`].
//!
//! # Who gets the seat
//! | a connection | [`Policy::NewestWins`] | [`Policy::ProtectIncumbent`] | [`Policy::Share`] |
//! |---|---|---|---|
//! | connects, pings | nothing | nothing | nothing |
//! | asks to take it ([`Claim::Take`]), or sends a command | takes it; the incumbent is evicted | is refused, with the incumbent's name; takes it if that one was silent for 30 s | is served |
//! | asks for it if it is free ([`Claim::IfFree`]) | gets its answer when it is free, the oldest first | the same | is served |
//!
//! # What the loser hears
//! One frame, then the end of the stream, within 500 ms and whether it reads or not; the newcomer does not wait for it:
//! ```json
//! {"status":"evicted","reason":"stdio_single_client_stomped","error":"…","new_client_endpoint":"127.0.0.1:54321","evicted_at_unix_ms":1748345678901}
//! ```
//! [`BridgeConnector`]'s transport yields it as `Err` of the kind
//! [`Evicted(Superseded)`](mcp_transport_core::ErrorKind::Evicted), with all its fields. The frame is known from a fork of
//! the plugin only; see [`Notice`] for who should get it.

mod both;
mod connection;
mod connector;
mod hub;
mod listener;
mod memory;
pub mod resend;
pub mod seat;
mod served;
mod transport;
pub mod wire;

pub use connector::{BridgeConnector, Port, SeatControl, Seated};
pub use listener::{BridgeConfig, BridgeListener};
pub use memory::{LONGEST_GAP, Memory};
pub use seat::{Notice, Policy};
pub use served::Served;
pub use transport::{BridgeTransport, LinkConfig};
pub use wire::Claim;
