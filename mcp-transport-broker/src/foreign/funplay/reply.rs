//! What the plugin pushed, as what the client is to get.

use super::armour::{escape, find_id};
use mcp_transport_core::{Error, ErrorKind, Kind, Message};
use serde::Deserialize;
use std::borrow::Cow;

/// What the plugin pushed.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Reply {
    /// What is for the client as well, and comes before the answer.
    pub notifications: Vec<Message>,
    /// The answer, to the id that the client chose, byte for byte.
    pub answer: Message,
    /// The plugin says that nobody was there to run it: its code is about to be unloaded.
    pub not_run: bool,
}

/// How the plugin says so, to no id.
const STOPPING: (i64, &str) = (-32000, "MCP server is stopping or not ready.");

/// Reads a pushed body, `is_stream` if it is an event stream, as the answer to this request.
///
/// The installed plugin writes control characters into strings as they are, which is no JSON: they
/// are escaped. Its answer has the id that it was given, or null; it gets the client's again. What
/// is no answer even so becomes an error that says so: the call has run, and nobody knows how.
pub fn read(body: &[u8], is_stream: bool, request: &Message) -> Reply {
    let text = String::from_utf8_lossy(body);
    let mut events = if is_stream { events(&text) } else { Vec::new() };
    if events.is_empty() {
        events.push(text.into_owned());
    }
    let mut notifications = Vec::new();
    let mut answer = None;
    let mut not_run = false;
    for event in events {
        let message = Message::from(repair(event.trim()).into_owned());
        match message.kind() {
            Kind::Notification { .. } => notifications.push(message),
            Kind::Request { .. } => {
                tracing::debug!(?message, "the plugin asks what nobody answers");
            }
            Kind::Response { .. } | Kind::Opaque(_) => {
                not_run = is_stopping(&message);
                answer = restore(&message, request).or(answer);
            }
        }
    }
    Reply {
        notifications,
        answer: answer.unwrap_or_else(|| no_answer(request)),
        not_run,
    }
}

fn is_stopping(answer: &Message) -> bool {
    #[derive(Deserialize)]
    struct Said {
        code: i64,
        message: String,
    }
    let Kind::Response {
        id: None,
        is_error: true,
    } = answer.kind()
    else {
        return false;
    };
    let said = answer.body().map(serde_json::from_str::<Said>);
    matches!(said, Some(Ok(said)) if (said.code, said.message.as_str()) == STOPPING)
}

/// The same answer with the request's own id.
fn restore(answer: &Message, request: &Message) -> Option<Message> {
    let own = request.as_bytes();
    let own = &own[find_id(own)?];
    let json = answer.as_bytes();
    let mut restored = Vec::with_capacity(json.len() + own.len());
    match find_id(json) {
        Some(place) => {
            restored.extend_from_slice(&json[..place.start]);
            restored.extend_from_slice(own);
            restored.extend_from_slice(&json[place.end..]);
        }
        None => {
            let inside = json.strip_prefix(b"{")?;
            restored.extend_from_slice(b"{\"id\":");
            restored.extend_from_slice(own);
            restored.push(b',');
            restored.extend_from_slice(inside);
        }
    }
    let restored = Message::from(restored);
    matches!(restored.kind(), Kind::Response { id: Some(_), .. }).then_some(restored)
}

fn no_answer(request: &Message) -> Message {
    let error = Error::new(ErrorKind::Malformed).context(
        "the plugin answered with something that is no JSON-RPC answer; the call may have taken \
         effect: look before you send it again",
    );
    Message::failure(request.id(), &error)
}

/// The data of each event of a stream that is there as a whole.
fn events(stream: &str) -> Vec<String> {
    let mut events = Vec::new();
    let mut data: Option<String> = None;
    for line in stream.split('\n').chain([""]) {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() {
            events.extend(data.take());
        } else if let Some(piece) = line.strip_prefix("data:") {
            let piece = piece.strip_prefix(' ').unwrap_or(piece);
            match &mut data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(piece);
                }
                None => data = Some(piece.to_owned()),
            }
        }
    }
    events
}

/// Escapes the control characters that stand in strings as they are.
fn repair(json: &str) -> Cow<'_, str> {
    if json.bytes().all(|byte| byte >= 0x20) {
        return Cow::Borrowed(json);
    }
    let mut out = Vec::with_capacity(json.len() + 16);
    let (mut in_string, mut is_escaped) = (false, false);
    for &byte in json.as_bytes() {
        if in_string && byte < 0x20 {
            escape(byte, &mut out);
        } else {
            out.push(byte);
        }
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            _ => {}
        }
    }
    Cow::Owned(String::from_utf8(out).expect("only ASCII was exchanged, for ASCII"))
}
