//! The frames of a bridge that are not for the application: the eviction notice, and what stands beside it.

use mcp_transport_core::Eviction;
use mcp_transport_stdio::bridge::wire::{
    self, Claim, Incoming, Refusal, Request, incoming, is_error_answer, request,
};
use serde_json::{Map, Value};

/// A frame is a notice by its status alone, whatever stands in its other fields; the quick look that spares large
/// answers a parser misses none; and a notice can be written and read again.
pub fn eviction_notice(frame: &[u8]) {
    let notice = Eviction::from_notice(frame);
    match incoming(frame) {
        Incoming::Evicted(eviction) => assert_eq!(Some(&eviction), notice.as_ref()),
        Incoming::Refused(refusal) => {
            assert_eq!(notice, None);
            assert_eq!(Refusal::from_frame(&refusal.to_frame()), Some(refusal));
        }
        _ => assert_eq!(notice, None),
    }
    if let Some(eviction) = &notice {
        assert!(std::str::from_utf8(frame).is_ok(), "text that is no UTF-8");
        let written = eviction.to_notice();
        let again = Eviction::from_notice(&written).expect("a notice of ours");
        assert_eq!(facts(&again), facts(eviction));
        assert_eq!(again.to_notice(), written);
    }
    match object(frame) {
        Read::Object(fields) => agree(frame, &fields, notice.as_ref()),
        Read::Other => {
            assert_eq!(notice, None);
            assert!(!is_error_answer(frame));
            assert_eq!(Refusal::from_frame(frame), None);
            let is_ping = frame.trim_ascii() == wire::PING;
            assert_eq!(request(frame) != Request::Command, is_ping);
        }
        Read::Unreadable => {}
    }
}

/// What the readers of single fields find is what a parser of the whole frame finds.
fn agree(frame: &[u8], fields: &Map<String, Value>, notice: Option<&Eviction>) {
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    assert_eq!(notice.is_some(), text("status") == Some("evicted"));
    if let Some(notice) = notice {
        let expected = (
            text("new_client_endpoint"),
            text("error").unwrap_or_default(),
            fields.get("evicted_at_unix_ms").and_then(Value::as_u64),
        );
        assert_eq!(notice.wire_reason(), text("reason"));
        assert_eq!(facts(notice), expected);
    }
    assert_eq!(is_error_answer(frame), text("status") == Some("error"));
    if let Some(refusal) = Refusal::from_frame(frame) {
        assert_eq!(
            (text("status"), text("reason"), text("error")),
            (Some("error"), Some("seat_taken"), Some(&*refusal.text))
        );
    }
    if frame.len() <= 1024 {
        let seat = fields.get("params").and_then(|params| params.get("seat"));
        let expected = match (text("type"), seat.and_then(Value::as_str)) {
            (Some("ping"), Some("take")) => Request::Seat(Claim::Take),
            (Some("ping"), Some("if_free")) => Request::Seat(Claim::IfFree),
            (Some("ping"), _) => Request::Ping,
            _ => Request::Command,
        };
        assert_eq!(request(frame), expected);
    }
}

enum Read {
    Object(Map<String, Value>),
    /// JSON that is no object, or no JSON at all.
    Other,
    /// Begins like an object. The readers look at few fields, and so may read what a parser of everything refuses:
    /// a number beyond all bounds, half a surrogate, 200 levels of brackets.
    Unreadable,
}

fn object(frame: &[u8]) -> Read {
    match serde_json::from_slice(frame) {
        Ok(Value::Object(fields)) => Read::Object(fields),
        Ok(_) => Read::Other,
        Err(_) if frame.trim_ascii_start().starts_with(b"{") => Read::Unreadable,
        Err(_) => Read::Other,
    }
}

fn facts(eviction: &Eviction) -> (Option<&str>, &str, Option<u64>) {
    (
        eviction.newcomer(),
        eviction.text(),
        eviction.evicted_at_unix_ms(),
    )
}
