//! A broker process: what it is told, and its life.

mod config;

pub use config::{DEFAULT_PORT, Dialect, RunConfig};

/// Where a program that starts itself once more says the configuration, as JSON.
pub(crate) const RUN_VARIABLE: &str = "MCP_BROKER_RUN";
