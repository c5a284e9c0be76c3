//! What the examples share, as a library, so that tests reach it.

pub mod bridge;
pub mod calls;
pub mod catalogue;
pub mod docs;
pub mod hub;
pub mod logic;
pub mod server;
pub mod sim;
pub mod tls;

/// Compiles the samples of the workspace's readme.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
