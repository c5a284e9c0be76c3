//! `/health`: what works, what does not, since when, why, and what to do. Pure.

use crate::calls::Port;
use crate::calls::diagnose::{Fault, editor_fault, family_fault};
use crate::catalogue::Toolset;
use crate::hub::{Instance, Phase};
use mcp_transport_core::loopback::{FamilyHealth, FamilyState};
use serde_json::{Value, json};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The whole report.
///
/// `status`, `timestamp`, `version` and `message` are those of the Python server (10.3.0), for those who poll it; the rest
/// is ours.
pub fn report(
    now: Instant,
    wall: SystemTime,
    port: &Port,
    editors: &[Instance],
    sockets: (usize, usize),
) -> Value {
    let families = [("127.0.0.1", &port.health.v4), ("[::1]", &port.health.v6)];
    let mut faults: Vec<Fault> = port.known.iter().cloned().collect();
    let of_families = families
        .iter()
        .filter_map(|(address, family)| family_fault(address, port.number, family));
    // What is known says more.
    faults.extend(
        of_families.filter(|fault| port.known.as_ref().is_none_or(|it| it.cause != fault.cause)),
    );
    faults.extend(
        editors
            .iter()
            .filter_map(|editor| editor_fault(now, editor)),
    );
    faults.extend(editors.iter().filter_map(superseded));
    faults.extend(editors.iter().filter_map(left_out));
    let mut report = brief(wall);
    report["port"] = port.number.into();
    report["listeners"] = json!({
        "ipv4": family(&port.health.v4),
        "ipv6": family(&port.health.v6),
    });
    report["plugin_sockets"] = json!({"open": sockets.0, "unregistered": sockets.1});
    report["editors"] = editors.iter().map(|one| editor(now, one)).collect();
    report["faults"] = faults.iter().map(fault).collect();
    report
}

/// As the Python server (10.3.0) says it.
pub(super) const MESSAGE: &str = "MCP for Unity server is running";

/// What anybody may know: that the server is there, and whose it is.
pub(super) fn brief(wall: SystemTime) -> Value {
    json!({
        "status": "healthy",
        "timestamp": wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
        "version": env!("CARGO_PKG_VERSION"),
        "message": MESSAGE,
        // By this ours is told from that one.
        "server": super::relay::NAME,
    })
}

/// One editor, as `/health` and the resource of instances show it: its socket, its process, its main loop.
pub(super) fn editor(now: Instant, editor: &Instance) -> Value {
    let ago = |at: Instant| now.saturating_duration_since(at).as_millis() as u64;
    let (state, since) = match editor.phase {
        Phase::Connected if editor.stalled => ("stalled", None),
        Phase::Connected => ("ready", None),
        Phase::Listening { since } => ("listening", Some(since)),
        Phase::Away { since } => ("reloading", Some(since)),
        Phase::Quit { since } => ("quit", Some(since)),
    };
    json!({
        "id": editor.id(),
        "name": editor.project,
        "hash": editor.hash,
        "path": editor.path,
        "unity_version": editor.unity_version,
        "state": state,
        "note": note(editor),
        "for_ms": since.map(ago),
        "socket": {
            "connected": editor.phase == Phase::Connected,
            "session_id": editor.session_id,
            "standby": editor.standby,
        },
        "process": {
            // A pong comes from a timer of the plugin's own: it proves the process, not the main loop.
            "last_heard_ms": editor.last_heard.map(ago),
            "returns": editor.returns,
            "last_gap_ms": editor.last_gap.map(|gap| gap.as_millis() as u64),
            "superseded_ms": editor.superseded.map(ago),
        },
        "main_loop": {
            "last_answer_ms": editor.last_answer.map(ago),
            "running": editor.running.as_ref().map(|(command, since)| {
                json!({"command": command, "for_ms": ago(*since), "stalled": editor.stalled})
            }),
            "queued": editor.queued,
        },
        "tools": editor.tools.as_deref().map(tools),
    })
}

/// What its plugin registered, and what of that no client can have.
fn tools(tools: &Toolset) -> Value {
    let (skipped, more) = tools.skipped();
    let skipped: Vec<Value> = skipped
        .iter()
        .map(|one| json!({"name": one.name, "why": one.why}))
        .collect();
    json!({
        "registered": tools.registered().len(),
        "custom": tools.custom().iter().map(|tool| tool.name()).collect::<Vec<_>>(),
        "skipped": skipped,
        "more_skipped": more,
    })
}

/// What the state alone does not say.
fn note(editor: &Instance) -> Option<&'static str> {
    match (editor.phase, &editor.evicted) {
        (Phase::Listening { .. }, None) => {
            Some("known from its status file, not connected; a call connects it")
        }
        (Phase::Listening { .. }, Some(_)) => {
            Some("known from its status file; another client has its only seat")
        }
        _ => None,
    }
}

/// Said for as long as the project is known: the one who lost the seat looks for the reason later.
fn superseded(editor: &Instance) -> Option<Fault> {
    editor.superseded?;
    if editor.by_file {
        // While it lasts the editor's own fault says so, with more.
        return editor.evicted.is_none().then(|| Fault {
            cause: "superseded",
            what: format!(
                "Another client once took the only seat of {}, and with it this server's connection.",
                editor.id()
            ),
            next_step: "Use one client at a time: two that call the same editor end each other's calls.".to_owned(),
        });
    }
    Some(Fault {
        cause: "superseded",
        what: format!(
            "A connection of {} that had broken or fallen silent lost its seat to another editor of the same project.",
            editor.id()
        ),
        next_step: "If two editors have this project open, close one; calls go to the one that is connected now.".to_owned(),
    })
}

/// Tools of the project that nobody can call, by name and with the reason of the first.
fn left_out(editor: &Instance) -> Option<Fault> {
    let (skipped, more) = editor.tools.as_deref()?.skipped();
    let first = skipped.first()?;
    let names: Vec<&str> = skipped.iter().map(|one| &*one.name).collect();
    let and_more = match more {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    Some(Fault {
        cause: "tools_left_out",
        what: format!(
            "{} registered tools that no client can have: {}{and_more}. The first, {:?}, because {}.",
            editor.id(),
            names.join(", "),
            first.name,
            first.why
        ),
        next_step: "Change their definitions in the project; each with its reason is below the editor's tools.".to_owned(),
    })
}

fn fault(fault: &Fault) -> Value {
    json!({"cause": fault.cause, "what": fault.what, "next_step": fault.next_step})
}

fn family(family: &FamilyHealth) -> Value {
    let state = match family.state {
        FamilyState::Off => "off",
        FamilyState::Listening => "bound",
        FamilyState::Rebinding => "rebinding",
        FamilyState::Absent => "absent",
        FamilyState::PortTaken => "port_taken",
        _ => "unknown",
    };
    json!({
        "state": state,
        "accepted": family.accepted,
        "transient_errors": family.transient,
        "exhausted": family.exhausted,
        "died": family.died,
        "last_failure": family.last_failure.as_ref().map(|failure| json!({
            "os_code": failure.code,
            "text": failure.text,
            "at_unix_ms": failure.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64,
        })),
    })
}
