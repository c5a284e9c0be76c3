//! A port that outlives its owner: who relays to it holds its listening sockets, too.
//!
//! Between the death of one owner and the next one's bind nobody listens, and whoever dials then is refused; the installed
//! plugin (10.3) waits a second after that. So an owner passes its listening sockets on to each of its relays, by a
//! Unix-domain socket. They are the same sockets, not others: while one process is left that has them they stay open, and who
//! dials waits in their queue until somebody accepts. With the sockets goes a *right*, a file without a name that one process
//! at a time can have locked. Who has the lock accepts, and nobody else does. The system takes it back with the process, however
//! that ends.
//!
//! What keeps the queue from being one that nobody serves:
//!
//! - Only a relay is an heir, and only for as long as it has a connection to the owner, or looks for the next one. The end of
//!   that connection makes it look at once, and it takes the port over, finds who has, or lets its sockets go: `rule` has the
//!   table.
//! - An owner that ends in order gives the right up together with its sockets. There is no other way to free a port that
//!   others relay to than to end them, too; they want a server, and would take it at once either way.
//! - An owner whose socket died shuts it down before it binds another, since a dead one that others hold would keep the port.
//!
//! Who may have them: the relay makes the Unix-domain socket, under a random name in the folder to which only its user can
//! write, and names it when it dials; both ends ask the system whose the other one is. It is gone once the sockets have come. A
//! broker has a port of its own, and passes nothing on.
//!
//! Windows can hand a socket to another process, but not by safe Rust; there the port is bound anew, and a plugin that dials in
//! between comes a second later.
#![expect(
    clippy::disallowed_methods,
    reason = "the shell that waits for the other end, and not for ever"
)]

#[cfg(unix)]
mod folder;
#[cfg(not(unix))]
mod nothing;
#[cfg(unix)]
mod passing;
mod rule;
mod sockets;

#[cfg(not(unix))]
pub(super) use nothing::{Door, Estate, Heir};
#[cfg(unix)]
pub(super) use passing::{Door, Estate, Heir};
use rule::is_left_over;
pub(super) use rule::{Answered, Next, next};
pub(super) use sockets::Taken;

use mcp_transport_broker::launch::default_state_dir;
use std::time::{Duration, SystemTime};

/// How long a file of a question may be there; none of ours takes a tenth of it.
const LEFT_OVER: Duration = Duration::from_secs(60);

/// Removes what askers left behind that were killed in the middle of a question. Looks at one folder, and waits for the disk.
pub(super) fn sweep() {
    let Ok(entries) = std::fs::read_dir(default_state_dir()) else {
        return;
    };
    for entry in entries.flatten() {
        let is_one = entry.file_name().to_str().is_some_and(is_left_over);
        let written = entry.metadata().and_then(|of| of.modified());
        let age = written.map(|at| SystemTime::now().duration_since(at));
        if is_one && matches!(age, Ok(Ok(age)) if age > LEFT_OVER) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
