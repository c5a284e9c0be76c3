//! What the flags and the environment mean. Pure but for one look at what standard input is.
//!
//! Whoever starts the Python server (10.3.0) can start this one with the same command line and the same environment: see
//! [`python`] for each of its names. The others are ours.

mod address;
mod args;
mod environment;
mod hint;
pub mod python;
mod settle;
mod transport;

pub use address::{HttpUrl, NotLocal};
pub use args::Flags;
pub use environment::Environment;
pub use hint::hint;
pub use settle::{Note, Refused, Settings, settle};
pub use transport::{Editors, Transport, stdin_is_pipe};
