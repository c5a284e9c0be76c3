//! One plugin's socket, from its upgrade to its end.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell that bounds its closing by a clock"
)]

use super::{Hub, ToSocket};
use futures::{SinkExt, StreamExt};
use mcp_transport_core::delivery::Op;
use mcp_transport_core::{Error, ErrorKind};
use mcp_transport_ws::WsTransport;
use tokio::sync::mpsc;

/// Speaks with one plugin until its socket ends. Returns at once if too many sockets have not registered.
///
/// # Cancel safety
/// Dropping the future drops the socket without a goodbye, and tells the hub nothing: spawn it.
pub async fn serve(hub: Hub, mut socket: WsTransport) {
    let Some((id, mut orders)) = hub.open() else {
        tracing::warn!("too many plugin sockets that have not registered; one more was refused");
        let _ = socket
            .close(1013, "too many sockets that have not registered")
            .await;
        return;
    };
    tracing::debug!(?id, "a plugin's socket is open");
    let end = drive(&hub, id, &mut socket, &mut orders).await;
    // Whatever waits in the channel was never written: it can be sent again without a doubt.
    orders.close();
    let mut unsent: Vec<Op> = end.unsent.into_iter().collect();
    let mut goodbye = end.goodbye;
    while let Ok(order) = orders.try_recv() {
        match order {
            ToSocket::Send { op, .. } => unsent.extend(op),
            ToSocket::Close { code, reason } => goodbye = Some((code, reason)),
        }
    }
    tracing::info!(?id, cause = end.kind.cause(), "a plugin's socket ended");
    hub.gone(id, end.kind, &unsent);
    if let Some((code, reason)) = goodbye {
        let _ = socket.close(code, &reason).await;
    }
}

struct End {
    kind: ErrorKind,
    /// A command that the sink refused.
    unsent: Option<Op>,
    /// How to close, where it is we who end it.
    goodbye: Option<(u16, String)>,
}

impl End {
    fn of(error: &Error) -> Self {
        Self {
            kind: error.kind(),
            unsent: None,
            goodbye: None,
        }
    }
}

async fn drive(
    hub: &Hub,
    id: super::SocketId,
    socket: &mut WsTransport,
    orders: &mut mpsc::Receiver<ToSocket>,
) -> End {
    loop {
        let order = tokio::select! {
            biased; // read before write: an answer that is there must not be lost to a socket that breaks
            message = socket.next() => match message {
                Some(Ok(message)) => {
                    hub.receive(id, &message);
                    continue;
                }
                Some(Err(error)) => return End::of(&error),
                None => return End::of(&Error::new(ErrorKind::Disconnected)),
            },
            order = orders.recv() => order,
        };
        match order {
            Some(ToSocket::Send { message, op }) => {
                if let Err(end) = write(socket, message, op).await {
                    return end;
                }
            }
            Some(ToSocket::Close { code, reason }) => {
                let goodbye = Some((code, reason));
                return End {
                    kind: ErrorKind::Closed,
                    unsent: None,
                    goodbye,
                };
            }
            None => {
                let goodbye = Some((1013, "you do not read what we send".to_owned()));
                return End {
                    kind: ErrorKind::Overloaded { retry_after: None },
                    unsent: None,
                    goodbye,
                };
            }
        }
    }
}

async fn write(
    socket: &mut WsTransport,
    message: mcp_transport_core::Message,
    op: Option<Op>,
) -> Result<(), End> {
    let room = socket.feed(message).await;
    if let Err(error) = room {
        return Err(End {
            kind: error.kind(),
            unsent: op,
            goodbye: None,
        });
    }
    match tokio::time::timeout(WRITE_TIMEOUT, socket.flush()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(End::of(&error)),
        Err(_) => Err(End::of(&Error::new(ErrorKind::TimedOut))),
    }
}

/// A plugin that takes nothing off its socket for this long is gone.
const WRITE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(20);
