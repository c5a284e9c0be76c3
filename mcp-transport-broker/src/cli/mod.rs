//! The program `mcp-broker`.

mod args;
mod log;
mod mono;
