//! What the parameters of a request say that matters here, read in one go.

use mcp_transport_core::{Members, Message};
use serde_json::Value;
use std::borrow::Cow;

/// Parameters; nothing of them, where they are none, or say something twice.
#[derive(Debug, Default)]
pub(super) struct Params<'a> {
    /// The protocol version that `_meta` names.
    pub(super) version: Option<Cow<'a, str>>,
    /// Whether `_meta` says what the client can do.
    pub(super) capabilities: bool,
    name: Option<&'a str>,
    uri: Option<&'a str>,
    task: Option<&'a str>,
    arguments: Option<&'a str>,
}

pub(super) const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";
pub(super) const CAPABILITIES_KEY: &str = "io.modelcontextprotocol/clientCapabilities";

impl<'a> Params<'a> {
    pub(super) fn of(message: &'a Message) -> Self {
        let wanted = ["_meta", "name", "uri", "taskId", "arguments"];
        let params = message.params().unwrap_or_default();
        let Some([meta, name, uri, task, arguments]) = members(params, wanted) else {
            return Self::default();
        };
        let meta = members(meta.unwrap_or_default(), [VERSION_KEY, CAPABILITIES_KEY]);
        let [version, capabilities] = meta.unwrap_or_default();
        Self {
            version: version.and_then(text),
            capabilities: capabilities.is_some_and(|value| value.starts_with('{')),
            name,
            uri,
            task,
            arguments,
        }
    }

    /// The member that names what the request is about.
    pub(super) fn text(&self, member: &str) -> Option<Cow<'a, str>> {
        text(match member {
            "name" => self.name?,
            "uri" => self.uri?,
            _ => self.task?,
        })
    }

    pub(super) fn arguments(&self) -> Value {
        self.arguments
            .and_then(|value| serde_json::from_str(value).ok())
            .unwrap_or_default()
    }
}

/// The values of these members; `None` if one of them stands there twice, for two readers could take
/// different ones.
fn members<'a, const N: usize>(json: &'a str, names: [&str; N]) -> Option<[Option<&'a str>; N]> {
    let mut values = [None; N];
    for (name, value) in Members::of(json) {
        if let Some(place) = names.iter().position(|wanted| *wanted == name) {
            if values[place].replace(value).is_some() {
                return None;
            }
        }
    }
    Some(values)
}

fn text(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    match inner.contains('\\') {
        // It was read as JSON before: without a backslash it says what it means.
        false => Some(Cow::Borrowed(inner)),
        true => serde_json::from_str(json).ok().map(Cow::Owned),
    }
}
