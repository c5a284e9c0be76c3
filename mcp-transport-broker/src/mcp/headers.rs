//! What a modern request says twice: in its body, and in headers that may not differ.

use super::head::{Field, Head};
use super::params::Params;
use super::refusal::Refusal;
use super::tools::ToolHeaders;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use mcp_transport_core::Message;
use std::borrow::Cow;

/// Compares `Mcp-Method`, `Mcp-Name` and `Mcp-Param-*` with the body.
pub(super) fn check(
    head: &Head<'_>,
    message: &Message,
    params: &Params<'_>,
    tools: &ToolHeaders,
) -> Result<(), Refusal> {
    compare(head, message, params, tools).map_err(|text| Refusal::mismatch(message.id(), &text))
}

fn compare(
    head: &Head<'_>,
    message: &Message,
    params: &Params<'_>,
    tools: &ToolHeaders,
) -> Result<(), String> {
    let method = message.method().unwrap_or_default();
    match value("Mcp-Method", head.method)? {
        Some(said) if said == method => {}
        Some(said) => return Err(differs("Mcp-Method", &said, method)),
        None => return Err("the Mcp-Method header is missing".into()),
    }
    let Some(member) = named_by(method) else {
        return Ok(());
    };
    let named = params
        .text(member)
        .map_err(|unclear| format!("the {member} in the body {unclear}"))?;
    match (value("Mcp-Name", head.name)?.map(decode), &named) {
        (None, None) => {}
        (Some(None), _) => return Err("the Mcp-Name header is no valid base64".into()),
        (Some(Some(said)), Some(named)) if said == *named => {}
        (Some(Some(said)), named) => {
            return Err(differs(
                "Mcp-Name",
                &said,
                named.as_deref().unwrap_or("nothing"),
            ));
        }
        (None, Some(_)) => return Err(format!("{method} goes with an Mcp-Name header")),
    }
    match (method, named) {
        ("tools/call", Some(tool)) => compare_params(head, &tool, params, tools),
        _ => Ok(()),
    }
}

/// The arguments that a tool's schema wants in headers. A header that no schema mentions is
/// nobody's business.
fn compare_params(
    head: &Head<'_>,
    tool: &str,
    params: &Params<'_>,
    tools: &ToolHeaders,
) -> Result<(), String> {
    let Some(wanted) = tools.of(tool) else {
        return Ok(());
    };
    for (header, path) in wanted {
        let field = head
            .params
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(header))
            .map_or(Field::Absent, |(_, field)| *field);
        let full = format!("Mcp-Param-{header}");
        let said = value(&full, field)?.map(decode);
        let argument = params
            .argument(path)
            .map_err(|unclear| format!("the argument that goes with {full} {unclear}"))?;
        match (said, argument) {
            (None, None) => {}
            (Some(None), _) => return Err(format!("the {full} header is no valid base64")),
            (Some(Some(said)), Some(argument)) if said == argument => {}
            (Some(Some(said)), argument) => {
                let argument = argument.as_deref().unwrap_or("nothing");
                return Err(differs(&full, &said, argument));
            }
            (None, Some(_)) => {
                return Err(format!("the argument goes with a {full} header"));
            }
        }
    }
    Ok(())
}

fn value<'a>(name: &str, field: Field<'a>) -> Result<Option<Cow<'a, str>>, String> {
    match field {
        Field::Absent => Ok(None),
        Field::Many => Err(format!("the {name} header stands there twice")),
        Field::One(bytes) => Ok(Some(String::from_utf8_lossy(bytes.trim_ascii()))),
    }
}

/// Undoes `=?base64?…?=`, in which a value travels that a header cannot carry. `None`: it says
/// that it is base64, and is not.
fn decode(value: Cow<'_, str>) -> Option<Cow<'_, str>> {
    let inner = value
        .strip_prefix("=?base64?")
        .and_then(|rest| rest.strip_suffix("?="));
    match inner {
        None => Some(value),
        Some(inner) => {
            let text = String::from_utf8(BASE64_STANDARD.decode(inner).ok()?);
            text.ok().map(Cow::Owned)
        }
    }
}

/// Which of a method's parameters is its name.
fn named_by(method: &str) -> Option<&'static str> {
    Some(match method {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        "tasks/get" | "tasks/update" | "tasks/cancel" => "taskId",
        _ => return None,
    })
}

fn differs(header: &str, said: &str, body: &str) -> String {
    format!("the {header} header says {said}, the body says {body}")
}
