//! What the client gets to see of the plugin's answer, as the Python server shows it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Tool;
use super::prepare::Call;

/// What becomes of a tool's answer. A failure is always shown as it came.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Present {
    /// Nothing.
    #[default]
    Whole,
    /// Only `success`, `message` and `data`.
    Summary,
    /// Stack traces are dropped, unless the call asked for them.
    Console,
    /// Counts of errors and warnings, and the findings if the call asked for them.
    Diagnostics,
    /// A summary, with an encoded source in clear.
    Script,
}

impl Tool {
    /// The plugin's answer (a [`Reply`](super::Reply)'s `value`) as the client is to see it.
    pub fn present(&self, reply: Value, call: &Call) -> Value {
        if reply.get("success") != Some(&Value::Bool(true)) {
            return reply;
        }
        match self.present {
            Present::Whole => reply,
            Present::Summary => summary(reply),
            Present::Console => console(reply, call),
            Present::Diagnostics => diagnostics(&reply, call),
            Present::Script => summary(in_clear(reply)),
        }
    }
}

fn summary(mut reply: Value) -> Value {
    let mut part = |name| reply.get_mut(name).map_or(Value::Null, Value::take);
    json!({"success": true, "message": part("message"), "data": part("data")})
}

fn console(mut reply: Value, call: &Call) -> Value {
    if call.params.get("includeStacktrace") == Some(&Value::Bool(true)) {
        return reply;
    }
    let entries = reply.get_mut("data").and_then(|data| match data {
        Value::Array(entries) => Some(entries),
        Value::Object(page) => {
            let list = if page.get("lines").is_some_and(Value::is_array) {
                "lines"
            } else {
                "items"
            };
            page.get_mut(list).and_then(Value::as_array_mut)
        }
        _ => None,
    });
    for entry in entries
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
    {
        entry.remove("stacktrace");
    }
    reply
}

fn diagnostics(reply: &Value, call: &Call) -> Value {
    let found = reply.pointer("/data/diagnostics").and_then(Value::as_array);
    let found = found.map_or(&[][..], Vec::as_slice);
    let count = |severities: &[&str]| {
        let severity = |finding: &Value| {
            let text = finding
                .get("severity")
                .and_then(Value::as_str)
                .unwrap_or_default();
            severities
                .iter()
                .any(|severity| text.eq_ignore_ascii_case(severity))
        };
        found.iter().filter(|finding| severity(finding)).count()
    };
    let counts = json!({"warnings": count(&["warning"]), "errors": count(&["error", "fatal"])});
    if call.local.get("include_diagnostics") == Some(&Value::Bool(true)) {
        return json!({"success": true, "data": {"diagnostics": found, "summary": counts}});
    }
    json!({"success": true, "data": counts})
}

/// The plugin adds the source in base64 for files over 10,000 characters.
fn in_clear(mut reply: Value) -> Value {
    let Some(data) = reply.get_mut("data").and_then(Value::as_object_mut) else {
        return reply;
    };
    if let Some(source) = source(&Value::Object(data.clone())) {
        data.insert("contents".to_owned(), source.into());
        data.remove("encodedContents");
        data.remove("contentsEncoded");
    }
    reply
}

/// The source in the answer to `manage_script` `read`, in clear or encoded.
pub(super) fn source(data: &Value) -> Option<String> {
    if let Some(text) = data.get("contents").and_then(Value::as_str) {
        return Some(text.to_owned());
    }
    let encoded = data.get("encodedContents")?.as_str()?;
    String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
}
