//! How to read the end of a connection to a bridge without seats: a reload, or somebody else's dial. Pure.
//!
//! The installed plugin (10.1) serves one client: each newcomer silently ends the others. On the wire a reload looks the same.
//! The status file tells the two apart:
//!
//! | after the end the file | is read as |
//! |---|---|
//! | is gone, or says that it reloads or waits for its port | reload |
//! | has another `seq` or port | reload (`seq` alone does not tell: it starts over with each domain, so that it mostly is 1) |
//! | is ready, by a heartbeat that is younger than the end, and less than one interval after the one before | reload: out of turn it is written only by a start |
//! | is ready, by a heartbeat in its turn | takeover: the main loop goes on |
//! | is not written for 2 s | takeover: a reload would have said so as it began, and the main loop is busy |
//!
//! So a reload that is over within one look, with all its words, and ends just as a heartbeat is due, reads as a takeover. That
//! is the safe side: what was under way is answered as unknown, and not made again; what waits dials.

use mcp_transport_core::{Error, Eviction, EvictionReason};
use mcp_transport_stdio::discovery::{HEARTBEAT, Project};
use std::time::{Duration, SystemTime};

/// What an end was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    Reload,
    Takeover,
    /// The file has not said anything since.
    NotYet,
}

/// A heartbeat may come so much early by the clock that stamps it.
const JITTER: Duration = Duration::from_millis(50);

/// What the file says of an end: `before` is what it said while the connection lived, `beat` the last heartbeat that was read
/// before the end, `now` what it says now.
pub(super) fn read(
    before: &Project,
    beat: SystemTime,
    ended: SystemTime,
    now: Option<&Project>,
) -> Verdict {
    let Some(now) = now.filter(|now| same_start(before, Some(now))) else {
        return Verdict::Reload;
    };
    if now.heard <= ended {
        return Verdict::NotYet;
    }
    let out_of_turn = now
        .heard
        .duration_since(beat)
        .is_ok_and(|interval| interval + JITTER < HEARTBEAT);
    if out_of_turn {
        Verdict::Reload
    } else {
        Verdict::Takeover
    }
}

/// The same error, as the loss of a seat.
pub(super) fn as_takeover(error: Error, before: &Project) -> Error {
    let text = format!(
        "{} closed this connection and listens on: it serves one client, and a newer one took its place",
        before.id()
    );
    Error::evicted(Eviction::new(EvictionReason::Superseded).saying(text)).because(error)
}

/// True if the file says that the bridge listens, and does not say that it started again.
pub(super) fn same_start(before: &Project, now: Option<&Project>) -> bool {
    now.is_some_and(|now| {
        now.is_ready()
            && now.status.seq == before.status.seq
            && now.status.unity_port == before.status.unity_port
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp_transport_core::ErrorKind;
    use mcp_transport_stdio::discovery::{Reason, Status, project_key};

    fn at(ms: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(ms)
    }

    /// What the file says, with its heartbeat.
    fn project(ms: u64, change: impl FnOnce(&mut Status)) -> Project {
        let mut status = Status::new(6400, "/projects/Game/Assets");
        status.seat = false;
        change(&mut status);
        let key = project_key(&status.project_path);
        Project::new(key, status, at(ms))
    }

    /// The connection ended at 10.3 s, 300 ms after a heartbeat.
    fn verdict(now: Option<Project>) -> Verdict {
        let before = project(0, |_| ());
        read(&before, at(10_000), at(10_300), now.as_ref())
    }

    #[test]
    fn an_end_while_the_heartbeat_goes_on_is_a_takeover() {
        assert_eq!(verdict(Some(project(10_000, |_| ()))), Verdict::NotYet);
        for beat in [10_470, 10_500, 10_520, 11_500] {
            let now = project(beat, |_| ());
            assert_eq!(verdict(Some(now)), Verdict::Takeover, "{beat}");
        }
    }

    #[test]
    fn a_reload_says_so_however_little_of_it_is_seen() {
        assert_eq!(verdict(None), Verdict::Reload);
        let reloading = project(10_310, |status| {
            status.reloading = true;
            status.reason = Reason::Reloading;
        });
        assert_eq!(verdict(Some(reloading)), Verdict::Reload);
        let busy = project(10_310, |status| status.reason = Reason::PortBusy);
        assert_eq!(verdict(Some(busy)), Verdict::Reload);
        let restarted = project(10_500, |status| status.seq += 1);
        assert_eq!(verdict(Some(restarted)), Verdict::Reload);
        let moved = project(10_500, |status| status.unity_port = 6401);
        assert_eq!(verdict(Some(moved)), Verdict::Reload);
    }

    #[test]
    fn a_reload_between_two_looks_is_told_by_a_heartbeat_out_of_turn() {
        let ready_again = project(10_380, |_| ());
        assert_eq!(verdict(Some(ready_again)), Verdict::Reload);
        // Where its end happens to fall into the turn nobody can tell.
        let ready_in_turn = project(10_490, |_| ());
        assert_eq!(verdict(Some(ready_in_turn)), Verdict::Takeover);
    }

    #[test]
    fn a_takeover_names_the_editor_and_keeps_its_cause() {
        let error = as_takeover(ErrorKind::Disconnected.into(), &project(0, |_| ()));
        assert_eq!(error.kind(), ErrorKind::Evicted(EvictionReason::Superseded));
        assert!(error.to_string().contains("Game@"), "{error}");
        assert!(std::error::Error::source(&error).is_some());
    }
}
