//! What the parameters of a request say that matters here, read in one go.

use mcp_transport_core::{Members, Message};
use std::borrow::Cow;

/// Parameters; nothing of them but what stands there twice, where something does.
#[derive(Debug, Default)]
pub(super) struct Params<'a> {
    /// The protocol version that `_meta` names.
    pub(super) version: Option<Cow<'a, str>>,
    /// Whether `_meta` says what the client can do.
    pub(super) capabilities: bool,
    /// A member of theirs, or of `_meta`, that stands there twice.
    pub(super) twice: Option<&'static str>,
    name: Option<&'a str>,
    uri: Option<&'a str>,
    task: Option<&'a str>,
    arguments: Option<&'a str>,
}

pub(super) const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";
pub(super) const CAPABILITIES_KEY: &str = "io.modelcontextprotocol/clientCapabilities";

/// Two readers may understand what the body says in different ways.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum Unclear {
    #[error("stands there twice")]
    Twice,
    #[error("is no text")]
    NoText,
}

impl<'a> Params<'a> {
    pub(super) fn of(message: &'a Message) -> Self {
        Self::read(message.params().unwrap_or_default()).unwrap_or_else(|twice| Self {
            twice: Some(twice),
            ..Self::default()
        })
    }

    fn read(params: &'a str) -> Result<Self, &'static str> {
        let wanted = ["_meta", "name", "uri", "taskId", "arguments"];
        let [meta, name, uri, task, arguments] = members(params, wanted)?;
        let wanted = [VERSION_KEY, CAPABILITIES_KEY];
        let [version, capabilities] = members(meta.unwrap_or_default(), wanted)?;
        Ok(Self {
            version: version.and_then(|version| text(version).ok()),
            capabilities: capabilities.is_some_and(|value| value.starts_with('{')),
            twice: None,
            name,
            uri,
            task,
            arguments,
        })
    }

    /// The member that names what the request is about.
    pub(super) fn text(&self, member: &str) -> Result<Option<Cow<'a, str>>, Unclear> {
        let value = match member {
            "name" => self.name,
            "uri" => self.uri,
            _ => self.task,
        };
        value.map(text).transpose()
    }

    /// What stands at this path in the arguments, as a header says it; `None`: nothing, or what no
    /// header says.
    pub(super) fn argument(&self, path: &[String]) -> Result<Option<Cow<'a, str>>, Unclear> {
        let mut value = self.arguments;
        for step in path {
            [value] = members(value.unwrap_or_default(), [step]).map_err(|_| Unclear::Twice)?;
        }
        match value {
            None | Some("null") => Ok(None),
            Some(value) if value.starts_with(['{', '[']) => Ok(None),
            Some(value) if value.starts_with('"') => text(value).map(Some),
            // A number is said as it is written.
            Some(value) => Ok(Some(Cow::Borrowed(value))),
        }
    }
}

/// The text that this member of parameters is, if it stands there once.
pub(super) fn text_of<'a>(params: &'a str, member: &str) -> Option<Cow<'a, str>> {
    let [value] = members(params, [member]).ok()?;
    text(value?).ok()
}

/// The values of these members; an error is the name of one that stands there twice, for two
/// readers could take different ones.
fn members<'a, 'n, const N: usize>(
    json: &'a str,
    names: [&'n str; N],
) -> Result<[Option<&'a str>; N], &'n str> {
    let mut values = [None; N];
    for (name, value) in Members::of(json) {
        if let Some(place) = names.iter().position(|wanted| *wanted == name) {
            if values[place].replace(value).is_some() {
                return Err(names[place]);
            }
        }
    }
    Ok(values)
}

fn text(json: &str) -> Result<Cow<'_, str>, Unclear> {
    let inner = json
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    match inner.ok_or(Unclear::NoText)? {
        // It was read as JSON before: without a backslash it says what it means.
        inner if !inner.contains('\\') => Ok(Cow::Borrowed(inner)),
        // Half a surrogate pair is JSON, and no text.
        _ => serde_json::from_str(json)
            .map(Cow::Owned)
            .map_err(|_| Unclear::NoText),
    }
}
