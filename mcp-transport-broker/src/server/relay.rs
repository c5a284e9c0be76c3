//! A broker that was replaced, for as long as anybody is connected to it: what it has handed over
//! is claimed at the newer broker for its clients, and what still comes goes there as well.
#![expect(
    clippy::disallowed_methods,
    reason = "the shell between two brokers: connections to the newer one, and how long they may take"
)]

use super::answer::{self, Answer};
use super::body::{BoxError, Reply};
use super::moving::Moved;
use super::route::Shared;
use crate::launch::{Found, probe};
use crate::native::{Claim, PREFIX};
use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt};
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use mcp_transport_core::{Kind, Message, loopback};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};

/// How long the newer broker may take until it answers on the port.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait before looking again.
const GLANCE: Duration = Duration::from_millis(5);

/// The broker that has the port now.
#[derive(Debug)]
pub(super) struct Successor {
    port: u16,
    token: Box<str>,
    /// Whether it has proved to know the token.
    proved: OnceCell<bool>,
}

impl Successor {
    pub(super) fn new(port: u16, token: &str) -> Self {
        Self {
            port,
            token: token.into(),
            proved: OnceCell::new(),
        }
    }

    /// A connection to it, once it is there. Nobody is sent anything who cannot prove to know the
    /// token.
    async fn connect(&self) -> Result<TcpStream, BoxError> {
        let is_proved = self.proved.get_or_init(|| async {
            let look = async {
                loop {
                    let found = probe::ask(self.port).await;
                    match found.prove(self.port, Some(&self.token)) {
                        Found::Ours(hello) if hello.pid != std::process::id() => {
                            tracing::info!(hello.version, hello.pid, "the newer broker is there");
                            return;
                        }
                        _ => {}
                    }
                    sleep(GLANCE).await;
                }
            };
            timeout(PATIENCE, look).await.is_ok()
        });
        if !*is_proved.await {
            return Err("no newer broker has come to the port".into());
        }
        let stream = loopback::connect(self.port).await?;
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    fn request(&self, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
        Request::builder()
            .method(Method::POST)
            .uri(format!("{PREFIX}{path}"))
            .header(header::HOST, format!("127.0.0.1:{}", self.port))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body.into()))
            .expect("a token and a path that were read are valid in a head")
    }
}

/// Claims what was handed over, for as long as its clients want it.
pub(super) async fn claim_all(shared: Arc<Shared>, moved: Vec<Moved>) {
    let claims = moved.into_iter().map(|moved| claim(&shared, moved));
    let mut claims = FuturesUnordered::from_iter(claims);
    while claims.next().await.is_some() {}
}

/// Gives the newer broker what the last host has said since, when that host is gone.
pub(super) async fn give_rest(shared: Arc<Shared>) {
    shared.hub().left().await;
    let rest = serde_json::to_vec(&shared.hub().rest());
    let rest = rest.expect("text and numbers always serialise");
    let given = async {
        let stream = shared.successor.connect().await?;
        let request = shared.successor.request("rest", rest);
        let response = send(stream, request).await?;
        match response.status() {
            StatusCode::OK => Ok(()),
            status => Err(BoxError::from(format!("it answered {status}"))),
        }
    };
    if let Err(error) = given.await {
        tracing::warn!(%error, "the newer broker did not take the last results");
    }
}

/// Passes a request on to the newer broker, and its answer back. The client's next one goes there
/// by a connection of its own.
pub(super) async fn pass(shared: &Shared, head: Parts, body: Bytes) -> Answer {
    let passed = async {
        let stream = shared.successor.connect().await?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = head.method;
        *request.uri_mut() = head.uri;
        *request.headers_mut() = head.headers;
        // Framing is each connection's own.
        for framing in [
            header::TRANSFER_ENCODING,
            header::CONTENT_LENGTH,
            header::CONNECTION,
            header::EXPECT,
        ] {
            request.headers_mut().remove(framing);
        }
        send(stream, request).await
    };
    match passed.await {
        Ok(response) => {
            let (mut parts, body) = response.into_parts();
            parts.headers.remove(header::TRANSFER_ENCODING);
            let close = HeaderValue::from_static("close");
            parts.headers.insert(header::CONNECTION, close);
            parts.extensions.clear();
            Answer::from_parts(parts, Reply::passed(body))
        }
        Err(error) => {
            tracing::warn!(%error, "a request could not be passed on to the newer broker");
            let text = "this broker was replaced, and the newer one is not there; try again\n";
            answer::closing(answer::text(StatusCode::SERVICE_UNAVAILABLE, text))
        }
    }
}

async fn claim(shared: &Shared, mut moved: Moved) {
    let (hub, ticket) = (shared.hub(), moved.ticket);
    // Also where nobody wants it any more: only who has claimed can hang up.
    let claimed = match open(shared, moved.operation_id).await {
        Err(error) => Err(error),
        Ok(body) => tokio::select! {
            claimed = follow(body, |message| hub.relayed(ticket, message)) => claimed,
            _ = &mut moved.wanted => return,
        },
    };
    match claimed {
        // Without an answer: its client has cancelled it.
        Ok(()) => hub.relay_ended(ticket),
        Err(error) => {
            tracing::warn!(%ticket, %error, "the newer broker cannot be heard");
            hub.relay_lost(ticket);
        }
    }
}

/// Claims a call.
async fn open(shared: &Shared, operation_id: String) -> Result<Incoming, BoxError> {
    let stream = shared.successor.connect().await?;
    let body = serde_json::to_vec(&Claim { operation_id });
    let body = body.expect("text always serialises");
    let response = send(stream, shared.successor.request("claim", body)).await?;
    match response.status() {
        StatusCode::OK => Ok(response.into_body()),
        status => Err(format!("it answered {status}").into()),
    }
}

/// What the newer broker says about a call, up to its answer.
async fn follow(mut body: Incoming, mut said: impl FnMut(Message)) -> Result<(), BoxError> {
    let mut events = Events::default();
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame?.into_data() else {
            continue;
        };
        for message in events.read(&piece) {
            let is_last = matches!(message.kind(), Kind::Response { .. } | Kind::Opaque(_));
            said(message);
            if is_last {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The connection ends with the answer's body.
async fn send(
    stream: TcpStream,
    request: Request<Full<Bytes>>,
) -> Result<http::Response<Incoming>, BoxError> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to the newer broker ended badly");
        }
    });
    Ok(sender.send_request(request).await?)
}

/// The messages of an event stream, as [`sse`](crate::mcp::sse) writes them.
#[derive(Debug, Default)]
struct Events {
    /// The line that has begun.
    line: Vec<u8>,
    /// The data of the event that has begun.
    data: Vec<u8>,
}

impl Events {
    fn read(&mut self, piece: &[u8]) -> Vec<Message> {
        let mut messages = Vec::new();
        let mut lines = piece.split(|byte| *byte == b'\n');
        self.line.extend(lines.next().unwrap_or_default());
        for next in lines {
            let line = std::mem::replace(&mut self.line, next.to_vec());
            if let Some(data) = line.strip_prefix(b"data: ") {
                if !self.data.is_empty() {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(data);
            } else if line.is_empty() && !self.data.is_empty() {
                let data = Bytes::from(std::mem::take(&mut self.data));
                messages.push(Message::from(data));
            }
        }
        messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::sse;
    use std::collections::VecDeque;

    #[test]
    fn what_a_stream_writes_is_read_however_it_is_cut() {
        let said = [
            Message::from(r#"{"jsonrpc":"2.0","method":"a"}"#),
            Message::from("{\"jsonrpc\":\"2.0\",\n\"id\":1,\r\n\"result\":{}}"),
        ];
        let mut pieces = VecDeque::from([sse::comment()]);
        for message in &said {
            sse::message(None, message, &mut pieces);
        }
        let bytes = pieces.into_iter().flatten().collect::<Vec<u8>>();
        for size in 1..bytes.len() {
            let mut events = Events::default();
            let read: Vec<Message> = bytes
                .chunks(size)
                .flat_map(|piece| events.read(piece))
                .collect();
            assert_eq!(read.len(), 2, "cut into {size}");
            assert_eq!(read[0], said[0]);
            let json = |message: &Message| message.json::<serde_json::Value>().unwrap();
            assert_eq!(json(&read[1]), json(&said[1]));
        }
    }
}
