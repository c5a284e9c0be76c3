//! Accepting connections, as many as may be.

use super::conversation::converse;
use super::route::Shared;
use mcp_transport_core::loopback::{self, Bind, Loopback};
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
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
    let health = tell_health(listener.watch_health(), listener.local_port());
    let mut health = std::pin::pin!(health);
    let mut is_leaving = false;
    loop {
        let stream = tokio::select! {
            biased;
            (stream, _) = listener.accept() => stream,
            Some(_) = connections.join_next() => continue,
            () = &mut health => continue,
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

/// Says in the log what becomes of the two families. Never ends.
async fn tell_health(mut health: watch::Receiver<loopback::Health>, port: u16) {
    let mut before = health.borrow_and_update().clone();
    while health.changed().await.is_ok() {
        let now = health.borrow_and_update().clone();
        for (address, old, new) in [
            ("127.0.0.1", &before.v4, &now.v4),
            ("[::1]", &before.v6, &now.v6),
        ] {
            if old.state != new.state || old.last_failure != new.last_failure {
                let failure = new.last_failure.as_ref();
                tracing::warn!(
                    address, port, state = ?new.state,
                    os_code = failure.and_then(|failure| failure.code),
                    cause = failure.map(|failure| failure.text.as_str()),
                    "the listener's state changed"
                );
            }
        }
        before = now;
    }
    std::future::pending().await
}
