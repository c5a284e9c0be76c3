//! Accepting connections, as many as may be.

use super::conversation::converse;
use super::route::Shared;
use mcp_transport_core::loopback::{Bind, Loopback};
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// What a connection beyond the limit hears.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n\
    content-length: 0\r\nconnection: close\r\n\r\n";

/// Accepts until it is told to stop, and returns the connections that are left.
pub(super) async fn accept<B: Bind>(shared: Arc<Shared>, mut listener: Loopback<B>) -> JoinSet<()> {
    let limit = shared.config.connections;
    let room = Arc::new(Semaphore::new(limit));
    let mut connections = JoinSet::new();
    let mut stopped = std::pin::pin!(shared.stopped());
    let mut moved = std::pin::pin!(shared.moves());
    let mut is_leaving = false;
    loop {
        let stream = tokio::select! {
            biased;
            (stream, _) = listener.accept() => stream,
            Some(_) = connections.join_next() => continue,
            () = &mut stopped => return connections,
            // Whoever has come so far is served, so that a newer broker gets the port without a
            // connection lost.
            () = std::future::ready(()), if is_leaving => return connections,
            () = &mut moved, if !is_leaving => {
                is_leaving = true;
                continue;
            }
        };
        match room.clone().try_acquire_owned() {
            Ok(permit) => {
                let shared = shared.clone();
                connections.spawn(async move {
                    converse(shared, stream).await;
                    drop(permit);
                });
            }
            Err(_) => {
                tracing::warn!(limit, "too many connections; one more was closed");
                refuse(stream);
            }
        }
    }
}

/// Says so, as far as that goes without waiting.
fn refuse(mut stream: TcpStream) {
    let mut said = std::pin::pin!(stream.write(FULL));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let _ = said.as_mut().poll(&mut cx);
}
