//! The Unity MCP server: MCP towards clients, the plugin hub towards editors, on one port.

mod answer;
mod behind;
mod context;
mod custom;
mod debug;
mod docs;
mod estate;
pub mod flags;
mod follow;
mod groups;
mod health;
mod hosted;
mod http;
mod idle;
mod log;
mod mcp;
pub mod offer;
mod own;
mod pidfile;
mod prepare;
mod read;
mod relay;
pub mod remote;
mod rest;
mod run;
mod sessions;
mod tasks;
mod whole;

pub use health::report as health_report;
pub use hosted::Hosted;
pub use http::{Front, Http, LOOPBACK, Started, bind, port_holder};
pub use mcp::UnityMcp;
pub use pidfile::PidFile;
pub use run::{Options, run};
pub use sessions::{Session, Sessions, Visit};
