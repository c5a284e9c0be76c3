//! The plugin's messages, as text: what the hub sends, and what the plugin answers.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::world::Project;

/// A message from the hub. The plugin ignores types that it does not know.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Incoming {
    #[serde(rename_all = "camelCase")]
    Welcome {
        keep_alive_interval: Option<f64>,
    },
    Registered {
        session_id: Option<String>,
    },
    Execute(Execute),
    Ping,
    #[serde(other)]
    Unknown,
}

/// One command for the editor. Its `timeout` is the hub's concern: the simulator runs no command
/// for long, except one that its operator holds back.
#[derive(Debug, Deserialize)]
pub(super) struct Execute {
    #[serde(default)]
    pub(super) id: String,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) params: Value,
}

impl Incoming {
    /// Text that is no message at all is as unknown as a type that is not.
    pub(super) fn parse(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or(Self::Unknown)
    }
}

/// How often the plugin is to be heard: the welcome's interval, if it is one.
pub(super) fn keep_alive(seconds: Option<f64>) -> Option<Duration> {
    // A day is long enough for anybody, and no hub wants to hear more than a hundred pongs a second.
    let seconds = seconds.filter(|seconds| *seconds > 0.0)?;
    Some(Duration::from_secs_f64(seconds.clamp(0.01, 86_400.0)))
}

/// The name and the parameters of a command on the bridge, where a command has no id; `None` for what
/// is no JSON.
pub(super) fn bridge_command(frame: &[u8]) -> Option<(String, Value)> {
    let mut command: Value = serde_json::from_slice(frame).ok()?;
    let name = command["type"].as_str().unwrap_or_default().to_owned();
    let params = command.get_mut("params").map(Value::take);
    Some((name, params.unwrap_or_default()))
}

/// Whether a command on the bridge only reads, by its name, so that it may run twice.
pub(super) fn is_read(frame: &[u8]) -> bool {
    const READS: [&str; 2] = ["get_", "find_"];
    let command = bridge_command(frame);
    command.is_some_and(|(name, _)| READS.iter().any(|read| name.starts_with(read)))
}

/// The bridge's answer to what is no JSON.
pub(super) fn not_json(frame: &[u8]) -> Value {
    let text = String::from_utf8_lossy(frame);
    let head: String = text.chars().take(50).collect();
    json!({"status": "error", "error": "Invalid JSON format", "receivedText": head + "..."})
}

/// A probe asks whether the editor is here, or what it has, and so it is never the command that is struck: servers ask it of
/// their own accord.
pub(super) fn is_probe(command: &str) -> bool {
    matches!(command, "ping" | "get_tool_states" | "get_project_info")
}

pub(super) fn register(project: &Project) -> String {
    json!({
        "type": "register",
        "project_name": project.name,
        "project_hash": project.hash(),
        "unity_version": project.unity_version,
        "project_path": project.path,
    })
    .to_string()
}

pub(super) fn register_tools(tools: &Value) -> String {
    json!({"type": "register_tools", "tools": tools}).to_string()
}

pub(super) fn pong(session: Option<&str>) -> String {
    json!({"type": "pong", "session_id": session}).to_string()
}

pub(super) fn command_result(id: &str, result: &Value) -> String {
    json!({"type": "command_result", "id": id, "result": result}).to_string()
}
