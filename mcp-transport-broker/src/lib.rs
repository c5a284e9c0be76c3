//! The process that keeps a client's port while the application behind it reloads.
//!
//! A socket inside an application that reloads cannot survive the reload. So the *broker* owns the
//! port that clients know, in a process of its own; the application, the *host*, dials the broker
//! and asks it for work. While the host is away, calls are held. What was handed out and not
//! answered is neither lost nor repeated: the family's delivery rule decides.
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

/// Compiles the samples of the readme.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
