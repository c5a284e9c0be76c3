//! Answers of the HTTP layer.

use super::body::Reply;
use crate::mcp;
use crate::native::Refused;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode, Uri};
use mcp_transport_core::Message;
use mcp_transport_core::guard;

pub(crate) type Answer = Response<Reply>;

pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const SSE: HeaderValue = HeaderValue::from_static("text/event-stream");

/// Room for an answer's headers: that which those of its request took. hyper keeps it for the head
/// of the connection's next request.
#[derive(Debug)]
pub(super) struct Room(Box<Parts>);

impl Room {
    /// Of a request that was understood. What its head said goes, and with it its share in the
    /// connection's buffer.
    pub(super) fn of(mut head: Box<Parts>) -> Self {
        head.headers.clear();
        head.uri = Uri::default();
        Self(head)
    }

    pub(super) fn message(self, status: u16, message: Message) -> Answer {
        let mut answer = Response::new(Reply::full(message.into_bytes()));
        *answer.headers_mut() = self.0.headers;
        *answer.status_mut() = self::status(status);
        with_type(answer, JSON)
    }
}

/// A status without a body.
pub(crate) fn empty(status: StatusCode) -> Answer {
    of(status, Bytes::new())
}

pub(crate) fn json(status: u16, body: impl Into<Bytes>) -> Answer {
    json_reply(status, Reply::full(body))
}

pub(super) fn json_reply(status: u16, body: Reply) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = self::status(status);
    with_type(answer, JSON)
}

pub(super) fn message(status: u16, message: Message) -> Answer {
    json(status, message.into_bytes())
}

/// The head of an event stream.
pub(super) fn events(body: Reply) -> Answer {
    let mut answer = with_type(Response::new(body), SSE);
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    headers.insert(unbuffered, HeaderValue::from_static("no"));
    answer
}

pub(crate) fn text(status: StatusCode, text: &str) -> Answer {
    let answer = of(status, Bytes::copy_from_slice(text.as_bytes()));
    with_type(
        answer,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    )
}

/// Refuses, and ends the connection: the body was not read.
pub(super) fn refused(refusal: guard::Refusal) -> Answer {
    closing(text(status(refusal.status()), &format!("{refusal}\n")))
}

/// The gate's refusal as the host's plane says it.
pub(super) fn refused_host(refusal: guard::Refusal) -> Answer {
    use crate::native::Word;
    let word = match refusal.status() {
        401 => Word::Unauthorized,
        403 => Word::Forbidden,
        413 => Word::TooLarge,
        _ => Word::Malformed,
    };
    let body = Refused::new(word, refusal.to_string());
    let mut answer = host(&body);
    *answer.status_mut() = status(refusal.status());
    closing(answer)
}

/// A refusal on the host's plane.
pub(super) fn host(refused: &Refused) -> Answer {
    let body = serde_json::to_vec(refused).expect("text and numbers always serialise");
    json(refused.error.status(), body)
}

/// A refusal on the clients' plane.
pub(super) fn client(refusal: mcp::Refusal) -> Answer {
    let mut answer = json(refusal.status, refusal.body);
    if let Some(allow) = refusal.allow {
        let allow = HeaderValue::from_static(allow);
        answer.headers_mut().insert(header::ALLOW, allow);
    }
    answer
}

/// Ends the connection after this answer.
pub(super) fn closing(mut answer: Answer) -> Answer {
    let close = HeaderValue::from_static("close");
    answer.headers_mut().insert(header::CONNECTION, close);
    if answer.status() == StatusCode::UNAUTHORIZED {
        let bearer = HeaderValue::from_static("Bearer");
        answer
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, bearer);
    }
    if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
        let second = HeaderValue::from_static("1");
        answer.headers_mut().insert(header::RETRY_AFTER, second);
    }
    answer
}

/// Lets a listed page read the answer.
pub(super) fn allow(headers: &mut HeaderMap, origin: &str) {
    let Ok(origin) = HeaderValue::from_str(origin) else {
        return;
    };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    let rules = [
        (
            header::ACCESS_CONTROL_ALLOW_METHODS,
            "GET, POST, DELETE, OPTIONS",
        ),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "Content-Type, Accept, Authorization, Mcp-Session-Id, Mcp-Protocol-Version, \
             Mcp-Method, Mcp-Name, Last-Event-ID",
        ),
        (
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            "Mcp-Session-Id, Mcp-Protocol-Version",
        ),
    ];
    for (name, value) in rules {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

pub(super) fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn of(status: StatusCode, body: Bytes) -> Answer {
    let mut answer = Response::new(Reply::full(body));
    *answer.status_mut() = status;
    answer
}

fn with_type(mut answer: Answer, kind: HeaderValue) -> Answer {
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}
