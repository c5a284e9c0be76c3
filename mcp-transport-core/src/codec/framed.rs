//! A codec on a stream of bytes: a transport.

use super::{LengthPrefixed, Lines};
use crate::error::Error;
use crate::message::Message;
use futures::{Sink, Stream};
use pin_project_lite::pin_project;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::codec::{Decoder, Encoder};

pin_project! {
    /// A transport over a stream of bytes; made by [`framed`].
    ///
    /// Both halves are cancel safe: a torn message stays in the buffer until its rest arrives.
    pub struct Framed<IO, C> {
        #[pin]
        inner: tokio_util::codec::Framed<IO, C>,
    }
}

/// Bytes that may wait in the write buffer before a sender has to wait: small frames travel
/// together.
const WRITE_BOUNDARY: usize = 64 * 1024;

/// Makes a transport of a stream of bytes and a codec.
///
/// ```
/// use futures::{SinkExt, StreamExt};
/// use mcp_transport_core::{Message, codec};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (ours, theirs) = tokio::io::duplex(64);
/// let mut ours = codec::framed(ours, codec::Lines::new());
/// let mut theirs = codec::framed(theirs, codec::Lines::new());
/// ours.send(Message::from(r#"{"jsonrpc":"2.0","method":"hello"}"#)).await.unwrap();
/// assert_eq!(theirs.next().await.unwrap().unwrap().method(), Some("hello"));
/// # });
/// ```
pub fn framed<IO, C>(io: IO, codec: C) -> Framed<IO, C>
where
    IO: AsyncRead + AsyncWrite,
    C: Decoder<Item = Message, Error = Error> + Encoder<Message, Error = Error>,
{
    let mut inner = tokio_util::codec::Framed::new(io, codec);
    inner.set_backpressure_boundary(WRITE_BOUNDARY);
    Framed { inner }
}

impl Lines {
    /// Newline-delimited JSON on this stream of bytes, with the default limit.
    pub fn framed<IO: AsyncRead + AsyncWrite>(io: IO) -> Framed<IO, Self> {
        framed(io, Self::new())
    }
}

impl LengthPrefixed {
    /// Length-prefixed frames on this stream of bytes, with the default limit.
    pub fn framed<IO: AsyncRead + AsyncWrite>(io: IO) -> Framed<IO, Self> {
        framed(io, Self::new())
    }
}

impl<IO, C> Framed<IO, C> {
    /// The stream of bytes beneath; what was buffered is lost.
    pub fn into_inner(self) -> IO {
        self.inner.into_inner()
    }

    /// The stream of bytes beneath, to look at.
    pub fn get_ref(&self) -> &IO {
        self.inner.get_ref()
    }
}

impl<IO, C> fmt::Debug for Framed<IO, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Framed").finish_non_exhaustive()
    }
}

impl<IO, C> Stream for Framed<IO, C>
where
    IO: AsyncRead,
    C: Decoder<Item = Message, Error = Error>,
{
    type Item = Result<Message, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.project().inner.poll_next(cx)
    }
}

impl<IO, C> Sink<Message> for Framed<IO, C>
where
    IO: AsyncWrite,
    C: Encoder<Message, Error = Error>,
{
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.project().inner.poll_ready(cx)
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        self.project().inner.start_send(message)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.project().inner.poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.project().inner.poll_close(cx)
    }
}
