//! How an editor is, at once: its own words, or what is known of it while it has none.
#![expect(clippy::disallowed_methods, reason = "a shell that waits by the clock")]

use super::{Caller, Calls, diagnose, now, unix_ms};
use crate::hub::{Instance, Phase};
use crate::logic::editor_state::{Absence, absent, present};
use mcp_transport_core::Ending;
use serde_json::Value;
use std::time::{Duration, Instant};

/// An editor that is at work, or that is still being connected, may take so long to say how it is.
const SAY: Duration = Duration::from_secs(3);

impl Calls {
    /// The editor's state with advice. Never held: an editor that is away, or that does not answer within 3 s, is described
    /// by what is known of it, which is never that it is ready.
    ///
    /// # Errors
    /// No editor fits.
    ///
    /// # Cancel safety
    /// Dropping the future withdraws the question.
    pub async fn look(&self, caller: &Caller, selector: Option<&str>) -> Result<Value, Ending> {
        let chosen = |port: Option<&super::Port>| {
            let chosen = self.choose(selector);
            chosen.map_err(|why| diagnose::no_target(&why, port))
        };
        let editor = chosen((self.port)().as_ref())?;
        let beside = self.beside(&editor).await;
        let asks = match editor.phase {
            Phase::Connected => true,
            Phase::Listening { .. } => editor.evicted.is_none(),
            Phase::Away { .. } | Phase::Quit { .. } => false,
        };
        if asks {
            let mut clock = self.clock(caller);
            let state = self.state(caller, &editor.hash, &mut clock);
            if let Ok(Ok(state)) = tokio::time::timeout(SAY, state).await {
                return Ok(present(&state, unix_ms(), &beside));
            }
        }
        // It may have gone in between.
        let editor = self.editor(&editor.hash).unwrap_or(editor);
        Ok(absent(
            &absence(now(), unix_ms(), &editor),
            unix_ms(),
            &beside,
        ))
    }
}

/// Where the editor is instead.
fn absence(now: Instant, wall_ms: i64, editor: &Instance) -> Absence {
    let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    let wall = |at: Instant| wall_ms.saturating_sub(ms(now.saturating_duration_since(at)));
    let name = editor.id();
    let said = |otherwise: String| {
        diagnose::editor_fault(now, editor).map_or(otherwise, |fault| {
            format!("{} {}", fault.what, fault.next_step)
        })
    };
    let (phase, since, message) = match (editor.phase, &editor.running) {
        (Phase::Away { since } | Phase::Listening { since }, _) if editor.evicted.is_some() => {
            ("seat_taken", since, said(name))
        }
        (Phase::Away { since }, _) => ("domain_reload", since, said(name)),
        (Phase::Quit { since }, _) => ("quit", since, said(name)),
        (Phase::Listening { since }, _) => (
            "not_connected",
            since,
            format!("The editor {name} listens, and is being connected."),
        ),
        (Phase::Connected, Some((command, since))) => (
            "busy",
            *since,
            said(format!("The editor {name} is at work on {command}.")),
        ),
        (Phase::Connected, None) => (
            "busy",
            editor.last_answer.or(editor.last_heard).unwrap_or(now),
            format!("The editor {name} has not answered in time."),
        ),
    };
    let mut absence = Absence::new(phase, wall(since), message);
    absence.usual_ms = editor
        .last_gap
        .map(|gap| u64::try_from(gap.as_millis()).unwrap_or(u64::MAX));
    absence.heard_unix_ms = editor.last_heard.map(wall);
    absence.unity_version = editor.unity_version.clone();
    absence.connected = editor.phase == Phase::Connected;
    absence
}
