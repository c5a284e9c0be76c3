//! One plugin's socket, from its upgrade to its end.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell that bounds its closing by a clock"
)]

use super::{Hub, SocketId, ToSocket};
use futures::{SinkExt, StreamExt};
use mcp_transport_core::delivery::Op;
use mcp_transport_core::{Error, ErrorKind, Message, Transport};
use mcp_transport_ws::WsTransport;
use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

/// A plugin's end of a connection, whatever it runs over: messages of the hub's dialect, and a
/// goodbye with a code of the hub's table.
pub trait PluginSocket: Transport + Send + Unpin {
    /// Says goodbye, within a bound of its own.
    fn goodbye(self, code: u16, reason: &str) -> impl Future<Output = ()> + Send;
}

impl PluginSocket for WsTransport {
    async fn goodbye(self, code: u16, reason: &str) {
        // A plugin that does not answer the goodbye is gone just as well.
        let _ = self.close(code, reason).await;
    }
}

/// Speaks with one plugin until its socket ends, and says how it ended. One too many that has not
/// registered is closed with 1013.
///
/// # Cancel safety
/// Dropping the future drops the socket without a goodbye, and tells the hub nothing: spawn it.
pub async fn serve(hub: Hub, mut socket: impl PluginSocket) -> Error {
    let Some((id, mut orders)) = hub.open() else {
        tracing::warn!("too many plugin sockets that have not registered; one more was refused");
        let reason = "too many sockets that have not registered";
        socket.goodbye(1013, reason).await;
        return Error::new(ErrorKind::Overloaded { retry_after: None }).context(reason);
    };
    tracing::debug!(?id, "a plugin's socket is open");
    let Err(end) = drive(&hub, id, &mut socket, &mut orders).await;
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
    tracing::info!(
        ?id,
        cause = end.error.kind().cause(),
        "a plugin's socket ended"
    );
    hub.gone(id, end.error.kind(), unsent);
    if let Some((code, reason)) = goodbye {
        socket.goodbye(code, &reason).await;
    }
    end.error
}

struct End {
    error: Error,
    /// A command that the sink refused.
    unsent: Option<Op>,
    /// How to close, where it is we who end it.
    goodbye: Option<(u16, String)>,
}

impl End {
    const fn of(error: Error) -> Self {
        Self {
            error,
            unsent: None,
            goodbye: None,
        }
    }

    const fn ours(kind: ErrorKind, code: u16, reason: String) -> Self {
        Self {
            error: Error::new(kind),
            unsent: None,
            goodbye: Some((code, reason)),
        }
    }
}

async fn drive(
    hub: &Hub,
    id: SocketId,
    socket: &mut impl PluginSocket,
    orders: &mut mpsc::Receiver<ToSocket>,
) -> Result<Infallible, End> {
    let mut in_a_row = 0;
    loop {
        let order = tokio::select! {
            // Read before write: an answer that is there must not be lost to a socket that breaks.
            biased;
            // Once the hub has said its last word, nobody wants to hear more.
            message = socket.next(), if !orders.is_closed() => {
                match message {
                    Some(Ok(message)) => hub.receive(id, &message),
                    Some(Err(error)) => return Err(End::of(error)),
                    None => return Err(End::of(Error::new(ErrorKind::Disconnected))),
                }
                in_a_row += 1;
                if in_a_row < READS_IN_A_ROW {
                    continue;
                }
                match orders.try_recv() {
                    Ok(order) => Some(order),
                    Err(TryRecvError::Empty) => {
                        in_a_row = 0;
                        continue;
                    }
                    Err(TryRecvError::Disconnected) => None,
                }
            }
            order = orders.recv() => order,
        };
        in_a_row = 0;
        match order {
            Some(ToSocket::Send { message, op }) => write(socket, message, op).await?,
            Some(ToSocket::Close { code, reason }) => {
                return Err(End::ours(ErrorKind::Closed, code, reason));
            }
            None => {
                let kind = ErrorKind::Overloaded { retry_after: None };
                return Err(End::ours(
                    kind,
                    1013,
                    "you do not read what we send".to_owned(),
                ));
            }
        }
    }
}

async fn write(
    socket: &mut impl PluginSocket,
    message: Message,
    op: Option<Op>,
) -> Result<(), End> {
    if let Err(error) = socket.feed(message).await {
        let unsent = op;
        return Err(End {
            unsent,
            ..End::of(error)
        });
    }
    match tokio::time::timeout(WRITE_TIMEOUT, socket.flush()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(End::of(error)),
        Err(_) => Err(End::of(Error::new(ErrorKind::TimedOut))),
    }
}

/// A plugin that takes nothing off its socket for this long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);

/// A plugin that never stops talking is told something now and then.
const READS_IN_A_ROW: u32 = 32;
