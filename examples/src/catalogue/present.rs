//! What the client gets to see of the plugin's answer, as the Python server shows it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};

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
    /// An encoded file in clear.
    Clear,
    /// Pictures apart from the text: see [`Tool::pictures`].
    Image,
    /// Only a script's hash and size.
    Sha,
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
            Present::Whole | Present::Image => reply,
            Present::Clear => in_clear(reply),
            Present::Sha => sha(&reply),
            Present::Summary => summary(reply),
            Present::Console => console(reply, call),
            Present::Diagnostics => diagnostics(&reply, call),
            Present::Script => summary(in_clear(reply)),
        }
    }
}

/// A picture that came within an answer.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Picture {
    /// What it shows, where there are several.
    pub label: Option<String>,
    /// PNG in base64.
    pub png: String,
}

impl Tool {
    /// Takes the pictures out of an answer that was presented: clients show them as such, and as
    /// text they would only fill the model's window.
    pub fn pictures(&self, value: &mut Value) -> Vec<Picture> {
        if self.present != Present::Image {
            return Vec::new();
        }
        let mut pictures = Vec::new();
        let Some(data) = value.get_mut("data").and_then(Value::as_object_mut) else {
            return pictures;
        };
        pictures.extend(picture(data));
        let several = data.get_mut("screenshots").and_then(Value::as_array_mut);
        for one in several
            .into_iter()
            .flatten()
            .filter_map(Value::as_object_mut)
        {
            pictures.extend(picture(one));
        }
        pictures
    }
}

fn picture(data: &mut Map<String, Value>) -> Option<Picture> {
    let Some(Value::String(png)) = data.remove("imageBase64") else {
        return None;
    };
    let label = match data.get("angle") {
        Some(Value::String(angle)) => Some(angle.clone()),
        angle => angle.map(Value::to_string),
    };
    Some(Picture { label, png })
}

fn sha(reply: &Value) -> Value {
    let part = |name: &str| reply["data"][name].clone();
    json!({"success": true, "data": {"sha256": part("sha256"), "lengthBytes": part("lengthBytes")}})
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
pub(crate) fn source(data: &Value) -> Option<String> {
    if let Some(text) = data.get("contents").and_then(Value::as_str) {
        return Some(text.to_owned());
    }
    let encoded = data.get("encodedContents")?.as_str()?;
    String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
}
