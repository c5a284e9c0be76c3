//! The bytes of what goes to a native host and comes from it. Pure.
//!
//! Messages are not parsed again: they were read once, and are copied as they are.

use crate::broker::{Handout, Item};
use crate::native::Pull;
use bytes::Bytes;
use mcp_transport_core::Message;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::io::Write;

/// The answer to a push or a pull, as [`Pushed`](crate::native::Pushed) reads it.
pub(super) fn encode(stray: &[u64], seq: Option<u64>, handouts: &[Handout]) -> Bytes {
    let bytes: usize = handouts.iter().map(|handout| size(&handout.item)).sum();
    let mut out = Vec::with_capacity(32 + 96 * handouts.len() + bytes);
    out.push(b'{');
    if !stray.is_empty() {
        text(&mut out, format_args!("\"stray\":{stray:?},"));
    }
    if let Some(seq) = seq {
        text(&mut out, format_args!("\"seq\":{seq},"));
    }
    out.extend_from_slice(b"\"items\":[");
    for (place, handout) in handouts.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        item(&mut out, handout);
    }
    out.extend_from_slice(b"]}");
    Bytes::from(out)
}

fn item(out: &mut Vec<u8>, handout: &Handout) {
    out.extend_from_slice(b"{\"client\":\"c");
    number(out, handout.client.number());
    out.push(b'"');
    if let Some(meet) = &handout.meet {
        out.extend_from_slice(b",\"meet\":");
        serde_json::to_writer(&mut *out, meet).expect("two strings always serialise");
    }
    match &handout.item {
        Item::Request {
            ticket,
            message,
            redelivered,
        } => {
            out.extend_from_slice(b",\"ticket\":");
            number(out, ticket.get());
            if *redelivered {
                out.extend_from_slice(b",\"redelivered\":true");
            }
            said(out, message);
        }
        Item::Aside(message) => said(out, message),
        Item::Cancel(ticket) => {
            text(out, format_args!(",\"ticket\":{ticket},\"cancel\":true"));
        }
        Item::Gone => out.extend_from_slice(b",\"gone\":true"),
    }
    out.push(b'}');
}

fn said(out: &mut Vec<u8>, message: &Message) {
    out.extend_from_slice(b",\"message\":");
    out.extend_from_slice(message.as_bytes());
}

fn number(out: &mut Vec<u8>, number: u64) {
    serde_json::to_writer(out, &number).expect("a number always serialises");
}

fn text(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes everything");
}

fn size(item: &Item) -> usize {
    match item {
        Item::Request { message, .. } | Item::Aside(message) => message.len(),
        Item::Cancel(_) | Item::Gone => 0,
    }
}

/// As [`Push`](crate::native::Push), borrowed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Push<'a> {
    #[serde(borrow)]
    pub(super) items: Vec<Said<'a>>,
    pub(super) pull: Option<Pull>,
}

/// As [`Said`](crate::native::Said), borrowed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Said<'a> {
    pub(super) ticket: Option<u64>,
    #[serde(borrow)]
    pub(super) client: Option<Cow<'a, str>>,
    pub(super) about: Option<u64>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    pub(super) started: Option<u64>,
    pub(super) closed: bool,
}

impl Said<'_> {
    /// Its message, which lies in `body`: without a copy, unless it would keep much else alive.
    pub(super) fn message(&self, body: &Bytes) -> Option<Message> {
        let text = self.message?.get().as_bytes();
        Some(Message::from(if text.len() >= body.len() / 2 {
            body.slice_ref(text)
        } else {
            Bytes::copy_from_slice(text)
        }))
    }
}
