//! The plugin's answer, in all the shapes that it comes in, as one [`Reply`].
//!
//! | what came | success | data |
//! |---|---|---|
//! | `{"success": …}`, or `result` is an object with `success` | what it says | its `data` |
//! | `status` `success`, `result` another object | yes | its `data`, else its other fields |
//! | `status` `success`, `result` no object | yes | the result |
//! | `status` `error` | no | as above |
//! | neither | no | none |

use std::time::Duration;

use serde_json::{Map, Value};

/// What the plugin answered.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Reply {
    /// Whether the command did what it was to do.
    pub success: bool,
    /// What the plugin says about it.
    pub message: Option<String>,
    /// What went wrong; always there when `success` is false.
    pub error: Option<String>,
    /// What the command returns; null if nothing.
    pub data: Value,
    /// The whole answer as the client sees it: `success`, `message`, `error`, `data`, or the
    /// command's own object with these and more.
    pub value: Value,
    /// The plugin gave up waiting for the command, which **keeps running in the editor**: whether
    /// it takes effect is unknown.
    pub timed_out: bool,
    /// The command is not over: ask again after this time.
    pub pending: Option<Duration>,
}

/// Reads the envelope: the `result` of a `command_result`, or a frame of the stdio bridge.
///
/// Whatever it holds, there is a reply; judged by fields, never by words within texts, which can
/// be a user's.
///
/// ```
/// use examples::catalogue::envelope::normalise;
/// use serde_json::json;
///
/// let reply = normalise(&json!({"status": "error", "error": "Tool exploded"}));
/// assert!(!reply.success && !reply.timed_out);
/// assert_eq!(reply.error.as_deref(), Some("Tool exploded"));
/// ```
pub fn normalise(envelope: &Value) -> Reply {
    let value = match envelope.get("result") {
        _ if envelope.get("success").is_some() => envelope.clone(),
        Some(result) if result.get("success").is_some() => result.clone(),
        result => assemble(envelope, result.unwrap_or(&Value::Null)),
    };
    let success = value.get("success") == Some(&Value::Bool(true));
    let message = text(&value, "message");
    let error = text(&value, "error");
    Reply {
        success,
        error: if success {
            error
        } else {
            error.or_else(|| message.clone()).or_else(unsaid)
        },
        message,
        data: value.get("data").cloned().unwrap_or_default(),
        timed_out: gave_up(envelope),
        pending: pending(&value),
        value,
    }
}

/// An answer that says `status` only, brought into the common form.
fn assemble(envelope: &Value, result: &Value) -> Value {
    let success = envelope.get("status").and_then(Value::as_str) == Some("success");
    let either = |name| text(result, name).or_else(|| text(envelope, name));
    let data = match result {
        Value::Object(fields) => match fields.get("data") {
            Some(data) if !data.is_null() => data.clone(),
            _ => rest(fields),
        },
        other => other.clone(),
    };
    let message = either("message");
    let mut value = Map::new();
    value.insert("success".to_owned(), success.into());
    if !success {
        let error = either("error").or_else(|| message.clone()).or_else(unsaid);
        value.insert("error".to_owned(), error.into());
    }
    value.insert("message".to_owned(), message.into());
    value.insert("data".to_owned(), data);
    value.into()
}

fn rest(fields: &Map<String, Value>) -> Value {
    let said = ["message", "error", "status", "code", "data"];
    let rest = fields
        .iter()
        .filter(|(name, _)| !said.contains(&name.as_str()));
    let rest: Map<_, _> = rest
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if rest.is_empty() {
        Value::Null
    } else {
        rest.into()
    }
}

/// The three texts with which the plugin (10.1) itself says that it stopped waiting: over the
/// bridge, over the bridge after twice the time, over WebSocket. They stand in the envelope's own
/// `error`, beside `status` `error`; the same words from a command mean nothing.
pub(crate) fn gave_up(envelope: &Value) -> bool {
    if envelope.get("status").and_then(Value::as_str) != Some("error") {
        return false;
    }
    let error = envelope
        .get("error")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if error.starts_with("Command processing timed out after ") {
        return true;
    }
    if error == "Command evicted: stuck too long in queue" {
        return true;
    }
    let seconds = error
        .strip_prefix("Command '")
        .and_then(|rest| rest.strip_suffix(" seconds"));
    let seconds = seconds.and_then(|rest| rest.split_once("' timed out after "));
    seconds.is_some_and(|(_, number)| number.parse::<u32>().is_ok())
}

fn pending(value: &Value) -> Option<Duration> {
    if value.get("_mcp_status").and_then(Value::as_str) != Some("pending") {
        return None;
    }
    let interval = value
        .get("_mcp_poll_interval")
        .and_then(Value::as_f64)
        .unwrap_or(1.0);
    Some(Duration::from_secs_f64(interval.clamp(0.1, 60.0)))
}

fn text(value: &Value, name: &str) -> Option<String> {
    match value.get(name)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn unsaid() -> Option<String> {
    Some("the editor reported a failure and gave no reason".to_owned())
}
