//! Which Unity projects are open on this machine, and on which ports: the status and port files.
//!
//! Each open project writes a status file twice a second, into `UNITY_MCP_STATUS_DIR` or `~/.unity-mcp`. [`Discovery`]
//! reads them and [`Watch`] follows them, so that a link need not guess when a host is back; [`StatusFile`] writes one, for an
//! application that has a [`BridgeListener`](crate::bridge::BridgeListener).
//!
//! ```no_run
//! use mcp_transport_core::dial::Dialer;
//! use mcp_transport_stdio::bridge::BridgeConnector;
//! use mcp_transport_stdio::discovery::Discovery;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), mcp_transport_core::Error> {
//! let watch = Discovery::from_env()?.watch()?;
//! let projects = watch.projects();
//! // Asked before each dial, since the port may change.
//! let connector = BridgeConnector::new(move || projects.borrow().port_of(Some("MyGame")));
//! let mut dialer = Dialer::new(connector);
//! let wake = dialer.wake();
//! watch.on_ready(Some("MyGame"), move || wake.wake());
//! let unity = dialer.connect().await?;
//! # drop(unity);
//! # Ok(())
//! # }
//! ```
//!
//! The plugin rewrites its file in place, so a reader may find it empty or torn; it writes `starting` before it listens; and
//! who crashed leaves it behind. All that is *no news*: what was known before stays, until its heartbeat is
//! [`STALE`] old. Files of other users are no news, either.

mod directory;
mod projects;
mod publish;
mod read;
mod select;
mod status;
mod watch;

pub use directory::{Environment, Home};
pub use projects::{Project, Projects};
pub use publish::{HEARTBEAT, Heartbeat, StatusFile};
pub use read::{Reading, STALE, read};
pub use select::{Choice, SelectError};
pub use status::{PortFile, Reason, Status, project_key, project_name};
pub use watch::{Discovery, POLL, Watch};
