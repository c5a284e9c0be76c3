//! Whether files of a project were changed by others than its editor, which then has yet to import them. Pure.
//!
//! Judged by the newest time stamp below the project, as in the Python server (10.3.0); but what
//! was written while the editor had a command of ours counts as the editor's own: there, each
//! saved scene makes the next call refresh the project.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

/// How often files are looked at, at most.
const EVERY: Duration = Duration::from_millis(1_500);
/// Commands whose times are remembered.
const COMMANDS: usize = 256;
/// Time stamps may be as coarse as this, and editors write a little after they have answered.
const SLACK_MS: i64 = 1_000;

/// What is known of one project's files.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    looked: Option<Instant>,
    newest: Option<i64>,
    last_seen: Option<i64>,
    dirty_since: Option<i64>,
    cleared: Option<i64>,
    ours: VecDeque<Span>,
}

/// From when to when, in Unix milliseconds, both included.
pub type Span = (i64, i64);

impl Watch {
    /// Whether it is time to look; if so, the times at which the editor itself was writing.
    pub fn due(&mut self, now: Instant) -> Option<Vec<Span>> {
        if self
            .looked
            .is_some_and(|at| now.saturating_duration_since(at) < EVERY)
        {
            return None;
        }
        self.looked = Some(now);
        Some(self.ours.iter().copied().collect())
    }

    /// The newest of the time stamps that are not the editor's; `None` if there is none.
    pub fn looked(&mut self, now_unix_ms: i64, newest: Option<i64>) {
        let Some(newest) = newest else { return };
        // The first look only says where it begins.
        if self.newest.is_some_and(|before| newest > before) {
            self.last_seen = Some(now_unix_ms);
            self.dirty_since.get_or_insert(now_unix_ms);
        }
        self.newest = self.newest.max(Some(newest));
    }

    /// The editor had a command that may write files, during this time.
    pub fn wrote(&mut self, (from, until): Span) {
        if self.ours.len() == COMMANDS {
            self.ours.pop_front();
        }
        self.ours.push_back((from - SLACK_MS, until + SLACK_MS));
    }

    /// The editor has imported what there was when this command went out.
    pub fn refreshed(&mut self, now_unix_ms: i64) {
        self.dirty_since = None;
        self.cleared = Some(now_unix_ms);
    }

    /// Whether there is something to import.
    pub const fn is_dirty(&self) -> bool {
        self.dirty_since.is_some()
    }

    /// As `assets` of the editor's state shows it.
    pub fn shown(&self) -> Map<String, Value> {
        let shown = json!({
            "external_changes_dirty": self.is_dirty(),
            "external_changes_last_seen_unix_ms": self.last_seen,
            "external_changes_dirty_since_unix_ms": self.dirty_since,
            "external_changes_last_cleared_unix_ms": self.cleared,
        });
        match shown {
            Value::Object(shown) => shown,
            _ => Map::new(),
        }
    }
}

/// Whether a time stamp lies within one of these spans.
pub fn is_within(spans: &[Span], at: i64) -> bool {
    spans
        .iter()
        .any(|(from, until)| (*from..=*until).contains(&at))
}
