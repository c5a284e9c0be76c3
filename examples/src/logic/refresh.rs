//! `refresh_unity` with `wait_for_ready`: what is said of whether the editor is ready.

use std::time::Duration;

use serde_json::json;

use super::readiness::busy_with;
use super::with;
use crate::catalogue::envelope::normalise;
use crate::catalogue::{Call, Reply};

/// Whether the answer waits for the editor to be quiet.
pub fn waits(call: &Call) -> bool {
    call.command == Some("refresh_unity")
        && call.params["wait_for_ready"] != serde_json::Value::Bool(false)
}

/// Whether this state is one of an editor that is ready. One that does not say so is not.
///
/// An editor that runs tests is: it has taken the refresh.
pub fn is_ready(state: &Reply) -> bool {
    use super::readiness::Busy;
    let busy = busy_with(&state.data).filter(|_| state.success);
    busy.is_some_and(|busy| busy.iter().all(|busy| *busy == Busy::RunningTests))
}

/// The answer of a refresh whose editor became ready.
pub fn ready(reply: Reply, waited: Duration) -> Reply {
    let took = json!(waited.as_millis() as u64);
    let value = with(
        with(reply.value, "ready", true.into()),
        "ready_after_ms",
        took,
    );
    normalise(&value)
}

/// The answer of a refresh whose editor was not seen ready for so long. `last`: its last state, if
/// it said any.
pub fn not_ready(waited: Duration, last: Option<&Reply>) -> Reply {
    let busy = last
        .filter(|last| last.success)
        .and_then(|last| busy_with(&last.data));
    let (what, reasons) = match &busy {
        Some(busy) if !busy.is_empty() => {
            let doing: Vec<_> = busy.iter().map(|busy| busy.doing()).collect();
            let words: Vec<_> = busy.iter().map(|busy| busy.word()).collect();
            (format!("still {}", doing.join(" and ")), words)
        }
        _ => (
            "has not said yet that it is ready".to_owned(),
            vec!["unknown_state"],
        ),
    };
    let seconds = waited.as_secs();
    let message = format!(
        "The editor took the refresh, and {what} after {seconds} s. Do not refresh again: read mcpforunity://editor/state until data.advice.ready_for_tools is true."
    );
    normalise(&json!({
        "success": false,
        "error": "not_ready",
        "message": message,
        "data": {
            "timeout": true, "wait_seconds": seconds, "refresh_delivered": true,
            "ready": false, "blocking_reasons": reasons,
        },
    }))
}
