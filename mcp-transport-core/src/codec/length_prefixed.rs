//! Eight bytes of length, then the payload: the Unity plugin's bridge.

use super::{Codec, Found, MAX_MESSAGE, Outgoing, pass};
use crate::error::{Error, ErrorKind};
use crate::message::Message;
use bytes::{BufMut, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

/// An unsigned 64-bit big-endian length, then that many bytes, in both directions.
///
/// The payload need not be JSON. A frame over the limit cannot be told from a peer that lost its
/// place, so it ends the connection with [`ErrorKind::TooLarge`]; an outgoing one is refused, and
/// the connection stays. Frames of length zero are heartbeats in the Unity server's reading: they
/// are skipped, at most 16 in a row, and never sent.
///
/// Room is made for what arrives, not for what is announced: some 64 KiB at first, then at most 16
/// times the bytes that are there.
#[derive(Debug)]
pub struct LengthPrefixed {
    limit: usize,
    zeros: u8,
}

pub(super) const HEADER: usize = 8;
const MAX_ZEROS: u8 = 16;

/// The room of a frame of which only the header is there.
const FIRST_ROOM: usize = 64 * 1024;

/// By how much a full buffer grows.
const GROWTH: usize = 16;

impl LengthPrefixed {
    /// With a limit of [`MAX_MESSAGE`] a frame, as the plugin (10.1) has it in both directions.
    pub const fn new() -> Self {
        Self::with_limit(MAX_MESSAGE)
    }

    /// With a limit of this many bytes of payload.
    pub const fn with_limit(limit: usize) -> Self {
        Self { limit, zeros: 0 }
    }

    #[inline]
    fn checked(&self, size: u64) -> Result<usize, Error> {
        match usize::try_from(size) {
            Ok(size) if size <= self.limit => Ok(size),
            _ => Err(self.too_large(size)),
        }
    }

    #[cold]
    fn too_large(&self, size: u64) -> Error {
        let limit = self.limit as u64;
        Error::new(ErrorKind::TooLarge { limit, size })
    }

    /// One more frame without a payload.
    fn zero(&mut self) -> Result<(), Error> {
        if self.zeros == MAX_ZEROS {
            let error = Error::new(ErrorKind::Malformed);
            return Err(error.context("more than 16 frames of length zero in a row"));
        }
        self.zeros += 1;
        Ok(())
    }

    /// How many bytes at the start are whole frames, and whether more may come. The sizes of their
    /// payloads go to a list.
    pub(super) fn whole(
        &mut self,
        src: &BytesMut,
        sizes: &mut Vec<usize>,
    ) -> (usize, Result<(), Error>) {
        let mut end = 0;
        while let Some(header) = src[end..].first_chunk::<HEADER>() {
            let size = match self.checked(u64::from_be_bytes(*header)) {
                Ok(size) if src.len() - end - HEADER < size => break,
                Ok(size) => size,
                Err(error) => return (end, Err(error)),
            };
            if size > 0 {
                self.zeros = 0;
            } else if let Err(error) = self.zero() {
                return (end, Err(error));
            }
            sizes.push(size);
            end += HEADER + size;
        }
        (end, Ok(()))
    }

    /// Makes room for the frame that begins here, of which the rest is still to come.
    pub(super) fn make_room(&self, src: &mut BytesMut) {
        if let Some(header) = src.first_chunk::<HEADER>() {
            let whole = (u64::from_be_bytes(*header) as usize).saturating_add(HEADER);
            src.reserve(room(src.len(), whole).saturating_sub(src.len()));
        }
    }

    #[cold]
    pub(super) fn torn() -> Error {
        Error::new(ErrorKind::Disconnected).context("the stream ended inside a frame")
    }
}

impl Default for LengthPrefixed {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder for LengthPrefixed {
    type Item = Message;
    type Error = Error;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Message>, Error> {
        loop {
            if let Some(found) = self.find(src, usize::MAX) {
                return Ok(Some(found.take(src)));
            }
            let Some(header) = src.first_chunk::<HEADER>() else {
                return Ok(None);
            };
            if self.checked(u64::from_be_bytes(*header))? > 0 {
                self.make_room(src);
                return Ok(None);
            }
            self.zero()?;
            pass(src, HEADER);
        }
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Message>, Error> {
        match self.decode(src)? {
            None if !src.is_empty() => Err(Self::torn()),
            message => Ok(message),
        }
    }
}

impl Encoder<Message> for LengthPrefixed {
    type Error = Error;

    fn encode(&mut self, message: Message, dst: &mut BytesMut) -> Result<(), Error> {
        let bytes = message.as_bytes();
        if self.checked(bytes.len() as u64)? > 0 {
            dst.reserve(HEADER + bytes.len());
            dst.put_u64(bytes.len() as u64);
            dst.put_slice(bytes);
        }
        Ok(())
    }
}

impl Codec for LengthPrefixed {
    #[inline]
    fn find(&mut self, src: &[u8], longest: usize) -> Option<Found> {
        let (header, rest) = src.split_first_chunk::<HEADER>()?;
        let size = usize::try_from(u64::from_be_bytes(*header)).ok()?;
        if size == 0 || size > self.limit.min(longest) || size > rest.len() {
            return None;
        }
        self.zeros = 0;
        Some(Found::new(HEADER..HEADER + size, HEADER + size))
    }

    #[inline]
    fn put(&mut self, message: &Message, out: &mut Outgoing) -> Result<(), Error> {
        let bytes = message.as_bytes();
        let size = bytes.len() as u64;
        if bytes.len() > self.limit {
            return Err(self.too_large(size));
        }
        if size > 0 {
            out.put_headed(&size.to_be_bytes(), bytes);
        }
        Ok(())
    }
}

/// How much room a frame should have of which so many bytes are there: all of it, or a 16th, or a
/// 256th… So a full buffer has a larger one next, and what moves adds up to a 15th of the frame.
fn room(there: usize, whole: usize) -> usize {
    let limit = there.saturating_mul(GROWTH).max(FIRST_ROOM);
    let mut room = whole;
    while room > limit {
        room = room.div_ceil(GROWTH);
    }
    room
}
