#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod bridge;
mod child;
pub mod discovery;
mod stdio;

pub use child::{ChildConnector, ChildTransport};
pub use stdio::{StdioConfig, StdioTransport, stdio};
