//! Editors as REST lists them. Pure.

use crate::hub::Instance;
use crate::server::health;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::{Instant, SystemTime};

/// The Python server's (10.3.0) fields of each, and what `/health` says of it besides. That server lists connected editors
/// only; here one that is away is listed, too, since calls for it are held.
pub(super) fn listed(now: Instant, wall: SystemTime, editors: &[Instance]) -> Value {
    let listed = editors.iter().map(|editor| {
        let mut shown = health::editor(now, editor);
        shown["session_id"] = json!(editor.session_id);
        shown["project"] = json!(editor.project);
        let connected = editor
            .connected
            .map(|at| wall - now.saturating_duration_since(at));
        shown["connected_at"] = json!(connected.and_then(iso));
        shown
    });
    json!({"success": true, "instances": listed.collect::<Vec<_>>()})
}

/// `2026-07-13T21:15:58.123456Z`.
fn iso(at: SystemTime) -> Option<String> {
    Timestamp::try_from(at).ok().map(|at| format!("{at:.6}"))
}
