//! WebSocket upgrades that go on to the host, and the bytes after them.
#![expect(
    clippy::disallowed_methods,
    reason = "the shell that dials the host's tunnel and owns its connection"
)]

use super::answer::{self, Answer};
use super::body::Reply;
use super::conn::Conn;
use super::route::Shared;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

/// How long the host's end may take to be reached, and to answer an upgrade.
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(10);

/// Between two tries to reach a host that says it is there.
const AGAIN: Duration = Duration::from_millis(250);

/// The host's end of a tunnel.
#[derive(Debug)]
pub(super) struct Tunnel {
    host: TokioIo<Upgraded>,
    _permit: OwnedSemaphorePermit,
}

/// Whether a request asks for a WebSocket.
pub(super) fn is_asked(head: &Parts) -> bool {
    let upgrade = head.headers.get(header::UPGRADE);
    head.method == Method::GET
        && upgrade.is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Passes an upgrade on to the host as it came, and its answer back. While no host is there, the
/// upgrade waits for as long as a call would.
pub(super) async fn open(shared: &Arc<Shared>, conn: &Arc<Conn>, head: Parts) -> Answer {
    let Ok(permit) = shared.tunnels.clone().try_acquire_owned() else {
        return unavailable("there are as many tunnels as may be; close one");
    };
    let hold = shared.config.broker.hold;
    let Ok(stream) = timeout(hold, reach(shared)).await else {
        return unavailable("no host was there in time that takes upgrades");
    };
    let host = match timeout(ANSWER, ask(stream, &head)).await {
        Ok(Ok(host)) => host,
        Ok(Err(error)) => {
            tracing::warn!(%error, "the host did not answer an upgrade");
            return unavailable("the host went before it answered the upgrade");
        }
        Err(_) => return unavailable("the host did not answer the upgrade in time"),
    };
    let (mut parts, body) = host.into_parts();
    if parts.status != StatusCode::SWITCHING_PROTOCOLS {
        // Framing is each connection's own.
        parts.headers.remove(header::TRANSFER_ENCODING);
        parts.headers.remove(header::CONNECTION);
        return Answer::from_parts(parts, Reply::passed(body));
    }
    let host = http::Response::from_parts(parts.clone(), body);
    match hyper::upgrade::on(host).await {
        Ok(upgraded) => {
            conn.tunnels(Tunnel {
                host: TokioIo::new(upgraded),
                _permit: permit,
            });
            parts.extensions.clear();
            Answer::from_parts(parts, Reply::full(Bytes::new()))
        }
        Err(error) => {
            tracing::warn!(%error, "an upgrade came to nothing");
            unavailable("the host went while it answered the upgrade")
        }
    }
}

/// Moves bytes both ways, until both ends are done or one breaks.
pub(super) async fn copy(mut client: TcpStream, early: Bytes, mut tunnel: Tunnel) {
    let moved = async {
        tunnel.host.write_all(&early).await?;
        copy_bidirectional(&mut client, &mut tunnel.host).await
    };
    if let Err(error) = moved.await {
        tracing::debug!(%error, "a tunnel broke");
    }
}

/// Connects to the host that is there, or will be.
async fn reach(shared: &Shared) -> TcpStream {
    let mut host = shared.hub().tunnel();
    loop {
        let address: Option<SocketAddr> = *host.borrow_and_update();
        let Some(address) = address else {
            if host.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            continue;
        };
        match timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                return stream;
            }
            failed => tracing::debug!(%address, ?failed, "the host's tunnel is not there"),
        }
        // It may listen in a moment, or another may attach.
        let _ = timeout(AGAIN, host.changed()).await;
    }
}

async fn ask(
    stream: TcpStream,
    head: &Parts,
) -> hyper::Result<http::Response<hyper::body::Incoming>> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "the host's end of a tunnel ended badly");
        }
    });
    let mut request = Request::new(Empty::<Bytes>::new().boxed());
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = head.uri.clone();
    *request.headers_mut() = head.headers.clone();
    sender.send_request(request).await
}

fn unavailable(why: &str) -> Answer {
    let mut answer = answer::text(StatusCode::SERVICE_UNAVAILABLE, &format!("{why}\n"));
    let second = HeaderValue::from_static("1");
    answer.headers_mut().insert(header::RETRY_AFTER, second);
    answer
}
