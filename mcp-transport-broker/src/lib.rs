#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod broker;
#[cfg(feature = "cli")]
pub mod cli;
pub mod foreign;
pub mod host;
pub mod launch;
pub mod mcp;
pub mod native;
mod numbers;
pub mod run;
pub mod server;
