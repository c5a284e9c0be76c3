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
    /// and there is nothing else to say: the quick way to most messages. Whoever asks takes those bytes
    /// off, so a codec may count the message as read. For everything else [`framed`] asks
    /// [`decode`](Decoder::decode), and for all messages where a codec has no quick way.
    ///
    /// ```
    /// use mcp_transport_core::codec::{Codec, Found, LengthPrefixed};
    ///
    /// let mut codec = LengthPrefixed::new();
    /// let buffer = b"\0\0\0\0\0\0\0\x02hi and more";
    /// assert_eq!(codec.find(buffer, 1_024), Some(Found::new(8..10, 10)));
    /// assert_eq!(codec.find(&buffer[..9], 1_024), None);
    /// ```
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

/// A buffer with this much room was made for a large message. Others that come behind it there, up to
/// [`MIDDLING`], are copied out as well, and when most of its room is used up the rest moves to a new
/// one: nobody who keeps such a message keeps the room of the large one with it.
const ROOMY: usize = 256 * 1024;
const MIDDLING: usize = 64 * 1024;

/// The room of a read: what is read should still be in the processor's first cache when it is taken
/// apart. More saves system calls, but no time.
const READ: usize = 24 * 1024;

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
    /// ```
    /// use mcp_transport_core::codec::Found;
    ///
    /// /// Texts that end with a zero.
    /// fn find(src: &[u8]) -> Option<Found> {
    ///     let end = src.iter().position(|&byte| byte == 0)?;
    ///     Some(Found::new(0..end, end + 1))
    /// }
    /// assert_eq!(find(b"hi\0there"), Some(Found::new(0..2, 3)));
    /// ```
    ///
    /// # Panics
    /// If it ends before it begins, or the next one begins within it.
    #[inline]
    pub fn new(place: Range<usize>, next: usize) -> Self {
        let is_in_order = place.start <= place.end && place.end <= next;
        assert!(
            is_in_order,
            "a message ends behind its start, and before the next one"
        );
        Self {
            start: place.start,
            end: place.end,
            next,
        }
    }

    /// Takes it off the start of that buffer.
    fn take(self, src: &mut BytesMut) -> Message {
        let size = self.end - self.start;
        let is_roomy = src.capacity() > ROOMY;
        if size <= SMALL || (is_roomy && size <= MIDDLING) {
            let bytes = Bytes::copy_from_slice(&src[self.place()]);
            pass(src, self.next);
            return Message::from(bytes);
        }
        src.advance(self.start);
        let bytes = src.split_to(size).freeze();
        src.advance(self.next - self.end);
        if is_roomy {
            move_on(src);
        }
        Message::from(bytes)
    }

    #[inline]
    fn place(&self) -> Range<usize> {
        self.start..self.end
    }
}

/// Drops so many bytes from the start of a buffer.
#[inline]
fn pass(src: &mut BytesMut, count: usize) {
    let is_roomy = src.capacity() > ROOMY;
    src.advance(count);
    if is_roomy {
        move_on(src);
    }
}

/// Leaves a large buffer that is nearly used up. At its very end only small messages have a place;
/// whatever is longer gets room of its own, or all of this one once the large message is gone.
#[cold]
fn move_on(src: &mut BytesMut) {
    if src.capacity() > SMALL && src.capacity() <= ROOMY {
        *src = renewed(src);
    }
}

/// The same bytes in a buffer of their own, with room for a read. A buffer without any would be
/// filled a few bytes at a time by whoever only makes room for one more.
fn renewed(bytes: &[u8]) -> BytesMut {
    let mut fresh = BytesMut::with_capacity(bytes.len().max(READ));
    fresh.extend_from_slice(bytes);
    fresh
}
