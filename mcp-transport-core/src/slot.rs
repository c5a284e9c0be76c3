//! Listener → connector: for a client whose host dials.

use crate::error::{Error, ErrorKind};
use crate::transport::{Connector, Listener};
use std::time::Duration;

/// A connector that waits for its peer to come: a [`Resilient`](crate::Resilient) over it is a
/// client whose host dials.
///
/// Each dial is the next connection that the listener yields, however long that takes. While a
/// connection is up none is accepted; a peer that dials meanwhile waits in the listener. When the
/// listener has ended, so has the link.
///
/// ```
/// use futures::SinkExt;
/// use mcp_transport_core::{Error, Listener, Message, Resilient, Slot, memory};
///
/// struct Queue(tokio::sync::mpsc::Receiver<memory::End>);
///
/// impl Listener for Queue {
///     type Transport = memory::End;
///
///     async fn accept(&mut self) -> Result<memory::End, Error> {
///         self.0.recv().await.ok_or_else(|| mcp_transport_core::ErrorKind::Closed.into())
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use futures::StreamExt;
///
/// let (hosts, queue) = tokio::sync::mpsc::channel(1);
/// let mut link = Resilient::spawn(Slot::new(Queue(queue)));
/// let (ours, mut host) = memory::pair(8);
/// hosts.send(ours).await.unwrap(); // the host comes whenever it likes
/// link.send(Message::from(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)).await.unwrap();
/// assert_eq!(host.next().await.unwrap().unwrap().method(), Some("ping"));
/// # });
/// ```
#[derive(Debug)]
pub struct Slot<L> {
    listener: L,
}

impl<L: Listener + 'static> Slot<L> {
    /// Takes what the listener yields, one at a time.
    pub const fn new(listener: L) -> Self {
        Self { listener }
    }
}

impl<L: Listener + 'static> Connector for Slot<L> {
    type Transport = L::Transport;

    async fn connect(&mut self) -> Result<Self::Transport, Error> {
        // A listener that yields an error yields nothing more, whatever its kind says about
        // dialling.
        self.listener.accept().await.map_err(|error| {
            Error::new(ErrorKind::Closed)
                .context("there will be no further connection")
                .because(error)
        })
    }

    /// The peer comes when it comes.
    fn patience(&self) -> Option<Duration> {
        Some(Duration::MAX)
    }
}
