//! The clients' plane of hosts that are MCP endpoints themselves: bodies go on as they are.

use super::answer::{self, Answer, Room};
use super::clients;
use super::conn::Conn;
use super::hub::Form;
use super::route::Shared;
use super::waiting::{self, Times};
use crate::mcp::Accept;
use crate::native::Era;
use http::StatusCode;
use http::request::Parts;
use mcp_transport_core::{Kind, Message};
use std::sync::Arc;

/// How such a client is named to the broker. Nobody looks at it.
const VERSION: &str = "forwarded";

/// A body was posted.
///
/// What is no JSON-RPC is answered here, since the host could only guess. A notification is
/// accepted, and goes on as a message that nobody answers.
pub(super) async fn post(
    shared: &Arc<Shared>,
    conn: &Arc<Conn>,
    head: Box<Parts>,
    message: Message,
) -> Answer {
    if let Some(answer) = message.to_answer() {
        return answer::message(400, answer);
    }
    let id = message.id().cloned();
    let form = form(clients::read(&head).accept());
    let asked = conn.lane(VERSION).and_then(|client| match message.kind() {
        Kind::Request { .. } => {
            let ask = shared.forwarded(&message);
            shared.hub().ask(conn, client, message, ask, form).map(Some)
        }
        _ => shared.hub().tell(client, message).map(|()| None),
    });
    match asked {
        Ok(Some(asked)) => {
            let times = Times {
                head_after: shared.config.head_after,
                comment_every: shared.config.comment_every,
            };
            waiting::answer(conn, asked, form, times, Room::of(head)).await
        }
        Ok(None) => answer::empty(StatusCode::ACCEPTED),
        Err(refusal) => {
            let answer = refusal.to_answer(id.as_ref());
            answer::message(refusal.status(), answer)
        }
    }
}

fn form(accept: Accept) -> Form {
    Form {
        streams: accept.sse,
        prefers_streams: accept.sse && !accept.json,
        resumable: false,
        primes: false,
        cancels: true,
        // Every answer goes with 200.
        era: Era::Legacy,
    }
}
