//! A stream of bytes that arrives in pieces, and a decoder that reads it.

use bytes::BytesMut;
use mcp_transport_core::{Error, Message};
use tokio_util::codec::Decoder;

/// An input as the codecs' targets read it: one byte for the limit, one whose lowest three bits say how many sizes of
/// pieces follow, these sizes, and the stream.
pub(super) struct Torn<'a> {
    pub(super) limit: usize,
    /// In turn, again and again; the whole stream at once, if there is none.
    sizes: &'a [u8],
    pub(super) wire: &'a [u8],
}

/// What a decoder made of a stream.
pub(super) struct Decoded {
    pub(super) messages: Vec<Message>,
    /// How it ended, unless well.
    pub(super) error: Option<Error>,
}

impl<'a> Torn<'a> {
    pub(super) fn new(input: &'a [u8]) -> Option<Self> {
        let [limit, count, rest @ ..] = input else {
            return None;
        };
        let (sizes, wire) = rest.split_at_checked(usize::from(count % 8))?;
        Some(Self {
            limit: size(*limit),
            sizes,
            wire,
        })
    }

    /// Feeds the stream in its pieces to a decoder that may hold back `most` bytes.
    pub(super) fn decode<C>(&self, decoder: C, most: usize) -> Decoded
    where
        C: Decoder<Item = Message, Error = Error>,
    {
        let sizes = self.sizes.iter().copied().map(size).cycle();
        decode(decoder, self.wire, sizes, most)
    }
}

/// Feeds a whole stream to a decoder, in one piece.
pub(super) fn decode_whole<C>(decoder: C, wire: &[u8]) -> Decoded
where
    C: Decoder<Item = Message, Error = Error>,
{
    decode(decoder, wire, std::iter::empty(), wire.len())
}

fn decode<C>(
    mut decoder: C,
    mut wire: &[u8],
    mut sizes: impl Iterator<Item = usize>,
    most: usize,
) -> Decoded
where
    C: Decoder<Item = Message, Error = Error>,
{
    let mut messages = Vec::new();
    let mut buffer = BytesMut::new();
    let mut largest = 0;
    while !wire.is_empty() {
        let size = sizes.next().unwrap_or(usize::MAX).min(wire.len());
        largest = largest.max(size);
        buffer.extend_from_slice(&wire[..size]);
        wire = &wire[size..];
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => {
                    let again = decoder.decode(&mut buffer).expect_err("an error stays");
                    assert_eq!(again.kind(), error.kind());
                    return Decoded {
                        messages,
                        error: Some(error),
                    };
                }
            }
        }
        assert!(
            buffer.len() <= most,
            "{} bytes are held back, {most} may be",
            buffer.len()
        );
        // A buffer doubles when it grows, and has never less than a few bytes.
        let room = 2 * (most + largest) + 64;
        assert!(
            buffer.capacity() <= room,
            "room for {} bytes, {room} would do",
            buffer.capacity()
        );
    }
    loop {
        match decoder.decode_eof(&mut buffer) {
            Ok(Some(message)) => messages.push(message),
            Ok(None) => break,
            Err(error) => {
                return Decoded {
                    messages,
                    error: Some(error),
                };
            }
        }
    }
    assert!(buffer.is_empty(), "the end leaves nothing");
    let again = decoder.decode_eof(&mut buffer);
    assert!(matches!(again, Ok(None)), "the end is the end");
    Decoded {
        messages,
        error: None,
    }
}

/// Small sizes exactly, large ones in steps: 1 to 192, then 1 KiB to 64 KiB.
fn size(byte: u8) -> usize {
    match byte {
        0..192 => usize::from(byte) + 1,
        192.. => (usize::from(byte) - 191) * 1024,
    }
}
