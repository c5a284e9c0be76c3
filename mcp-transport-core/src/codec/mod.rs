//! How messages become bytes on a stream of bytes.
//!
//! | codec | on the wire | who speaks it |
//! |---|---|---|
//! | [`Lines`] | one JSON text a line | MCP over standard input and output, and whatever a client sees |
//! | [`LengthPrefixed`] | 8 bytes of length, big-endian, then the payload | the Unity plugin's bridge |
//!
//! A codec is pure: bytes in, messages out, no I/O. [`framed`] puts one on a socket and makes a
//! transport of it.

mod framed;
mod length_prefixed;
mod lines;

pub use framed::{Framed, framed};
pub use length_prefixed::LengthPrefixed;
pub use lines::Lines;

/// The longest message, in bytes, where nothing else is said: 64 MiB.
pub const MAX_MESSAGE: usize = 64 * 1024 * 1024;
