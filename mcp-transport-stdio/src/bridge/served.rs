//! The application's end of one connection.

use super::hub::Hub;
use super::resend::Ticket;
use super::seat::Peer;
use super::wire::MAX_PAYLOAD;
use futures::{Sink, Stream};
use mcp_transport_core::{Error, ErrorKind, Message};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::mpsc;

/// One client's connection, as a [`BridgeListener`](super::BridgeListener) yields it: a stream of commands, a sink of
/// answers.
///
/// Take a command, send its answer, take the next: the wire has no ids, so there is never more than one to answer. Pings do
/// not show, and a command that the client sends again after a fault is not yielded again: it gets the answer of the one
/// that runs, or ran.
///
/// - The stream ends when the client leaves, and with an `Err` when it was lost or lost its seat (the error names the
///   newcomer). Answer what runs all the same: a client that comes back for the answer gets it.
/// - The sink refuses an answer that nobody asked for ([`ErrorKind::Malformed`]) and one over 64 MiB
///   ([`ErrorKind::TooLarge`]); the connection goes on, and the command still wants its answer.
/// - Closing or dropping it closes the connection. A command that was taken and not answered is then of unknown outcome, and
///   is not run again for who sends it again, unless that one asked for the seat by name: such a client repeats nothing
///   that may not run twice.
///
/// Both halves are cancel safe.
#[derive(Debug)]
pub struct Served {
    hub: Arc<Hub>,
    peer: Peer,
    from: SocketAddr,
    items: mpsc::Receiver<Item>,
    running: Option<Ticket>,
    closed: bool,
}

#[derive(Debug)]
pub(super) enum Item {
    Command(Ticket, Message),
    End(Error),
}

impl Served {
    pub(super) const fn new(
        hub: Arc<Hub>,
        peer: Peer,
        from: SocketAddr,
        items: mpsc::Receiver<Item>,
    ) -> Self {
        Self {
            hub,
            peer,
            from,
            items,
            running: None,
            closed: false,
        }
    }

    /// The client's address.
    pub const fn peer_addr(&self) -> SocketAddr {
        self.from
    }

    fn close(&mut self) {
        if !std::mem::replace(&mut self.closed, true) {
            self.hub.close(self.peer, self.running.take());
        }
    }
}

impl Stream for Served {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.closed {
            return Poll::Ready(None);
        }
        loop {
            match ready!(self.items.poll_recv(cx)) {
                Some(Item::Command(ticket, command)) => {
                    // It may have been withdrawn while it lay here.
                    if self.hub.begin(ticket) {
                        self.running = Some(ticket);
                        return Poll::Ready(Some(Ok(command)));
                    }
                }
                Some(Item::End(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl Sink<Message> for Served {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(mut self: Pin<&mut Self>, answer: Message) -> Result<(), Error> {
        if answer.len() > MAX_PAYLOAD {
            return Err(Error::new(ErrorKind::TooLarge {
                limit: MAX_PAYLOAD as u64,
                size: answer.len() as u64,
            }));
        }
        if answer.is_empty() {
            return Err(Error::new(ErrorKind::Malformed).context("an answer has at least one byte"));
        }
        let Some(ticket) = self.running.take() else {
            return Err(Error::new(ErrorKind::Malformed)
                .context("there is no command to answer, and this wire carries nothing else"));
        };
        self.hub.answer(ticket, answer.as_bytes());
        Ok(())
    }

    /// The connection's own task writes; there is nothing to wait for.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.close();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.close();
    }
}
