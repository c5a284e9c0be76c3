//! How to read the end of a connection to a bridge. Pure.
//!
//! The installed plugin (10.1) serves one client: each newcomer silently ends the others. Whoever dials again at once starts a
//! duel, in which each call of one client ends those of the other. A reload looks different: the status file says so, or is
//! gone.

use mcp_transport_core::{Error, ErrorKind, Eviction, EvictionReason};
use mcp_transport_stdio::discovery::Project;

/// What the end of a connection means, seen beside the project's status file before and after it.
///
/// An end without a notice while the file is ready and of the same start is a takeover, or a connection that idled for too
/// long; both ask for the same: no dial until a call needs one.
pub(super) fn read_end(error: Error, before: &Project, after: Option<&Project>) -> Error {
    if !may_be_takeover(&error, before, after) {
        return error;
    }
    let text = format!(
        "{} closed this connection and listens on: it serves one client, and a newer one took its place",
        before.id()
    );
    Error::evicted(Eviction::new(EvictionReason::Superseded).saying(text)).because(error)
}

/// The ending by which to choose the next dial. Who takes a seat by connecting may end somebody's call, so a plugin without
/// seats that still says that it is there is dialled when a call needs it, and not by any schedule: also where it was too
/// slow to show whether this was a takeover.
pub(super) fn before_dialling(error: Error, before: &Project, after: Option<&Project>) -> Error {
    if !may_be_takeover(&error, before, after) {
        return error;
    }
    Error::evicted(Eviction::new(EvictionReason::Superseded)).because(error)
}

fn may_be_takeover(error: &Error, before: &Project, after: Option<&Project>) -> bool {
    let same_life = after.is_some_and(|after| {
        after.is_ready()
            && after.status.seq == before.status.seq
            && after.status.unity_port == before.status.unity_port
    });
    error.kind() == ErrorKind::Disconnected && same_life && !before.status.seat
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp_transport_stdio::discovery::{Reason, Status, project_key};
    use std::time::SystemTime;

    fn project(change: impl FnOnce(&mut Status)) -> Project {
        let mut status = Status::new(6400, "/projects/Game/Assets");
        status.seat = false;
        change(&mut status);
        Project::new(
            project_key(&status.project_path),
            status,
            SystemTime::UNIX_EPOCH,
        )
    }

    fn gone() -> Error {
        Error::new(ErrorKind::Disconnected)
    }

    #[test]
    fn an_end_without_notice_by_a_plugin_that_lives_on_is_a_takeover() {
        let error = read_end(gone(), &project(|_| ()), Some(&project(|_| ())));
        assert_eq!(error.kind(), ErrorKind::Evicted(EvictionReason::Superseded));
        assert!(error.to_string().contains("Game@"), "{error}");
    }

    #[test]
    fn a_reload_is_none() {
        let before = project(|_| ());
        assert_eq!(
            read_end(gone(), &before, None).kind(),
            ErrorKind::Disconnected
        );
        let reloading = project(|status| {
            status.reloading = true;
            status.reason = Reason::Reloading;
        });
        assert_eq!(
            read_end(gone(), &before, Some(&reloading)).kind(),
            ErrorKind::Disconnected
        );
        let next = project(|status| status.seq = 1);
        assert_eq!(
            read_end(gone(), &before, Some(&next)).kind(),
            ErrorKind::Disconnected
        );
    }

    #[test]
    fn a_bridge_with_seats_says_so_itself() {
        let before = project(|status| status.seat = true);
        let error = read_end(gone(), &before, Some(&before));
        assert_eq!(error.kind(), ErrorKind::Disconnected);
    }
}
