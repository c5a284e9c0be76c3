//! What the parameters of a request say that matters here, read in one go.

use mcp_transport_core::Message;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Parameters; nothing of them, where they are none.
#[derive(Debug, Default)]
pub(super) struct Params<'a> {
    /// The protocol version that `_meta` names.
    pub(super) version: Option<Cow<'a, str>>,
    /// Whether `_meta` says what the client can do.
    pub(super) capabilities: bool,
    members: Members<'a>,
}

pub(super) const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";
pub(super) const CAPABILITIES_KEY: &str = "io.modelcontextprotocol/clientCapabilities";

#[derive(Debug, Default, Deserialize)]
struct Members<'a> {
    #[serde(borrow, default, rename = "_meta")]
    meta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    uri: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "taskId")]
    task: Option<&'a RawValue>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Meta<'a> {
    #[serde(borrow, rename = "io.modelcontextprotocol/protocolVersion")]
    version: Option<&'a RawValue>,
    #[serde(borrow, rename = "io.modelcontextprotocol/clientCapabilities")]
    capabilities: Option<&'a RawValue>,
}

impl<'a> Params<'a> {
    pub(super) fn of(message: &'a Message) -> Self {
        let members = message
            .params()
            .and_then(|params| serde_json::from_str::<Members<'_>>(params).ok())
            .unwrap_or_default();
        let meta = members
            .meta
            .and_then(|meta| serde_json::from_str::<Meta<'_>>(meta.get()).ok());
        let version = meta.as_ref().and_then(|meta| meta.version);
        let capabilities = meta.as_ref().and_then(|meta| meta.capabilities);
        Self {
            version: version.and_then(text),
            capabilities: capabilities.is_some_and(|value| value.get().starts_with('{')),
            members,
        }
    }

    /// The member that names what the request is about.
    pub(super) fn text(&self, member: &str) -> Option<Cow<'a, str>> {
        text(match member {
            "name" => self.members.name?,
            "uri" => self.members.uri?,
            _ => self.members.task?,
        })
    }

    pub(super) fn arguments(&self) -> Value {
        self.members
            .arguments
            .and_then(|value| serde_json::from_str(value.get()).ok())
            .unwrap_or_default()
    }
}

fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    let inner = value.get().strip_prefix('"')?.strip_suffix('"')?;
    match inner.contains('\\') {
        // It was read as JSON before: without a backslash it says what it means.
        false => Some(Cow::Borrowed(inner)),
        true => serde_json::from_str(value.get()).ok().map(Cow::Owned),
    }
}
