//! Connections, from their accept to their end.

use super::Http;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use mcp_transport_core::guard::{HEAD_TIMEOUT, MAX_HEAD};
use mcp_transport_core::loopback::{Bind, Loopback};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections at once, plugins and event streams included. What comes on top is closed at once.
const MAX_CONNECTIONS: usize = 2_048;

/// Serves every connection that comes, until it is told to stop.
pub(super) async fn accept<B: Bind>(
    http: Arc<Http>,
    mut listener: Loopback<B>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let stream = tokio::select! {
            (stream, _) = listener.accept() => stream,
            () = stop.cancelled() => return,
        };
        let Ok(permit) = room.clone().try_acquire_owned() else {
            tracing::warn!(
                limit = MAX_CONNECTIONS,
                "too many connections; one more was closed"
            );
            continue;
        };
        let (http, stop) = (http.clone(), stop.clone());
        tasks.spawn(async move {
            converse(http, stream, stop).await;
            drop(permit);
        });
    }
}

/// Our end of the connection by which a request came.
#[derive(Clone, Copy)]
pub(super) struct At(pub(super) SocketAddr);

async fn converse(http: Arc<Http>, stream: TcpStream, stop: CancellationToken) {
    let at = stream.local_addr().ok().map(At);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let http = http.clone();
        if let Some(at) = at {
            request.extensions_mut().insert(at);
        }
        async move { Ok::<_, Infallible>(http.answer(request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended badly");
    }
}
