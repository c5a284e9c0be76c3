//! The plugin's messages, as the installed CoplayDev plugin (10.1) and its Python server (10.3.0) exchange them.
//!
//! All are JSON objects with a `type`. They are no JSON-RPC, carry no cancel and no progress, and `execute` is answered by
//! `command_result` with the same id. The plugin reads one `execute` at a time.

use mcp_transport_core::Message;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// What a plugin says.
#[derive(Debug)]
pub(super) enum FromPlugin {
    Register(Register),
    /// The tools that this project defines itself.
    RegisterTools(Vec<Value>),
    Pong,
    CommandResult {
        id: String,
        result: Value,
    },
    /// A type or shape that we do not know: ignored, as the Python server does.
    Ignored(String),
}

/// Who the plugin is.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Register {
    #[serde(default = "unknown_project")]
    pub(super) project_name: String,
    pub(super) project_hash: String,
    #[serde(default = "unknown")]
    pub(super) unity_version: String,
    #[serde(default)]
    pub(super) project_path: Option<String>,
}

#[derive(Deserialize)]
struct RegisterTools {
    #[serde(default)]
    tools: Vec<Value>,
}

#[derive(Deserialize)]
struct CommandResult {
    id: String,
    #[serde(default)]
    result: Option<Value>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ToPlugin<'a> {
    Welcome {
        #[serde(rename = "serverTimeout")]
        server_timeout: u64,
        #[serde(rename = "keepAliveInterval")]
        keep_alive_interval: u64,
    },
    Registered {
        session_id: &'a str,
    },
    Execute {
        id: &'a str,
        name: &'a str,
        params: &'a Value,
        timeout: f64,
    },
    Ping,
}

impl FromPlugin {
    /// `None` is text that is no JSON, for which the Python server closes with 1003.
    pub(super) fn read(message: &Message) -> Option<Self> {
        let value: Value = message.json().ok()?;
        Some(Self::of(value).unwrap_or_else(Self::Ignored))
    }

    fn of(value: Value) -> Result<Self, String> {
        let kind = value
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let wrong = |error: serde_json::Error| format!("{kind}: {error}");
        Ok(match kind.as_str() {
            "register" => Self::Register(serde_json::from_value(value).map_err(wrong)?),
            "register_tools" => {
                let RegisterTools { tools } = serde_json::from_value(value).map_err(wrong)?;
                Self::RegisterTools(tools)
            }
            "pong" => Self::Pong,
            "command_result" => {
                let CommandResult { id, result } = serde_json::from_value(value).map_err(wrong)?;
                let result = result.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
                Self::CommandResult { id, result }
            }
            _ => return Err(format!("a message of type {kind:?}")),
        })
    }
}

/// Greets a socket. `keep_alive` is how often a living plugin is to be heard, even while it is busy.
pub(super) fn welcome(server_timeout: Duration, keep_alive: Duration) -> Message {
    message(&ToPlugin::Welcome {
        server_timeout: server_timeout.as_secs(),
        keep_alive_interval: keep_alive.as_secs(),
    })
}

pub(super) fn registered(session_id: &str) -> Message {
    message(&ToPlugin::Registered { session_id })
}

/// The plugin reads the time-out as whole seconds, and takes at least one.
pub(super) fn execute(id: &str, name: &str, params: &Value, timeout: Duration) -> Message {
    message(&ToPlugin::Execute {
        id,
        name,
        params,
        timeout: timeout.as_secs_f64(),
    })
}

pub(super) fn ping() -> Message {
    message(&ToPlugin::Ping)
}

fn message(body: &ToPlugin<'_>) -> Message {
    Message::from_json(body).expect("text, numbers and JSON values always serialise")
}

fn unknown_project() -> String {
    "Unknown Project".to_owned()
}

fn unknown() -> String {
    "Unknown".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(message: &Message) -> &str {
        message.as_str().unwrap()
    }

    #[test]
    fn what_we_send_is_what_the_python_server_sends() {
        let (timeout, keep_alive) = (Duration::from_secs(30), Duration::from_secs(15));
        assert_eq!(
            text(&welcome(timeout, keep_alive)),
            r#"{"type":"welcome","serverTimeout":30,"keepAliveInterval":15}"#
        );
        assert_eq!(
            text(&registered("s")),
            r#"{"type":"registered","session_id":"s"}"#
        );
        assert_eq!(
            text(&execute("i", "ping", &serde_json::json!({}), timeout)),
            r#"{"type":"execute","id":"i","name":"ping","params":{},"timeout":30.0}"#
        );
        assert_eq!(text(&ping()), r#"{"type":"ping"}"#);
    }

    #[test]
    fn what_the_plugin_says_is_read_with_the_defaults_of_the_python_server() {
        let read = |text: &'static str| FromPlugin::read(&Message::from(text));
        assert!(read("not json").is_none());
        let Some(FromPlugin::Register(register)) =
            read(r#"{"type":"register","project_hash":"h"}"#)
        else {
            panic!("a register");
        };
        assert_eq!(register.project_name, "Unknown Project");
        assert!(matches!(
            read(r#"{"type":"register"}"#),
            Some(FromPlugin::Ignored(_))
        ));
        assert!(matches!(
            read(r#"{"type":"dance"}"#),
            Some(FromPlugin::Ignored(_))
        ));
        assert!(matches!(read("[1]"), Some(FromPlugin::Ignored(_))));
        assert!(matches!(
            read(r#"{"type":"pong","session_id":null}"#),
            Some(FromPlugin::Pong)
        ));
        let Some(FromPlugin::CommandResult { result, .. }) =
            read(r#"{"type":"command_result","id":"i"}"#)
        else {
            panic!("a result");
        };
        assert_eq!(result, serde_json::json!({}));
    }
}
