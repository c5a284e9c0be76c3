//! A Unity editor without Unity: the plugin's half of either wire, over real sockets.
//!
//! ```text
//!   hub  ◀──ws── plugin (shell: socket, schedule) ─┐
//!                                                  ├─▶ desk (shell: operator, reload timer, clock)
//!   server ─tcp─▶ bridge (shell: listener, files) ─┘     │ one command at a time
//!                                                        ▼
//!          world (pure: scene, scripts, console, play mode)   strike (pure: where reloads hit)
//! ```
//!
//! [`world`] executes the plugin's commands on a small scene; what it remembers survives a reload, as
//! Unity's own state does, and it counts what took effect, so that a command that ran twice shows.
//! [`strike`] decides where a domain reload hits the command at hand. `plugin` speaks the wire:
//! register, tools, keep-alive, one command at a time, the installed plugin's reconnect schedule.
//! `bridge` is the plugin set to stdio: it listens, says so in a status file, and answers frames.
//!
//! What is simulated is the traffic and the consequences of commands. Rendering, physics, assets
//! other than scripts and scenes, and the time that a compilation takes are not: a reload is away for
//! [`Options::away`], whatever caused it.

mod bridge;
mod desk;
mod editor;
mod options;
mod plugin;
mod socket;
pub mod strike;
mod tap;
mod wire;
pub mod world;

pub use editor::{Editor, State};
pub use options::Options;
pub use socket::authority;
