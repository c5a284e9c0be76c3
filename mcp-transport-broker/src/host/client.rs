//! One client of the broker, as a transport.

use super::hub::Hub;
use super::state::{Accepted, Output, Read};
use crate::native::Meet;
use futures::{Sink, Stream};
use mcp_transport_core::{Error, Message};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// One MCP client of the broker, on one lease: a legacy session, or a modern client's connection.
///
/// A [`Transport`](mcp_transport_core::Transport), made by
/// [`BrokerListener`](super::BrokerListener). The stream ends in order when the client is gone or
/// the host has left; it yields an error first where the lease was lost, or where the service did
/// not read. A request counts as begun as soon as it was read from the stream, and not before.
///
/// The sink is ready while there is [room](super::BrokerListener#what-happens-when). What was sent
/// is kept until the broker has it: a flush is ready at once, and means that. An answer outlives the
/// lease; anything else belongs to it, and is dropped with it. `start_send` refuses what is no
/// JSON-RPC (`Malformed`) and what is larger than 64 MiB less 4 KiB (`TooLarge`; if it is an answer,
/// its client gets that error in place of it); the transport goes on.
///
/// Closing or dropping it ends the service of this client: what was not answered is answered for it.
pub struct BrokerClient {
    hub: Arc<Hub>,
    accepted: Accepted,
    is_closed: bool,
}

impl BrokerClient {
    pub(super) const fn new(hub: Arc<Hub>, accepted: Accepted) -> Self {
        Self {
            hub,
            accepted,
            is_closed: false,
        }
    }

    /// The broker's name for this client, such as `c1`; for logs. Each lease may give it another.
    pub fn id(&self) -> &str {
        &self.accepted.name
    }

    /// How the client speaks, and which protocol version it asked for.
    pub fn meet(&self) -> &Meet {
        &self.accepted.meet
    }

    fn close(&mut self) {
        if !std::mem::replace(&mut self.is_closed, true) {
            self.hub.dropped(self.accepted.key);
        }
    }
}

impl Stream for BrokerClient {
    type Item = Result<Message, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let key = self.accepted.key;
        self.hub
            .poll(Output::Readable(key), cx, |state| match state.read(key) {
                Read::Message(message) => Poll::Ready(Some(Ok(message))),
                Read::End(error) => Poll::Ready(error.map(Err)),
                Read::Nothing => Poll::Pending,
            })
    }
}

impl Sink<Message> for BrokerClient {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let key = self.accepted.key;
        self.hub.poll(Output::Writable(key), cx, |state| {
            if state.has_room(key) {
                Poll::Ready(Ok(()))
            } else {
                Poll::Pending
            }
        })
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        let key = self.accepted.key;
        self.hub.touch(|state| state.write(key, message))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.close();
        Poll::Ready(Ok(()))
    }
}

impl Drop for BrokerClient {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for BrokerClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerClient")
            .field("id", &self.id())
            .field("meet", self.meet())
            .finish_non_exhaustive()
    }
}
