//! Why a call has no answer, in words that say what to do next. Pure.

use super::Port;
use super::target::NoTarget;
use crate::catalogue::Reply;
use crate::hub::{Instance, Lost, Phase, Refused, Standing, Why};
use crate::logic::readiness::{Busy, busy_with};
use mcp_transport_core::loopback::{FamilyHealth, FamilyState};
use mcp_transport_core::{Ending, Outcome};
use std::time::{Duration, Instant};

/// A fault that keeps calls from their editor, and what to do about it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Fault {
    /// One stable word, for programs.
    pub cause: &'static str,
    /// What is wrong.
    pub what: String,
    /// What to do next.
    pub next_step: String,
}

impl Fault {
    pub(crate) fn new(
        cause: &'static str,
        what: impl Into<String>,
        next_step: impl Into<String>,
    ) -> Self {
        Self {
            cause,
            what: what.into(),
            next_step: next_step.into(),
        }
    }

    /// The bad ending of a call that met this fault.
    pub fn ending(&self, outcome: Outcome, known: &str) -> Ending {
        Ending::new(
            outcome,
            self.cause,
            format!("{} {known} {}", self.what, self.next_step),
        )
    }
}

/// What is wrong with the port that editors dial, if something is.
///
/// The plugin dials 127.0.0.1 unless it was told otherwise, so that family counts; the other is reported beside it.
pub fn port_fault(port: &Port) -> Option<Fault> {
    let known = port.known.clone();
    known.or_else(|| family_fault("127.0.0.1", port.number, &port.health.v4))
}

/// The same for one family.
pub fn family_fault(address: &str, port: u16, family: &FamilyHealth) -> Option<Fault> {
    let last = family
        .last_failure
        .as_ref()
        .map_or_else(String::new, |failure| format!(" ({})", failure.text));
    match family.state {
        FamilyState::PortTaken => Some(Fault::new(
            "port_taken",
            format!(
                "Another program holds {address}:{port}{last}, so the editor cannot reach this server there."
            ),
            "End that program, or start this server with another --http-url and set the same URL in Unity's MCP window.",
        )),
        FamilyState::Rebinding => Some(Fault::new(
            "listener_down",
            format!("The listener on {address}:{port} failed{last} and is being bound again."),
            "Nothing to do: it is tried again several times a second. If it stays so, look at the operating system's error.",
        )),
        _ => None,
    }
}

/// What is wrong with an editor, if something is.
pub fn editor_fault(now: Instant, editor: &Instance) -> Option<Fault> {
    let name = editor.id();
    match (editor.phase, &editor.running) {
        (Phase::Quit { since }, _) if editor.by_file => Some(Fault::new(
            "editor_quit",
            format!(
                "The editor {name} is closed: its status file is gone, or nobody has written it for a minute. That was {} ago.",
                ago(now, since)
            ),
            "Open the project in Unity again, or start the MCP session in its window.",
        )),
        (Phase::Quit { since }, _) => Some(Fault::new(
            "editor_quit",
            format!(
                "The editor {name} closed its connection in good order {} ago.",
                ago(now, since)
            ),
            "Open the project in Unity again, or start the MCP session in its window.",
        )),
        (Phase::Away { .. } | Phase::Listening { .. }, _) if editor.evicted.is_some() => {
            Some(Fault::new(
                "superseded",
                format!(
                    "Another client has the only seat of the editor {name}. {}",
                    editor.evicted.as_deref().unwrap_or_default()
                ),
                SEAT_TAKEN,
            ))
        }
        (Phase::Away { since }, _) => Some(Fault::new(
            "reloading",
            format!(
                "The editor {name} is away for {}: it reloads its scripts, or it crashed.",
                ago(now, since)
            ),
            usual(editor),
        )),
        (Phase::Connected, Some((command, since))) if editor.stalled => Some(Fault::new(
            "main_loop_stalled",
            format!(
                "The editor {name} is connected, but its main loop has not answered {command} for {}.",
                ago(now, *since)
            ),
            "Look at the Unity window: a dialog that waits, a long import or a breakpoint stops it.",
        )),
        _ => None,
    }
}

/// What keeps a call from its editor. One that is away and dials can only come back through the port, so that counts first.
/// To one that listens a call connects, so it is at fault only if that does not come about.
pub fn call_fault(now: Instant, editor: &Instance, port: Option<&Port>) -> Option<Fault> {
    let at_port = match editor.phase {
        Phase::Away { .. } if !editor.by_file => port.and_then(port_fault),
        _ => None,
    };
    at_port
        .or_else(|| editor_fault(now, editor))
        .or_else(|| connects_not(editor))
}

fn connects_not(editor: &Instance) -> Option<Fault> {
    let Phase::Listening { .. } = editor.phase else {
        return None;
    };
    if let Some(misled) = &editor.misled {
        return Some(Fault::new(
            "wrong_editor",
            format!(
                "The status file of {} names a port that is another editor's by now: {misled}.",
                editor.id()
            ),
            "Open the project in Unity; if it is open, start the MCP session in its window again. A file that a crash left behind can be deleted.",
        ));
    }
    Some(Fault::new(
        "not_connected",
        format!(
            "The editor {} is known from its status file, which says that it listens, but it could not be connected yet.",
            editor.id()
        ),
        "Look whether Unity still runs and answers; otherwise start the MCP session in its window again.",
    ))
}

/// What to do after somebody else took a seat.
const SEAT_LOST: &str =
    "Use one client at a time: two that call the same editor end each other's calls.";

/// What to do about a seat that somebody else has.
const SEAT_TAKEN: &str =
    "Close that client, or wait until it leaves: the seat is taken again when it is free.";

fn usual(editor: &Instance) -> String {
    let wait = "Wait: calls are held until it is back.";
    match editor.usual_gap {
        Some(gap) => format!("{wait} Usually it takes {}.", seconds(gap)),
        None => wait.to_owned(),
    }
}

/// No editor could be chosen.
pub fn no_target(why: &NoTarget, port: Option<&Port>) -> Ending {
    match why {
        NoTarget::Nobody => {
            let fault = port.and_then(port_fault).unwrap_or_else(|| {
                Fault::new(
                    "no_editor",
                    "No Unity editor is connected.",
                    "Open the project in Unity with the MCP for Unity plugin, set to HTTP and to this server's URL.",
                )
            });
            fault.ending(Outcome::NotDelivered, "Nothing was sent.").retry_after_ms(2_000)
        }
        NoTarget::Unknown { wanted, known } => Ending::new(
            Outcome::NotDelivered,
            "unknown_instance",
            format!(
                "No editor fits unity_instance {wanted:?}. Nothing was sent. Choose one of: {}.",
                list(known)
            ),
        )
        .retryable(false),
        NoTarget::Ambiguous { candidates } => Ending::new(
            Outcome::NotDelivered,
            "instance_selection_required",
            format!(
                "Several editors fit: {}. Nothing was sent. Say which with unity_instance, or once with set_active_instance.",
                list(candidates)
            ),
        )
        .retryable(false),
    }
}

/// The hub did not take the call.
pub fn refused(
    now: Instant,
    why: &Refused,
    editor: Option<&Instance>,
    port: Option<&Port>,
) -> Ending {
    match (why, editor.and_then(|editor| call_fault(now, editor, port))) {
        (Refused::NoSuchProject, _) => no_target(&NoTarget::Nobody, port),
        (Refused::Full(full), _) => Ending::new(
            Outcome::NotDelivered,
            "overloaded",
            format!("{full}. Nothing was sent. Send fewer calls at once, and this one again in a second."),
        )
        .retry_after_ms(1_000),
        (Refused::SeatTaken(text), _) => Ending::new(
            Outcome::NotDelivered,
            "superseded",
            format!("Another client has the editor's only seat. {text} Nothing was sent. {SEAT_TAKEN}"),
        ),
        (Refused::Quit, Some(fault)) => fault.ending(Outcome::NotDelivered, "Nothing was sent."),
        (Refused::Quit, None) => {
            Ending::new(Outcome::NotDelivered, "editor_quit", "The editor quit. Nothing was sent. Open it again.")
        }
    }
}

/// The hub ended the call.
pub fn lost(
    now: Instant,
    lost: &Lost,
    command: &str,
    editor: Option<&Instance>,
    port: Option<&Port>,
) -> Ending {
    let name = editor.map_or_else(
        || "the editor".to_owned(),
        |editor| format!("the editor {}", editor.id()),
    );
    let (cause, what) = match lost.why {
        Why::LinkLost => (
            "reloading",
            format!(
                "The connection to {name} broke while it had {command}: it reloads its scripts, or it crashed."
            ),
        ),
        Why::Quit => (
            "editor_quit",
            format!(
                "{} has quit, or has closed its connection in good order.",
                capital(&name)
            ),
        ),
        Why::Superseded => (
            "superseded",
            format!(
                "{} fell silent or lost its connection, and another editor of the same project took its place.",
                capital(&name)
            ),
        ),
        Why::Silent => (
            "editor_silent",
            format!(
                "{} was silent for too long and was given up.",
                capital(&name)
            ),
        ),
        Why::SeatTaken => (
            "superseded",
            format!("A newer client took the only seat of {name}, which lives on. {SEAT_LOST}"),
        ),
        Why::HoldExpired => return expired(now, lost.outcome, editor, port),
    };
    let known = match lost.outcome {
        Outcome::NotDelivered => "The call was not delivered; sending it again is safe.",
        _ => {
            "Whether the call took effect is not known: look at the scene or the file before you send it again."
        }
    };
    Ending::new(lost.outcome, cause, format!("{what} {known}"))
}

fn expired(
    now: Instant,
    outcome: Outcome,
    editor: Option<&Instance>,
    port: Option<&Port>,
) -> Ending {
    let known = match outcome {
        Outcome::NotDelivered => "The call waited as long as it may and was not delivered.",
        _ => "The call waited as long as it may; it was handed out before, and only reads.",
    };
    match editor.and_then(|editor| call_fault(now, editor, port)) {
        Some(fault) => fault.ending(outcome, known),
        None => Ending::new(
            outcome,
            "busy",
            format!("The editor is busy with other calls. {known} Try again."),
        ),
    }
}

/// The client's own time-out is near.
pub fn budget_spent(
    now: Instant,
    standing: Option<Standing>,
    budget: Duration,
    command: &str,
    editor: Option<&Instance>,
    port: Option<&Port>,
) -> Ending {
    let fault = editor.and_then(|editor| call_fault(now, editor, port));
    let after = seconds(budget);
    match standing {
        Some(Standing::Running) => {
            let (cause, what) = match fault {
                Some(fault) if fault.cause == "main_loop_stalled" => {
                    (fault.cause, format!("{} {}", fault.what, fault.next_step))
                }
                _ => (
                    "still_running",
                    format!("The editor still works on {command} after {after}."),
                ),
            };
            Ending::new(
                Outcome::Running,
                cause,
                format!(
                    "{what} Its result is kept: ask for it with get_operation and this operation_id. Do not send it again."
                ),
            )
        }
        _ => {
            let fault = fault.unwrap_or_else(|| {
                Fault::new("busy", "The editor is busy with other calls.", "Try again.")
            });
            fault
                .ending(
                    Outcome::NotDelivered,
                    &format!("The call waited for {after} and was not delivered."),
                )
                .retry_after_ms(1_000)
        }
    }
}

/// The command runs for longer than it may, while the client waits.
pub fn stuck(now: Instant, command: &str, editor: Option<&Instance>) -> Ending {
    let fault = editor
        .and_then(|editor| editor_fault(now, editor))
        .unwrap_or_else(|| {
            Fault::new(
                "main_loop_stalled",
                format!("The editor has not answered {command} in time."),
                "Look at the Unity window.",
            )
        });
    fault.ending(
        Outcome::Running,
        "The command runs on: ask for its result with get_operation and this operation_id, and do not send it again.",
    )
}

/// This server goes down, and with it whoever could say later what became of the call.
pub fn shutting_down(standing: Option<Standing>) -> Ending {
    let what = "This server is shutting down.";
    match standing {
        Some(Standing::Running) => Ending::new(
            Outcome::Unknown,
            "shutting_down",
            format!(
                "{what} The editor was still at work. Whether the call took effect is not known: look at the scene or the file before you send it again."
            ),
        ),
        _ => Ending::new(
            Outcome::NotDelivered,
            "shutting_down",
            format!("{what} The call was not delivered; send it again when the server is back."),
        ),
    }
}

/// The plugin gave up waiting for its own main loop. The command keeps running in the editor.
pub fn plugin_timed_out(error: &str) -> Ending {
    Ending::new(
        Outcome::Unknown,
        "plugin_timed_out",
        format!(
            "Unity's plugin gave up waiting for its main loop ({error}), but the command keeps running in the editor. Whether it takes effect is not known: look before you send it again. A plugin set to HTTP has an hour for long calls; one set to stdio has the 30 s, or with newer ones 5 min, of its environment's UNITY_MCP_STDIO_COMMAND_TIMEOUT_MS."
        ),
    )
}

/// Somebody asks for an operation that the editor still has.
pub fn still_running() -> Ending {
    Ending::new(
        Outcome::Running,
        "still_running",
        "The operation has no result yet. Ask again in a few seconds.",
    )
    .retry_after_ms(5_000)
}

/// Somebody asks for an operation that was cancelled before the editor saw it.
pub fn withdrawn() -> Ending {
    Ending::new(
        Outcome::NotDelivered,
        "cancelled",
        "It was cancelled before the editor saw it, and did nothing.",
    )
    .retryable(false)
}

/// Somebody asks for an operation whose editor went away with it.
pub fn ran_out_of_sight() -> Ending {
    Ending::new(
        Outcome::Unknown,
        "reloading",
        "The connection to the editor broke while it worked on the operation. Its result can be asked for here if the editor outlived that and still sends it; after a reload of its scripts it does not. Until then it is not known whether it took effect: look at the scene or the file before you send it again.",
    )
}

/// Somebody asks for an operation that is not theirs, or that nobody knows.
pub fn unknown_operation() -> Ending {
    Ending::new(
        Outcome::Unknown,
        "unknown_operation",
        "Nothing is kept under this operation_id: results and endings are kept for 10 minutes, for the session that made the call, by the server that took it. Check the id; if it is right and not that old, the session is another one, or the server was started again since, or another server has its place: look at what the call should have changed.",
    )
}

/// What a client that waits is told meanwhile.
pub fn progress(
    now: Instant,
    waited: Duration,
    standing: Option<Standing>,
    editor: Option<&Instance>,
    port: Option<&Port>,
) -> String {
    let so_far = format!("{} s so far", waited.as_secs());
    let away =
        editor.is_none_or(|editor| matches!(editor.phase, Phase::Away { .. }) && !editor.by_file);
    if let Some(fault) = port.filter(|_| away).and_then(port_fault) {
        return format!("{} {so_far}", fault.what);
    }
    match (standing, editor) {
        (_, None) => format!("waiting for an editor, {so_far}"),
        (
            _,
            Some(Instance {
                phase: Phase::Listening { .. },
                ..
            }),
        ) => format!("connecting to the editor, {so_far}"),
        (
            Some(Standing::Away),
            Some(Instance {
                phase: Phase::Away { since },
                usual_gap,
                ..
            }),
        ) => {
            let away = now.saturating_duration_since(*since).as_secs();
            match usual_gap {
                Some(gap) => format!(
                    "editor reloading, {away} s so far, usually {}",
                    seconds(*gap)
                ),
                None => format!("editor reloading, {away} s so far"),
            }
        }
        (Some(_), Some(editor)) if editor.stalled => {
            format!("the editor's main loop is stalled, {so_far}")
        }
        (Some(Standing::Running), _) if waited >= LOOK => {
            format!(
                "the editor works on it, {so_far}; if nothing moves there, look for a dialog that waits"
            )
        }
        (Some(Standing::Running), _) => format!("the editor works on it, {so_far}"),
        _ => format!("waiting behind other calls, {so_far}"),
    }
}

/// What a client whose call is held hears meanwhile.
pub fn holding(busy: Busy, waited: Duration) -> String {
    format!("the editor {}, {} s so far", busy.doing(), waited.as_secs())
}

/// What a client hears while an editor that it had refreshed is not ready yet.
pub fn settling(last: Option<&Reply>, waited: Duration) -> String {
    let busy = last.and_then(|last| busy_with(&last.data));
    match busy.and_then(|busy| busy.first().copied()) {
        Some(busy) => holding(busy, waited),
        None => format!(
            "waiting for the editor to be ready, {} s so far",
            waited.as_secs()
        ),
    }
}

/// A call was held for an editor that was busy for as long as the call may wait.
pub fn held(busy: Busy, waited: Duration, tool: &str, editor: Option<&Instance>) -> Ending {
    let name = editor.map_or_else(
        || "The editor".to_owned(),
        |one| format!("The editor {}", one.id()),
    );
    let text = format!(
        "{name} {}. {tool} waited for {} and was not delivered: sending it again is safe. Wait until mcpforunity://editor/state says ready_for_tools.",
        busy.doing(),
        seconds(waited)
    );
    Ending::new(Outcome::NotDelivered, busy.word(), text).retry_after_ms(2_000)
}

/// A call was held for an editor that never said whether it is ready.
pub fn never_ready(waited: Duration) -> Ending {
    let text = format!(
        "The editor was asked whether it is ready, and has not answered. The call waited for {} and was not delivered: sending it again is safe. Look at the Unity window if this stays so.",
        seconds(waited)
    );
    Ending::new(Outcome::NotDelivered, "editor_silent", text).retry_after_ms(2_000)
}

/// After so much time somebody might look whether the editor works or waits.
const LOOK: Duration = Duration::from_secs(60);

fn ago(now: Instant, since: Instant) -> String {
    seconds(now.saturating_duration_since(since))
}

fn seconds(duration: Duration) -> String {
    match duration.as_secs() {
        0 => format!("{} ms", duration.as_millis()),
        whole => format!("{whole} s"),
    }
}

fn list(ids: &[String]) -> String {
    if ids.is_empty() {
        "none is known".to_owned()
    } else {
        ids.join(", ")
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}
