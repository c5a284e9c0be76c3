//! Newline-delimited JSON.

use super::torn::{Torn, decode_whole};
use bytes::BytesMut;
use mcp_transport_core::codec::Lines;
use mcp_transport_core::{Defect, Id, Kind, Message};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use tokio_util::codec::Encoder;

/// However a stream is torn, it is the same lines; no more is held back than a line may have; what was read can be
/// written and read again; and of what is too large it is known whose request it was, or to which call the answer.
pub fn lines(input: &[u8]) {
    let Some(torn) = Torn::new(input) else { return };
    // Beyond the limit: a `\r` that may end the line, and a byte-order mark.
    let decoded = torn.decode(Lines::with_limit(torn.limit), torn.limit + 4);
    assert!(decoded.error.is_none(), "no line ends a connection");

    let mut expected = expected(torn.wire, torn.limit);
    for message in &decoded.messages {
        let line = expected.next().expect("as many messages as lines");
        match message.kind() {
            Kind::Opaque(Defect::TooLarge { id, size, limit }) => {
                assert!(line.len() > torn.limit);
                assert_eq!((*size, *limit), (line.len() as u64, torn.limit as u64));
                assert_id(line, id.as_ref(), None);
            }
            Kind::Opaque(Defect::AnswerTooLarge { id, size, limit }) => {
                assert!(line.len() > torn.limit);
                assert_eq!((*size, *limit), (line.len() as u64, torn.limit as u64));
                assert_id(line, None, Some(id));
            }
            _ => assert_eq!(message.as_bytes(), line),
        }
    }
    assert!(expected.next().is_none(), "as many lines as messages");

    let whole = decode_whole(Lines::with_limit(torn.limit), torn.wire);
    assert!(kinds(&decoded.messages).eq(kinds(&whole.messages)));
    again(&decoded.messages, torn.limit);
}

/// The codec's table once more, on the whole stream at once: each line that is not empty, without its end.
fn expected(wire: &[u8], limit: usize) -> impl Iterator<Item = &[u8]> {
    let wire = wire.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(wire);
    let lines = wire.split(|byte| *byte == b'\n');
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.filter(move |line| line.len() > limit || !line.trim_ascii().is_empty())
}

/// The id of a line that was skipped is that which reading all of it would have found.
fn assert_id(line: &[u8], request: Option<&Id>, answer: Option<&Id>) {
    let same = |found: Option<&Id>, id: &Id| match found {
        Some(found) => assert_eq!(found, id),
        None => assert!(raw_id(line).len() > 256, "an id of 256 bytes is found"),
    };
    match Message::from(line.to_vec()).kind() {
        Kind::Request { id, .. } => {
            assert_eq!(answer, None, "a request is no answer");
            same(request, id);
        }
        Kind::Response { id: Some(id), .. } => {
            assert_eq!(request, None, "nobody waits for an answer");
            same(answer, id);
        }
        Kind::Notification { .. } | Kind::Response { id: None, .. } => {
            assert_eq!((request, answer), (None, None), "there is no id");
        }
        Kind::Opaque(_) => {}
    }
}

fn raw_id(line: &[u8]) -> &str {
    let members: BTreeMap<String, &RawValue> = serde_json::from_slice(line).expect("a request");
    members["id"].get()
}

fn kinds(messages: &[Message]) -> impl Iterator<Item = String> {
    messages
        .iter()
        .map(|message| format!("{:?}", message.kind()))
}

/// Writes what was read, and reads that. Only carriage returns within a line are lost.
fn again(messages: &[Message], limit: usize) {
    let kept = |message: &&Message| !message.is_empty();
    let mut codec = Lines::with_limit(limit);
    // Not at the start, where a byte-order mark means nothing.
    let mut wire = BytesMut::from("\n");
    for message in messages.iter().filter(kept) {
        codec
            .encode(message.clone(), &mut wire)
            .expect("what came in may go out");
    }
    let read = decode_whole(Lines::with_limit(limit), &wire).messages;
    let written = messages.iter().filter(kept);
    assert_eq!(read.len(), written.clone().count());
    for (read, written) in read.iter().zip(written) {
        let spaced = |byte: &u8| if *byte == b'\r' { b' ' } else { *byte };
        assert!(
            read.as_bytes()
                .iter()
                .eq(&written.as_bytes().iter().map(spaced).collect::<Vec<_>>())
        );
    }
}
