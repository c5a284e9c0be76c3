//! What a command handler says, and the envelope in which the plugin sends it.

use serde_json::{Map, Value, json};

/// A handler's answer. The plugin's convention: a refusal is still `"status":"success"` on the
/// outside; only what the handler threw is `"status":"error"`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    Done {
        message: String,
        data: Option<Value>,
    },
    Refused {
        error: String,
        data: Option<Value>,
    },
    Pending {
        message: String,
        poll_seconds: f64,
        data: Option<Value>,
    },
    Threw {
        error: String,
    },
    /// `ping` alone answers without the convention.
    Bare(Value),
}

/// A handler's result: `Err` is the early way out of a handler, not a different kind of answer.
pub(super) type Reply = Result<Answer, Answer>;

impl Answer {
    pub(super) fn done(message: impl Into<String>) -> Self {
        Self::Done {
            message: message.into(),
            data: None,
        }
    }

    pub(super) fn refused(error: impl Into<String>) -> Self {
        Self::Refused {
            error: error.into(),
            data: None,
        }
    }

    pub(super) fn with(mut self, value: Value) -> Self {
        match &mut self {
            Self::Done { data, .. } | Self::Refused { data, .. } | Self::Pending { data, .. } => {
                *data = Some(value);
            }
            Self::Threw { .. } | Self::Bare(_) => {}
        }
        self
    }

    /// Whether a batch counts it as a success.
    pub(super) fn succeeded(&self) -> bool {
        !matches!(self, Self::Refused { .. } | Self::Threw { .. })
    }

    /// The object that a handler returns, i.e. the envelope's `result`.
    pub(super) fn into_result(self) -> Value {
        let (mut result, data) = match self {
            Self::Done { message, data } => {
                (fields(json!({"success": true, "message": message})), data)
            }
            // The same text in both fields: clients of different ages read one or the other.
            Self::Refused { error, data } => (
                fields(json!({"success": false, "code": error, "error": error})),
                data,
            ),
            Self::Pending {
                message,
                poll_seconds,
                data,
            } => (
                fields(json!({
                    "success": true,
                    "_mcp_status": "pending",
                    "_mcp_poll_interval": poll_seconds,
                    "message": message,
                })),
                data,
            ),
            Self::Threw { error } => (fields(json!({"success": false, "error": error})), None),
            Self::Bare(value) => return value,
        };
        if let Some(data) = data {
            result.insert("data".to_owned(), data);
        }
        Value::Object(result)
    }

    /// What goes into `command_result.result`.
    pub(super) fn into_envelope(self) -> Value {
        match self {
            Self::Threw { error } => json!({
                "status": "error",
                "error": error,
                "command": "Unknown",
                "stackTrace": null,
            }),
            answer => json!({"status": "success", "result": answer.into_result()}),
        }
    }
}

fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
