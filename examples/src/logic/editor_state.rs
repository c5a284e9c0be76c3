//! `mcpforunity://editor/state`: the editor's own state, and what it means for whoever reads it.
//!
//! The fields are those of the Python server (10.3.0). Where they mislead there, they do not here:
//!
//! | | there | here |
//! |---|---|---|
//! | an editor with the focus and nothing to do does not renew its time stamp | stale, so not ready | ready |
//! | the editor imports assets | ready | `asset_import` |
//! | the editor is away, or its state says nothing | an error, or `stale_status` alone, which counts as ready | never ready, and what is known of where it is |

use serde_json::{Map, Value, json};

use super::readiness::{Busy, busy_with};
use crate::catalogue::Reply;

/// A state that is older than this may hide what has begun since (the Python server's limit).
const STALE_MS: i64 = 2_000;
/// When to look again at an editor that is busy.
const RETRY_MS: u64 = 500;
/// The longest advice to wait.
const LONGEST_RETRY_MS: u64 = 10_000;

const SCHEMA: &str = "unity-mcp/editor_state@2";

/// The sections of a state and their fields. What a plugin leaves out is shown as null.
const SECTIONS: &[(&str, &[&str])] = &[
    (
        "unity",
        &[
            "instance_id",
            "unity_version",
            "project_id",
            "platform",
            "is_batch_mode",
        ],
    ),
    ("editor", &["is_focused", "play_mode", "active_scene"]),
    ("activity", &["phase", "since_unix_ms", "reasons"]),
    (
        "compilation",
        &[
            "is_compiling",
            "is_domain_reload_pending",
            "last_compile_started_unix_ms",
            "last_compile_finished_unix_ms",
            "last_domain_reload_before_unix_ms",
            "last_domain_reload_after_unix_ms",
        ],
    ),
    (
        "assets",
        &[
            "is_updating",
            "external_changes_dirty",
            "external_changes_last_seen_unix_ms",
            "external_changes_dirty_since_unix_ms",
            "external_changes_last_cleared_unix_ms",
            "refresh",
        ],
    ),
    (
        "tests",
        &[
            "is_running",
            "mode",
            "current_job_id",
            "started_unix_ms",
            "started_by",
            "last_run",
        ],
    ),
    (
        "transport",
        &["unity_bridge_connected", "last_message_unix_ms"],
    ),
    ("settings", &["batch_execute_max_commands"]),
];

/// What this server knows beside the editor's own words.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Beside {
    /// `Name@hash`.
    pub id: String,
    /// What files say that others changed; all null if nobody looks.
    pub external: Map<String, Value>,
}

impl Beside {
    /// For the editor of this id.
    pub fn of(id: impl Into<String>, external: Map<String, Value>) -> Self {
        Self {
            id: id.into(),
            external,
        }
    }
}

/// The editor answered: its state, with advice. An answer that is a failure is shown as it is.
pub fn present(reply: &Reply, now_unix_ms: i64, beside: &Beside) -> Value {
    if !reply.success {
        return reply.value.clone();
    }
    let busy = busy_with(&reply.data);
    let mut data = match &reply.data {
        Value::Object(data) => data.clone(),
        _ => Map::new(),
    };
    let observed = data.get("observed_at_unix_ms").and_then(Value::as_i64);
    let age = observed.map(|observed| now_unix_ms.saturating_sub(observed).max(0));
    complete(&mut data, observed.unwrap_or(now_unix_ms));
    let unity = section(&mut data, "unity");
    if matches!(unity["instance_id"].as_str(), None | Some("")) {
        unity.insert("instance_id".to_owned(), beside.id.as_str().into());
    }
    section(&mut data, "assets").extend(beside.external.clone());

    let focused = data["editor"]["is_focused"] == true;
    let idle = busy.as_deref().is_some_and(<[Busy]>::is_empty);
    let stale = !(focused && idle) && age.is_none_or(|age| age > STALE_MS);
    let mut reasons: Vec<&str> = match &busy {
        Some(busy) => busy.iter().map(|busy| busy.word()).collect(),
        None => vec!["unknown_state"],
    };
    if stale {
        reasons.push("stale_status");
    }
    let retry = if reasons.is_empty() { 0 } else { RETRY_MS };
    data.insert("advice".to_owned(), advice(&reasons, retry, "retry_later"));
    data.insert(
        "staleness".to_owned(),
        json!({"age_ms": age, "is_stale": stale}),
    );
    json!({"success": true, "message": "Retrieved editor state.", "data": data})
}

/// Why the editor's own words cannot be had now.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Absence {
    /// What it does instead, as far as anybody knows: `domain_reload`, `busy`, `not_connected`,
    /// `seat_taken`, `quit`.
    pub phase: &'static str,
    /// Since when, in Unix milliseconds.
    pub since_unix_ms: i64,
    /// A sentence that says it.
    pub message: String,
    /// How long it usually lasts, in milliseconds, if that is known.
    pub usual_ms: Option<u64>,
    /// When it was last heard, in Unix milliseconds.
    pub heard_unix_ms: Option<i64>,
    /// The Unity version.
    pub unity_version: String,
    /// Whether there is a connection to it.
    pub connected: bool,
}

impl Absence {
    /// An editor that has been in this phase since then.
    pub fn new(phase: &'static str, since_unix_ms: i64, message: impl Into<String>) -> Self {
        Self {
            phase,
            since_unix_ms,
            message: message.into(),
            usual_ms: None,
            heard_unix_ms: None,
            unity_version: String::new(),
            connected: false,
        }
    }
}

/// The editor cannot be asked: what is known of it, which is never that it is ready.
pub fn absent(absence: &Absence, now_unix_ms: i64, beside: &Beside) -> Value {
    let so_far = now_unix_ms.saturating_sub(absence.since_unix_ms).max(0);
    let retry = match absence.usual_ms {
        Some(usual) => usual
            .saturating_sub(so_far.unsigned_abs())
            .clamp(RETRY_MS, LONGEST_RETRY_MS),
        None => 2 * RETRY_MS,
    };
    let next = match absence.phase {
        "quit" => "open_project",
        "seat_taken" => "close_other_client",
        _ => "retry_later",
    };
    let age = absence
        .heard_unix_ms
        .map(|heard| now_unix_ms.saturating_sub(heard).max(0));
    let mut data = Map::new();
    complete(
        &mut data,
        absence.heard_unix_ms.unwrap_or(absence.since_unix_ms),
    );
    let unity = section(&mut data, "unity");
    unity.insert("instance_id".to_owned(), beside.id.as_str().into());
    unity.insert(
        "unity_version".to_owned(),
        absence.unity_version.as_str().into(),
    );
    section(&mut data, "activity").extend(object(json!({
        "phase": absence.phase, "since_unix_ms": absence.since_unix_ms, "reasons": [absence.message],
    })));
    section(&mut data, "transport").extend(object(json!({
        "unity_bridge_connected": absence.connected, "last_message_unix_ms": absence.heard_unix_ms,
    })));
    section(&mut data, "assets").extend(beside.external.clone());
    data.insert("advice".to_owned(), advice(&[absence.phase], retry, next));
    data.insert(
        "staleness".to_owned(),
        json!({"age_ms": age, "is_stale": true}),
    );
    json!({"success": true, "message": absence.message, "data": data})
}

fn advice(reasons: &[&str], retry_ms: u64, next: &str) -> Value {
    let ready = reasons.is_empty();
    json!({
        "ready_for_tools": ready,
        "blocking_reasons": reasons,
        "recommended_retry_after_ms": if ready { 0 } else { retry_ms },
        "recommended_next_action": if ready { "none" } else { next },
    })
}

/// Every section that is there has all its fields, and every other is null.
fn complete(data: &mut Map<String, Value>, observed_unix_ms: i64) {
    data.entry("schema_version").or_insert(SCHEMA.into());
    data.insert("observed_at_unix_ms".to_owned(), observed_unix_ms.into());
    data.entry("sequence").or_insert(0.into());
    for (name, fields) in SECTIONS {
        let section = data.entry(*name).or_insert(Value::Null);
        if let Value::Object(section) = section {
            for field in *fields {
                section.entry(*field).or_insert(Value::Null);
            }
        }
    }
}

/// The section, with all its fields, whatever stood there.
fn section<'a>(data: &'a mut Map<String, Value>, name: &str) -> &'a mut Map<String, Value> {
    let section = data.entry(name).or_insert(Value::Null);
    if !section.is_object() {
        let fields = SECTIONS.iter().find(|(section, _)| *section == name);
        let fields = fields.map_or(&[][..], |(_, fields)| fields);
        *section = fields
            .iter()
            .map(|field| ((*field).to_owned(), Value::Null))
            .collect();
    }
    section.as_object_mut().expect("it was made one")
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
