//! A codec on a stream of bytes: a transport.

use super::{Codec, LengthPrefixed, Lines, Outgoing, READ, SMALL, pass};
use crate::error::{Error, ErrorKind};
use crate::message::Message;
use bytes::{Buf, Bytes, BytesMut};
use futures::{Sink, Stream, ready};
use pin_project_lite::pin_project;
use std::fmt;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::{poll_read_buf, poll_write_buf};

pin_project! {
    /// A transport over a stream of bytes; made by [`framed`].
    ///
    /// Both halves are cancel safe: a torn message stays in the buffer until its rest arrives. While
    /// nothing is under way it has no buffer to read into. A message of more than 1 KiB keeps the piece
    /// of memory that it was read with, which is 24 KiB as a rule: one of up to 64 KiB never more than
    /// 512 KiB, a longer one whatever was needed for it, or for the longest one shortly before it.
    #[project = Projected]
    pub struct Framed<IO, C> {
        #[pin]
        io: IO,
        codec: C,
        read: BytesMut,
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

    #[inline]
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        loop {
            if *this.reading == Reading::Buffer {
                if let Some(bytes) = small(this.codec, this.read) {
                    return Poll::Ready(Some(Ok(Message::from(Bytes::from(bytes)))));
                }
            }
            if let ControlFlow::Break(next) = ready!(this.poll_rest(cx)) {
                return Poll::Ready(next);
            }
        }
    }
}

/// What is next nearly always: a small message that is in the buffer.
///
/// It comes back in two registers, so that whoever asked makes a message of it in its own place. To
/// write one here, word by word, and to move it at once, 16 bytes at a time, would have the processor
/// wait for longer than all the rest takes.
#[inline(never)]
fn small(codec: &mut impl Codec, read: &mut BytesMut) -> Option<Box<[u8]>> {
    let found = codec.find(read, SMALL)?;
    let bytes = Box::from(&read[found.place()]);
    pass(read, found.next);
    Some(bytes)
}

impl<IO: AsyncRead, C: Codec> Projected<'_, IO, C> {
    /// Reads until there may be something to be found in the buffer, or what is next is known.
    #[inline(never)]
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<ControlFlow<Next>> {
        let next = match self.reading {
            Reading::Buffer => self.codec.decode(self.read),
            Reading::More => Ok(None),
            Reading::Ended => self.codec.decode_eof(self.read),
            Reading::Over => return Poll::Ready(ControlFlow::Break(None)),
        };
        match next {
            Ok(Some(message)) => return Poll::Ready(ControlFlow::Break(Some(Ok(message)))),
            Ok(None) if *self.reading == Reading::Ended => return self.over(None),
            Ok(None) => *self.reading = Reading::More,
            Err(error) => return self.over(Some(error)),
        }
        make_room(self.read);
        match poll_read_buf(self.io.as_mut(), cx, self.read) {
            Poll::Ready(Ok(0)) => *self.reading = Reading::Ended,
            Poll::Ready(Ok(_)) => *self.reading = Reading::Buffer,
            Poll::Ready(Err(error)) => return self.over(Some(error.into())),
            Poll::Pending => {
                // Who waits keeps no room: most connections wait most of the time.
                if self.read.is_empty() {
                    *self.read = BytesMut::new();
                }
                return Poll::Pending;
            }
        }
        Poll::Ready(ControlFlow::Continue(()))
    }

    fn over(&mut self, error: Option<Error>) -> Poll<ControlFlow<Next>> {
        *self.reading = Reading::Over;
        Poll::Ready(ControlFlow::Break(error.map(Err)))
    }
}

/// What a stream of messages says next.
type Next = Option<Result<Message, Error>>;

/// Room to read into, so much with what is there. The start of a large message is never moved for
/// it: its codec has made room for the rest, or for a good part of it.
fn make_room(read: &mut BytesMut) {
    let spare = read.capacity() - read.len();
    if spare == 0 || (spare < READ / 2 && read.len() < READ) {
        read.reserve(READ);
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
