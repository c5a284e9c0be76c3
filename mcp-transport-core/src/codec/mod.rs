//! How messages become bytes on a stream of bytes.
//!
//! | codec | on the wire | who speaks it |
//! |---|---|---|
//! | [`Lines`] | one JSON text a line | MCP over standard input and output, and whatever a client sees |
//! | [`LengthPrefixed`] | 8 bytes of length, big-endian, then the payload | the Unity plugin's bridge |
//!
//! A codec is pure: bytes in, messages out, no I/O. [`framed`] puts one on a socket and makes a
//! transport of it.

mod batch;
mod framed;
mod length_prefixed;
mod lines;
mod outgoing;
mod tail;

pub use batch::{Batch, Batches};
pub use framed::{Framed, framed};
pub use length_prefixed::LengthPrefixed;
pub use lines::Lines;
pub use outgoing::Outgoing;

use crate::error::Error;
use crate::message::Message;
use bytes::{Buf, Bytes, BytesMut};
use std::ops::Range;
use tokio_util::codec::{Decoder, Encoder};

/// Bytes to messages, and messages to bytes.
///
/// Every codec of tokio-util for [`Message`] is one with `impl Codec for Mine {}`.
pub trait Codec: Decoder<Item = Message, Error = Error> + Encoder<Message, Error = Error> {
    /// Where the next message is, if these bytes begin with all of it, it is no longer than `longest`,
    /// and there is nothing else to say: the quick way to most messages, of which whoever asks takes
    /// the bytes off then. For everything else [`framed`] asks [`decode`](Decoder::decode), and for
    /// all messages where a codec has no quick way.
    fn find(&mut self, _src: &[u8], _longest: usize) -> Option<Found> {
        None
    }

    /// Writes a message behind those that wait. Unlike
    /// [`encode`](Encoder::encode), which is what it does unless a codec knows better, it need not
    /// copy a large one.
    ///
    /// # Errors
    /// This message cannot be written; the stream is as it was.
    fn put(&mut self, message: &Message, out: &mut Outgoing) -> Result<(), Error> {
        self.encode(message.clone(), out.tail())
    }
}

/// The longest message, in bytes, where nothing else is said: 64 MiB.
pub const MAX_MESSAGE: usize = 64 * 1024 * 1024;

/// Up to here a message is copied out of the buffer that it was read with: that costs less than to
/// count references to the buffer, which can then be filled again, and nobody who keeps a small
/// message keeps a large buffer with it.
const SMALL: usize = 1024;

/// A message that is all there, in a buffer that begins with it: see [`Codec::find`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Found {
    start: usize,
    end: usize,
    next: usize,
}

impl Found {
    /// At this place; the next message begins at `next`.
    ///
    /// # Panics
    /// If the next one would begin within this one.
    #[inline]
    pub fn new(place: Range<usize>, next: usize) -> Self {
        assert!(place.end <= next, "messages do not overlap");
        Self {
            start: place.start,
            end: place.end,
            next,
        }
    }

    /// Takes it off the start of that buffer.
    fn take(self, src: &mut BytesMut) -> Message {
        let size = self.end - self.start;
        src.advance(self.start);
        let bytes = if size > SMALL {
            src.split_to(size).freeze()
        } else {
            let bytes = Bytes::copy_from_slice(&src[..size]);
            src.advance(size);
            bytes
        };
        src.advance(self.next - self.end);
        Message::from(bytes)
    }

    #[inline]
    fn place(&self) -> Range<usize> {
        self.start..self.end
    }
}
