//! What a client gets to see. Pure.

use crate::catalogue::{Call, Reply, Tool};
use mcp_transport_core::Ending;
use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::Value;

/// The editor's answer: the object as structured content, and as text for clients that read only that.
///
/// A command that failed sets `isError`, unlike in the Python server, where only a look into the JSON tells.
pub(super) fn reply(tool: &Tool, call: &Call, reply: Reply) -> CallToolResult {
    let success = reply.success;
    let mut value = tool.present(reply.value, call);
    let pictures = tool.pictures(&mut value);
    let mut content = vec![ContentBlock::text(value.to_string())];
    for picture in pictures {
        content.extend(picture.label.map(ContentBlock::text));
        content.push(ContentBlock::image(picture.png, "image/png"));
    }
    result(success, content, value)
}

/// The editor's answer to a tool of its project's own.
pub(super) fn custom(reply: Reply) -> CallToolResult {
    let content = vec![ContentBlock::text(reply.value.to_string())];
    result(reply.success, content, reply.value)
}

/// The answer of a call that this server put together; it says itself whether it succeeded.
pub(super) fn value(value: Value) -> CallToolResult {
    let success = value.get("success") == Some(&Value::Bool(true));
    result(success, vec![ContentBlock::text(value.to_string())], value)
}

/// A bad ending: a text that says what happened, what is known and what to do, and the same as data.
pub(super) fn ending(ending: &Ending) -> CallToolResult {
    let mut text = ending.message.clone();
    if let Some(id) = &ending.operation_id {
        text = format!("{text} (operation_id {id})");
    }
    let mut result = CallToolResult::error(vec![ContentBlock::text(text)]);
    result.structured_content =
        Some(serde_json::to_value(ending).expect("an ending is text, flags and numbers"));
    result
}

/// An answer of this server's own.
pub(super) fn own(success: bool, text: &str, data: Option<Value>) -> CallToolResult {
    let mut value = serde_json::json!({"success": success, "message": text});
    if let Some(data) = data {
        value["data"] = data;
    }
    let content = vec![ContentBlock::text(value.to_string())];
    result(success, content, value)
}

fn result(success: bool, content: Vec<ContentBlock>, value: Value) -> CallToolResult {
    let mut result = if success {
        CallToolResult::success(content)
    } else {
        CallToolResult::error(content)
    };
    result.structured_content = Some(object(value));
    result
}

/// MCP wants an object there.
fn object(value: Value) -> Value {
    if value.is_object() {
        value
    } else {
        serde_json::json!({"data": value})
    }
}
