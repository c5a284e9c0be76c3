//! Frames that arrived together, handed on together.

use super::length_prefixed::{HEADER, LengthPrefixed};
use crate::error::Error;
use crate::message::Message;
use bytes::{Buf, Bytes, BytesMut};
use tokio_util::codec::Decoder;

/// [`LengthPrefixed`], read in batches: what arrived together is one item, at a fraction of the cost
/// of one for each frame. For who passes on many small ones, and asks little of each.
///
/// Frames, limits and errors are those of [`LengthPrefixed`]. It is a
/// [`Decoder`] for [`FramedRead`](tokio_util::codec::FramedRead), which should have a large buffer.
///
/// ```
/// use futures::StreamExt;
/// use mcp_transport_core::codec::Batches;
/// use tokio_util::codec::FramedRead;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let wire = b"\0\0\0\0\0\0\0\x02hi\0\0\0\0\0\0\0\x05there";
/// let mut batches = FramedRead::with_capacity(&wire[..], Batches::default(), 64 * 1024);
/// let batch = batches.next().await.unwrap().unwrap();
/// assert_eq!(batch.iter().collect::<Vec<_>>(), [&b"hi"[..], b"there"]);
/// # });
/// ```
#[derive(Debug, Default)]
pub struct Batches {
    frames: LengthPrefixed,
}

impl Batches {
    /// With a limit of this many bytes of payload in each frame.
    pub const fn with_limit(limit: usize) -> Self {
        Self {
            frames: LengthPrefixed::with_limit(limit),
        }
    }
}

impl Decoder for Batches {
    type Item = Batch;
    type Error = Error;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Batch>, Error> {
        let (end, stopped) = self.frames.whole(src);
        // What is wrong comes after what is whole: it is found again next time.
        if end > 0 {
            let bytes = src.split_to(end).freeze();
            return Ok(Some(Batch { bytes }));
        }
        stopped?;
        self.frames.make_room(src);
        Ok(None)
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Batch>, Error> {
        match self.decode(src)? {
            None if !src.is_empty() => Err(LengthPrefixed::torn()),
            batch => Ok(batch),
        }
    }
}

/// Whole frames that arrived together: one at least, unless they are heartbeats. Cloning counts a
/// reference.
#[derive(Clone, Debug)]
pub struct Batch {
    /// With their headers, all checked.
    bytes: Bytes,
}

impl Batch {
    /// The payloads.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.bytes[..];
        let frames = std::iter::from_fn(move || {
            let (header, after) = rest.split_first_chunk::<HEADER>()?;
            // Checked when it was read: it is all there.
            let (payload, after) = after.split_at(u64::from_be_bytes(*header) as usize);
            rest = after;
            Some(payload)
        });
        frames.filter(|payload| !payload.is_empty())
    }

    /// The messages; each keeps the whole batch in memory.
    pub fn messages(&self) -> impl Iterator<Item = Message> {
        let mut rest = self.bytes.clone();
        let frames = std::iter::from_fn(move || {
            let size = rest.try_get_u64().ok()?;
            Some(rest.split_to(size as usize))
        });
        let whole = frames.filter(|payload| !payload.is_empty());
        whole.map(Message::from)
    }
}
