//! Whether to dial an editor now, and what to ask of it. Pure.
//!
//! A dial may cost somebody else a session: the installed plugin (10.1) serves one client, and each newcomer silently ends the
//! others. So nobody dials for its own sake:
//!
//! | | no call waits | a call waits |
//! |---|---|---|
//! | the editor has no seats | nothing | dial; whoever is connected is ended by that |
//! | ditto, and said by a notice who took our place | nothing | nothing, until its file says that it starts again; calls are answered at once |
//! | it has seats, and never gave us one | nothing | take the seat |
//! | we had the seat, and lost it with the connection | ask for it, and wait until it is free | take it |
//! | another client took it | ask for it, and wait until it is free | the same; calls are answered at once |
//!
//! Under every rule one connection answers for one call at least: the one that it was made for ends with it, whatever
//! happens to it. So there are never more connections than calls, however many clients there are.

use super::takeover::same_start;
use mcp_transport_stdio::bridge::Claim;
use mcp_transport_stdio::discovery::Project;

/// What there was between us and the editor.
#[derive(Clone, Debug)]
pub(super) enum Past {
    /// Nothing yet.
    New,
    /// A connection, which went with the editor's end of it.
    Had,
    /// A connection that another client took from us; and what the file said then.
    Lost(Project),
}

/// What to do now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Plan {
    /// Nothing, until something changes.
    Wait,
    /// Dial this port, and first ask for this.
    Dial { port: u16, claim: Option<Claim> },
}

impl Plan {
    /// True if it costs nobody anything, and may take for ever.
    pub(super) fn is_patient(self) -> bool {
        matches!(
            self,
            Self::Dial {
                claim: Some(Claim::IfFree),
                ..
            }
        )
    }
}

/// What to do with an editor of which the file says this. `elsewhere`: it is connected by its own doing.
pub(super) fn plan(project: Option<&Project>, past: &Past, called: bool, elsewhere: bool) -> Plan {
    let Some(project) = project.filter(|project| project.is_ready()) else {
        return Plan::Wait;
    };
    let claim = match (project.status.seat, past) {
        (false, Past::Lost(_)) => return Plan::Wait,
        (false, _) if called => None,
        (true, Past::New | Past::Had) if called => Some(Claim::Take),
        (true, Past::Had | Past::Lost(_)) if !elsewhere => Some(Claim::IfFree),
        _ => return Plan::Wait,
    };
    let port = project.status.unity_port;
    Plan::Dial { port, claim }
}

/// True if a seat that was lost may be free by now, where nobody can ask for it: an editor that starts again has closed every
/// connection.
pub(super) fn may_be_free(past: &Past, project: Option<&Project>) -> bool {
    match past {
        Past::Lost(then) => !then.status.seat && !same_start(then, project),
        Past::New | Past::Had => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp_transport_stdio::discovery::{Reason, Status, project_key};
    use std::time::SystemTime;

    fn project(seat: bool) -> Project {
        let mut status = Status::new(6400, "/projects/Game/Assets");
        status.seat = seat;
        let key = project_key(&status.project_path);
        Project::new(key, status, SystemTime::UNIX_EPOCH)
    }

    /// Without a call, and with one.
    fn plans(project: &Project, past: &Past) -> [Plan; 2] {
        [false, true].map(|called| plan(Some(project), past, called, false))
    }

    const fn dial(claim: Option<Claim>) -> Plan {
        Plan::Dial { port: 6400, claim }
    }

    #[test]
    fn an_editor_without_seats_is_dialled_by_need_alone() {
        let editor = project(false);
        for past in [Past::New, Past::Had] {
            assert_eq!(plans(&editor, &past), [Plan::Wait, dial(None)], "{past:?}");
        }
    }

    #[test]
    fn a_seat_is_taken_for_a_call_and_otherwise_only_asked_for_by_who_had_it() {
        let (editor, ask) = (project(true), dial(Some(Claim::IfFree)));
        let take = dial(Some(Claim::Take));
        assert_eq!(plans(&editor, &Past::New), [Plan::Wait, take]);
        assert_eq!(plans(&editor, &Past::Had), [ask, take]);
    }

    #[test]
    fn a_lost_seat_is_never_taken_back() {
        let (editor, ask) = (project(true), dial(Some(Claim::IfFree)));
        assert_eq!(plans(&editor, &Past::Lost(editor.clone())), [ask, ask]);
        let editor = project(false);
        let past = Past::Lost(editor.clone());
        assert_eq!(plans(&editor, &past), [Plan::Wait, Plan::Wait]);
        assert!(!may_be_free(&past, Some(&editor)));
        assert!(may_be_free(&past, None));
    }

    #[test]
    fn who_reloads_or_is_connected_by_itself_is_not_dialled() {
        let mut editor = project(true);
        assert_eq!(plan(Some(&editor), &Past::Had, false, true), Plan::Wait);
        editor.status.reason = Reason::Reloading;
        editor.status.reloading = true;
        assert_eq!(plans(&editor, &Past::Had), [Plan::Wait, Plan::Wait]);
        assert_eq!(plan(None, &Past::Had, true, false), Plan::Wait);
    }
}
