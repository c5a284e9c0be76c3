//! The clients' plane: MCP.

use super::answer::{self, Answer, Room};
use super::body::{EventStream, Reply};
use super::conn::Conn;
use super::hub::Form;
use super::route::Shared;
use super::waiting::{self, Times};
use crate::broker::{Ask, ClientId, Operation, Refusal};
use crate::mcp::{self, Accept, Head, Post, primes};
use crate::native::{Era, PREFIX};
use http::header::HeaderValue;
use http::request::Parts;
use http::{Method, StatusCode};
use mcp_transport_core::{Kind, Message};
use std::sync::Arc;

/// A message was posted.
pub(super) async fn post(
    shared: &Arc<Shared>,
    conn: &Arc<Conn>,
    head: Box<Parts>,
    message: Message,
) -> Answer {
    let (what, accept) = match understand(shared, &head, &message) {
        Ok(understood) => understood,
        Err(refusal) => return answer::client(refusal),
    };
    match what {
        Post::Aside => answer::empty(StatusCode::ACCEPTED),
        Post::Initialize { version } => {
            let room = Room::of(head);
            Box::pin(initialize(shared, conn, version, message, accept, room)).await
        }
        Post::Legacy { session, version } => {
            let Some(client) = shared.hub().session(session) else {
                return answer::client(mcp::Refusal::session_over(message.id()));
            };
            if let Kind::Request { .. } = message.kind() {
                let (form, room) = (legacy(accept, version), Room::of(head));
                return ask(shared, conn, client, message, form, room).await;
            }
            match shared.hub().tell(client, message) {
                Ok(()) => answer::empty(StatusCode::ACCEPTED),
                Err(refusal) => refused(&refusal, None),
            }
        }
        Post::Modern { version } => match conn.lane(version) {
            Ok(client) => {
                let (form, room) = (modern(accept), Room::of(head));
                ask(shared, conn, client, message, form, room).await
            }
            Err(refusal) => refused(&refusal, Some(&message)),
        },
    }
}

fn understand<'a>(
    shared: &Shared,
    head: &'a Parts,
    message: &Message,
) -> Result<(Post<'a>, Accept), mcp::Refusal> {
    let head = read(head);
    let tools = match head.version() {
        // Only the modern era has such headers.
        Some(version) if version >= mcp::MODERN[0] => shared.hub().tools(),
        _ => Arc::default(),
    };
    Ok((mcp::post(&head, message, &tools)?, head.accept()))
}

/// GET and DELETE, and what there is not.
pub(super) fn without_body(shared: &Arc<Shared>, conn: &Arc<Conn>, head: &Parts) -> Answer {
    let read = read(head);
    let answer = match head.method {
        Method::GET => get(shared, conn, &read),
        Method::DELETE => delete(shared, &read),
        _ => Err(mcp::Refusal::method("POST, GET, DELETE")),
    };
    answer.unwrap_or_else(answer::client)
}

/// What is known of an operation, for whoever knows its id.
pub(super) fn operation(shared: &Arc<Shared>, head: &Parts) -> Answer {
    if head.method != Method::GET {
        return answer::client(mcp::Refusal::method("GET"));
    }
    let path = head.uri.path();
    let id = path.strip_prefix(PREFIX).unwrap_or(path);
    let id = id.strip_prefix("operations/").unwrap_or(id);
    match shared.hub().operation(id) {
        Operation::Done(message) => answer::message(200, message),
        Operation::Running => answer::empty(StatusCode::ACCEPTED),
        Operation::Unknown => {
            let text = "there is no such operation, or its result is gone\n";
            answer::text(StatusCode::NOT_FOUND, text)
        }
    }
}

async fn initialize(
    shared: &Arc<Shared>,
    conn: &Arc<Conn>,
    version: String,
    message: Message,
    accept: Accept,
    room: Room,
) -> Answer {
    let form = legacy(accept, &version);
    let (client, name) = match shared.hub().begin(version) {
        Ok(begun) => begun,
        Err(refusal) => return refused(&refusal, Some(&message)),
    };
    let mut unborn = Unborn {
        shared,
        client: Some(client),
    };
    let mut answer = ask(shared, conn, client, message, form, room).await;
    if answer.status().is_success() {
        // Whether it is an answer or a stream with one: the client has its session.
        unborn.client = None;
        let name = HeaderValue::from_str(&name).expect("hexadecimal digits fit a header");
        answer.headers_mut().insert(answer::SESSION, name);
    }
    answer
}

/// A session whose name nobody knows: its client hung up before it was told.
struct Unborn<'a> {
    shared: &'a Arc<Shared>,
    client: Option<ClientId>,
}

impl Drop for Unborn<'_> {
    fn drop(&mut self) {
        if let Some(client) = self.client {
            self.shared.hub().gone(client);
        }
    }
}

async fn ask(
    shared: &Arc<Shared>,
    conn: &Arc<Conn>,
    client: ClientId,
    message: Message,
    form: Form,
    room: Room,
) -> Answer {
    let id = message.id().cloned();
    match shared
        .hub()
        .ask(conn, client, message, Ask::default(), form)
    {
        Ok(asked) => waiting::answer(conn, asked, form, times(shared), room).await,
        Err(refusal) => {
            let answer = refusal.to_answer(id.as_ref());
            with_retry(&refusal, answer::message(refusal.status(), answer))
        }
    }
}

fn get(shared: &Arc<Shared>, conn: &Arc<Conn>, head: &Head<'_>) -> Result<Answer, mcp::Refusal> {
    let get = mcp::get(head)?;
    let hub = shared.hub();
    let client = hub
        .session(get.session)
        .ok_or_else(|| mcp::Refusal::session_over(None))?;
    let opened = hub.open(conn, client, get.after);
    let comment = times(shared).comment_every;
    let mut stream = EventStream::new(opened.reader, opened.watched, comment);
    if !opened.resumed && head.version().is_some_and(primes) {
        stream.prime();
    }
    Ok(answer::events(Reply::stream(stream)))
}

fn delete(shared: &Arc<Shared>, head: &Head<'_>) -> Result<Answer, mcp::Refusal> {
    let delete = mcp::delete(head)?;
    let hub = shared.hub();
    let client = hub
        .session(delete.session)
        .ok_or_else(|| mcp::Refusal::session_over(None))?;
    hub.gone(client);
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

pub(super) fn read(head: &Parts) -> Head<'_> {
    Head::new(
        head.headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes())),
    )
}

fn legacy(accept: Accept, version: &str) -> Form {
    Form {
        streams: accept.sse,
        prefers_streams: accept.sse_first,
        resumable: accept.sse,
        primes: primes(version),
        cancels: false,
        era: Era::Legacy,
    }
}

fn modern(accept: Accept) -> Form {
    Form {
        streams: accept.sse,
        prefers_streams: accept.sse_first,
        resumable: false,
        primes: false,
        cancels: true,
        era: Era::Modern,
    }
}

fn refused(refusal: &Refusal, message: Option<&Message>) -> Answer {
    let answer = refusal.to_answer(message.and_then(Message::id));
    with_retry(refusal, answer::message(refusal.status(), answer))
}

fn with_retry(refusal: &Refusal, mut answer: Answer) -> Answer {
    if refusal.status() == 503 {
        let second = HeaderValue::from_static("1");
        let headers = answer.headers_mut();
        headers.insert(http::header::RETRY_AFTER, second);
    }
    answer
}

fn times(shared: &Shared) -> Times {
    Times {
        head_after: shared.config.head_after,
        comment_every: shared.config.comment_every,
    }
}
