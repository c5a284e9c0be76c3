//! A codec on a stream of bytes: a transport.

use super::{Codec, LengthPrefixed, Lines, Outgoing};
use crate::error::{Error, ErrorKind};
use crate::message::Message;
use bytes::{Buf, BytesMut};
use futures::{Sink, Stream, ready};
use pin_project_lite::pin_project;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::{poll_read_buf, poll_write_buf};

pin_project! {
    /// A transport over a stream of bytes; made by [`framed`].
    ///
    /// Both halves are cancel safe: a torn message stays in the buffer until its rest arrives. While
    /// nothing is under way it has no buffer to read into; a message of more than 1 KiB keeps the
    /// piece in memory that it was read with, up to 64 KiB or its own size.
    #[project = Projected]
    pub struct Framed<IO, C> {
        #[pin]
        io: IO,
        codec: C,
        read: BytesMut,
        room: usize,
        reading: Reading,
        write: Outgoing,
    }
}

/// What the next look at the reading half should do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reading {
    /// There may be a whole message in the buffer.
    Buffer,
    /// There is none: more bytes are needed.
    More,
    /// The peer sends no more.
    Ended,
    /// It is over.
    Over,
}

/// The room of a read after a quiet time, and in a stream.
const FIRST_READ: usize = 8 * 1024;
const READ: usize = 64 * 1024;

/// Bytes that may wait in the write buffer before a sender has to wait: small frames travel
/// together, and the peer reads the ones while the next are being made.
const WRITE_BOUNDARY: usize = 32 * 1024;

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
    C: Codec,
{
    Framed {
        io,
        codec,
        read: BytesMut::new(),
        room: FIRST_READ,
        reading: Reading::More,
        write: Outgoing::default(),
    }
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
        self.io
    }

    /// The stream of bytes beneath, to look at.
    pub const fn get_ref(&self) -> &IO {
        &self.io
    }
}

impl<IO, C> fmt::Debug for Framed<IO, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Framed")
            .field("unread", &self.read.len())
            .field("unwritten", &self.write.remaining())
            .finish_non_exhaustive()
    }
}

impl<IO, C> Stream for Framed<IO, C>
where
    IO: AsyncRead,
    C: Codec,
{
    type Item = Result<Message, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        loop {
            let decoded = match this.reading {
                Reading::Buffer => this.codec.decode(this.read),
                Reading::More => Ok(None),
                Reading::Ended => this.codec.decode_eof(this.read),
                Reading::Over => return Poll::Ready(None),
            };
            match decoded {
                Ok(Some(message)) => return Poll::Ready(Some(Ok(message))),
                Ok(None) if *this.reading == Reading::Ended => {
                    *this.reading = Reading::Over;
                    return Poll::Ready(None);
                }
                Ok(None) => {}
                Err(error) => {
                    *this.reading = Reading::Over;
                    return Poll::Ready(Some(Err(error)));
                }
            }
            *this.reading = Reading::More;
            make_room(this.read, *this.room);
            let spare = this.read.capacity() - this.read.len();
            *this.reading = match poll_read_buf(this.io.as_mut(), cx, this.read) {
                Poll::Ready(Ok(0)) => Reading::Ended,
                Poll::Ready(Ok(count)) => {
                    // What was filled to the last byte has probably more to come.
                    *this.room = if count == spare { READ } else { *this.room };
                    Reading::Buffer
                }
                Poll::Ready(Err(error)) => {
                    *this.reading = Reading::Over;
                    return Poll::Ready(Some(Err(error.into())));
                }
                Poll::Pending => {
                    // Who waits keeps no room: most connections wait most of the time.
                    if this.read.is_empty() {
                        *this.read = BytesMut::new();
                        *this.room = FIRST_READ;
                    }
                    return Poll::Pending;
                }
            };
        }
    }
}

/// Room to read into, so much with what is there. The start of a large message is never moved for
/// it: its codec has made room for the rest, or for a good part of it.
fn make_room(read: &mut BytesMut, room: usize) {
    let spare = read.capacity() - read.len();
    if spare == 0 || (spare < FIRST_READ && read.len() < room) {
        read.reserve(room);
    }
}

impl<IO, C> Sink<Message> for Framed<IO, C>
where
    IO: AsyncWrite,
    C: Codec,
{
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.write.remaining() < WRITE_BOUNDARY {
            return Poll::Ready(Ok(()));
        }
        self.project().poll_write(cx)
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        let this = self.project();
        this.codec.put(&message, this.write)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut this = self.project();
        ready!(this.poll_write(cx))?;
        this.io.poll_flush(cx).map_err(Error::from)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut this = self.project();
        ready!(this.poll_write(cx))?;
        this.io.poll_shutdown(cx).map_err(Error::from)
    }
}

impl<IO: AsyncWrite, C> Projected<'_, IO, C> {
    /// Writes all that waits.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while self.write.has_remaining() {
            if ready!(poll_write_buf(self.io.as_mut(), cx, self.write))? == 0 {
                let error = Error::new(ErrorKind::Disconnected);
                return Poll::Ready(Err(error.context("the stream takes no more bytes")));
            }
        }
        Poll::Ready(Ok(()))
    }
}
