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

pub use batch::{Batch, Batches};
pub use framed::{Framed, framed};
pub use length_prefixed::LengthPrefixed;
pub use lines::Lines;
pub use outgoing::Outgoing;

use crate::error::Error;
use crate::message::Message;
use bytes::{Buf, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

/// Bytes to messages, and messages to bytes.
///
/// Every codec of tokio-util for [`Message`] is one with `impl Codec for Mine {}`.
pub trait Codec: Decoder<Item = Message, Error = Error> + Encoder<Message, Error = Error> {
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

/// Takes a message's bytes off the start of a buffer.
#[inline]
fn take(src: &mut BytesMut, size: usize) -> Bytes {
    if size > SMALL {
        return src.split_to(size).freeze();
    }
    let bytes = Bytes::copy_from_slice(&src[..size]);
    src.advance(size);
    bytes
}
