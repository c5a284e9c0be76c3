//! The plugin's messages, as the installed CoplayDev plugin (10.1) and its Python server (10.3.0)
//! exchange them.
//!
//! All are JSON objects with a `type`. They are no JSON-RPC, carry no cancel and no progress, and
//! `execute` is answered by `command_result` with the same id. The plugin reads one `execute` at a
//! time.

use crate::catalogue::Toolset;
use mcp_transport_core::Message;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// What a plugin said, read. Reading is the costly part, and needs no state.
#[derive(Debug)]
pub struct Said {
    pub(super) what: FromPlugin,
    /// How long it was on the wire.
    pub(super) bytes: usize,
}

#[derive(Debug)]
pub(super) enum FromPlugin {
    Register(Register),
    /// What it offers.
    RegisterTools(Arc<Toolset>),
    Pong,
    CommandResult {
        id: String,
        result: Value,
    },
    /// A type or shape that we do not know: ignored, as the Python server does.
    Ignored(String),
    /// No JSON at all, for which the Python server closes with 1003.
    NotJson,
}

/// Who the plugin is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
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
struct Typed<'a> {
    #[serde(rename = "type", default, borrow)]
    kind: Cow<'a, str>,
}

#[derive(Deserialize)]
struct RegisterTools<'a> {
    #[serde(default, borrow)]
    tools: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct CommandResult<'a> {
    id: String,
    #[serde(default, borrow)]
    result: Option<&'a RawValue>,
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
        params: &'a RawValue,
        timeout: f64,
    },
    Ping,
}

impl Said {
    /// Reads a message. Only results are built in memory; what is of no use is skipped.
    pub fn read(message: &Message) -> Self {
        Self {
            what: message
                .as_str()
                .map_or(FromPlugin::NotJson, FromPlugin::read),
            bytes: message.len(),
        }
    }
}

impl FromPlugin {
    fn read(text: &str) -> Self {
        let kind = match serde_json::from_str::<Typed<'_>>(text) {
            Ok(Typed { kind }) => kind,
            Err(error) => {
                return match serde_json::from_str::<IgnoredAny>(text) {
                    Ok(_) => Self::Ignored(error.to_string()),
                    Err(_) => Self::NotJson,
                };
            }
        };
        Self::of(&kind, text).unwrap_or_else(|error| Self::Ignored(format!("{kind:?}: {error}")))
    }

    fn of(kind: &str, text: &str) -> Result<Self, serde_json::Error> {
        Ok(match kind {
            "register" => Self::Register(serde_json::from_str(text)?),
            "register_tools" => {
                let RegisterTools { tools } = serde_json::from_str(text)?;
                Self::RegisterTools(Arc::new(Toolset::read(tools.iter().map(|tool| tool.get()))))
            }
            "pong" => Self::Pong,
            "command_result" => {
                let CommandResult { id, result } = serde_json::from_str(text)?;
                let result = result.map_or_else(|| json!({}), envelope);
                Self::CommandResult { id, result }
            }
            _ => Self::Ignored(format!("a message of type {kind:?}")),
        })
    }
}

/// A result is somebody's answer: one that we cannot read (nested too deeply, say) is still an end.
fn envelope(result: &RawValue) -> Value {
    serde_json::from_str(result.get()).unwrap_or_else(|error| {
        let error = format!("the command ran, but its result cannot be read: {error}");
        json!({"status": "error", "error": error})
    })
}

/// Greets a socket. `keep_alive` is how often a living plugin is to be heard, even while busy.
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
pub(super) fn execute(id: &str, name: &str, params: &RawValue, timeout: Duration) -> Message {
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
            text(&execute(
                "i",
                "ping",
                &RawValue::from_string("{}".to_owned()).unwrap(),
                timeout
            )),
            r#"{"type":"execute","id":"i","name":"ping","params":{},"timeout":30.0}"#
        );
        assert_eq!(text(&ping()), r#"{"type":"ping"}"#);
    }

    #[test]
    fn what_the_plugin_says_is_read_with_the_defaults_of_the_python_server() {
        let read = |text: &str| Said::read(&Message::from(text.to_owned())).what;
        assert!(matches!(read("not json"), FromPlugin::NotJson));
        assert!(matches!(read("[1"), FromPlugin::NotJson));
        let FromPlugin::Register(register) = read(r#"{"type":"register","project_hash":"h"}"#)
        else {
            panic!("a register");
        };
        assert_eq!(register.project_name, "Unknown Project");
        for ignored in [
            r#"{"type":"register"}"#,
            r#"{"type":"dance"}"#,
            r#"{"type":7}"#,
            "{}",
            "[1]",
            r#"{"type":"command_result"}"#,
        ] {
            assert!(matches!(read(ignored), FromPlugin::Ignored(_)), "{ignored}");
        }
        assert!(matches!(
            read(r#"{"type":"pong","session_id":null}"#),
            FromPlugin::Pong
        ));
        let FromPlugin::RegisterTools(tools) =
            read(r#"{"type":"register_tools","tools":[{"name":"a"},{}]}"#)
        else {
            panic!("tools");
        };
        assert_eq!(tools.registered().collect::<Vec<_>>(), ["a"]);
        assert_eq!(tools.skipped().0.len(), 1);
        let FromPlugin::CommandResult { result, .. } =
            read(r#"{"type":"command_result","id":"i"}"#)
        else {
            panic!("a result");
        };
        assert_eq!(result, json!({}));
    }

    #[test]
    fn a_result_that_is_nested_too_deeply_is_an_answer_all_the_same() {
        let deep = "[".repeat(1_000) + &"]".repeat(1_000);
        let text = format!(r#"{{"type":"command_result","id":"i","result":{deep}}}"#);
        let FromPlugin::CommandResult { id, result } = Said::read(&Message::from(text)).what else {
            panic!("a result");
        };
        assert_eq!((id.as_str(), &result["status"]), ("i", &json!("error")));
    }
}
