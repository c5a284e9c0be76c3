//! Before a command goes out: is the editor fit for it?
//!
//! A command that reaches an editor while it compiles runs on the old scripts, and what it does may
//! be gone after the reload. So calls of some tools are held until the editor is quiet: they are
//! not delivered yet, and can be withdrawn.
//!
//! The Python server (10.3.0) sends `get_editor_state` and `get_project_info` before each of these
//! commands, on HTTP a `ping` as well. Here is sent, for the same command with the same parameters:
//!
//! | | sent before it |
//! |---|---|
//! | the editor said within [`FRESH`] that it is quiet, and since then nothing was sent that can make it busy | nothing |
//! | anything else; always for `run_tests` | `get_editor_state` |
//! | files were changed by others since the last refresh | `get_editor_state`, `refresh_unity` |
//! | it compiles, imports or is about to reload | `get_editor_state`, again and again |
//! | `run_tests` with `clear_stuck` | nothing, as there |
//!
//! `get_project_info` is never sent: where the project is has been said when the editor registered.
//! An editor whose state cannot be read is none that is busy: the command goes out, and ends by itself.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::external::Watch;
use super::readiness::{Busy, busy_with};
use crate::catalogue::envelope::normalise;
use crate::catalogue::{Call, Reply};

/// For how long an editor that was quiet counts as quiet.
pub const FRESH: Duration = Duration::from_secs(2);

/// An editor takes a moment to begin what it was asked for: quiet within this time after a command
/// says nothing about the time after that.
const BEGINS: Duration = Duration::from_secs(1);

/// Editors that are remembered.
const EDITORS: usize = 64;

/// Commands that change things, and none that Unity compiles or imports.
const HARMLESS: &[&str] = &[
    "find_gameobjects",
    "manage_components",
    "manage_gameobject",
    "manage_scene",
];

/// Whether this call waits for a quiet editor.
pub fn wanted(call: &Call) -> bool {
    // What frees a blocked test runner must not wait for it.
    call.preflight && call.params["clear_stuck"] != true
}

/// What to do with a call.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "whoever holds it has to do each")]
pub enum Gate {
    /// Send it.
    Go,
    /// Hold it: the editor is busy with this.
    Hold(Busy),
    /// Do not send it: this is the answer.
    Refuse(Box<Reply>),
}

/// What the answer to `get_editor_state` means for this call.
pub fn judge(call: &Call, state: &Reply) -> Gate {
    let busy = match busy_with(&state.data) {
        Some(busy) if state.success => busy,
        _ => return Gate::Go,
    };
    if call.command == Some("run_tests") && busy.contains(&Busy::RunningTests) {
        return Gate::Refuse(Box::new(tests_running(&state.data["tests"])));
    }
    let holds = busy.iter().find(|busy| **busy != Busy::RunningTests);
    holds.map_or(Gate::Go, |busy| Gate::Hold(*busy))
}

/// In the Python server's words, with the job's id where the editor says it.
fn tests_running(tests: &Value) -> Reply {
    let job = tests["current_job_id"].as_str();
    let message = match job {
        Some(job) => format!(
            "The editor runs tests already. Nothing was sent. Ask get_test_job for job_id {job}; if that job is an orphan, run_tests with clear_stuck frees the editor."
        ),
        None => "The editor runs tests already, and not by a job of run_tests. Nothing was sent. Try again when they are over.".to_owned(),
    };
    normalise(&json!({
        "success": false,
        "error": "busy",
        "message": message,
        "hint": "retry",
        "data": {
            "reason": "tests_running",
            "retry_after_ms": 5_000,
            "job_id": job,
            "mode": tests["mode"],
            "started_unix_ms": tests["started_unix_ms"],
        },
    }))
}

/// Which connection a state came by: after a reload nothing of it counts any more.
pub type Connection = (Option<String>, u64);

/// What editors said of themselves, so that not every call has to ask.
#[derive(Debug, Default)]
pub struct Memory {
    editors: HashMap<String, Known>,
}

#[derive(Debug)]
struct Known {
    connection: Connection,
    /// When it was asked that said last that it is quiet.
    quiet: Option<Instant>,
    /// When something was last sent, or ended, that can make it busy.
    stirred: Option<Instant>,
    /// Its own limit for batches.
    batch: Option<usize>,
    files: Watch,
    touched: Instant,
}

impl Memory {
    /// Whether this editor can be taken for quiet.
    pub fn is_quiet(&self, now: Instant, hash: &str, connection: &Connection) -> bool {
        let Some(known) = self.editors.get(hash) else {
            return false;
        };
        let Some(quiet) = known.quiet else {
            return false;
        };
        known.connection == *connection
            && now.saturating_duration_since(quiet) < FRESH
            && known.stirred.is_none_or(|at| quiet >= at + BEGINS)
    }

    /// How many commands this editor takes in a batch, if it has said so.
    pub fn batch(&self, hash: &str) -> Option<usize> {
        self.editors.get(hash)?.batch
    }

    /// An editor that was asked at this time has said this.
    pub fn heard(&mut self, asked: Instant, hash: &str, connection: Connection, state: &Reply) {
        let known = self.known(asked, hash);
        let quiet = state.success && busy_with(&state.data).is_some_and(|busy| busy.is_empty());
        known.quiet = quiet.then_some(asked);
        known.connection = connection;
        let limit = state.data.pointer("/settings/batch_execute_max_commands");
        if let Some(limit) = limit.and_then(Value::as_u64).filter(|most| *most > 0) {
            known.batch = usize::try_from(limit).ok();
        }
    }

    /// A command goes to this editor now, or has just ended.
    pub fn sent(&mut self, now: Instant, hash: &str, call: &Call) {
        let command = call.command.unwrap_or_default();
        if call.reload || !(call.replay_safe || HARMLESS.contains(&command)) {
            self.stirred(now, hash);
        }
    }

    /// Something that can make it busy goes to this editor now, or has just ended.
    pub fn stirred(&mut self, now: Instant, hash: &str) {
        self.known(now, hash).stirred = Some(now);
    }

    /// What is known of the files of its project.
    pub fn files(&mut self, now: Instant, hash: &str) -> &mut Watch {
        &mut self.known(now, hash).files
    }

    fn known(&mut self, now: Instant, hash: &str) -> &mut Known {
        if self.editors.len() >= EDITORS && !self.editors.contains_key(hash) {
            let oldest = self.editors.iter().min_by_key(|(_, known)| known.touched);
            if let Some(oldest) = oldest.map(|(hash, _)| hash.clone()) {
                self.editors.remove(&oldest);
            }
        }
        let known = self
            .editors
            .entry(hash.to_owned())
            .or_insert_with(|| Known {
                connection: (None, 0),
                quiet: None,
                stirred: None,
                batch: None,
                files: Watch::default(),
                touched: now,
            });
        known.touched = now;
        known
    }
}
