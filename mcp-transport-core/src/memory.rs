//! Two ends, back to back, in one process: the transport for tests, and for parts that live
//! together.

use crate::error::{Error, ErrorKind};
use crate::message::Message;
use futures::channel::mpsc;
use futures::{Sink, Stream, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Two connected ends. Each direction holds about `room` messages; a sender waits for room.
///
/// ```
/// use futures::{SinkExt, StreamExt};
/// use mcp_transport_core::{Message, memory};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (mut left, mut right) = memory::pair(1);
/// left.send(Message::from("{}")).await.unwrap();
/// assert_eq!(right.next().await.unwrap().unwrap().as_str(), Some("{}"));
/// drop(left);
/// assert!(right.next().await.is_none());
/// # });
/// ```
pub fn pair(room: usize) -> (End, End) {
    let (there, here) = mpsc::channel(room);
    let (back, away) = mpsc::channel(room);
    (
        End {
            tx: there,
            rx: away,
        },
        End { tx: back, rx: here },
    )
}

/// One end of a [`pair`]. Dropping or closing it ends the other end's stream, in order, after what
/// was sent.
#[derive(Debug)]
pub struct End {
    tx: mpsc::Sender<Result<Message, Error>>,
    rx: mpsc::Receiver<Result<Message, Error>>,
}

impl End {
    /// Breaks the connection as a network would: the other end's stream yields this error, then
    /// ends.
    ///
    /// What was sent before still arrives. Where there is no room left the error is lost, and the
    /// other end just sees the end.
    pub fn abort(mut self, error: Error) {
        let _ = self.tx.try_send(Err(error));
    }
}

impl Stream for End {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.rx).poll_next(cx)
    }
}

impl Sink<Message> for End {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(ready!(self.tx.poll_ready(cx)).map_err(|_| gone()))
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        self.tx.start_send(Ok(message)).map_err(|_| gone())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // What was sent lies with the other end already. The channel's own flush would wait for
        // room for the next.
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(ready!(Pin::new(&mut self.tx).poll_close(cx)).map_err(|_| gone()))
    }
}

fn gone() -> Error {
    Error::new(ErrorKind::Disconnected).context("the other end is gone")
}
