//! Frames that arrived together, handed on together.

use super::length_prefixed::{HEADER, LengthPrefixed};
use super::{MIDDLING, ROOMY, move_on, pass};
use crate::error::Error;
use crate::message::Message;
use bytes::{Bytes, BytesMut};
use std::fmt;
use std::ops::Range;
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
    /// How many frames the last batch had: the next one is likely to have as many.
    last: usize,
}

impl Batches {
    /// With a limit of this many bytes of payload in each frame.
    pub const fn with_limit(limit: usize) -> Self {
        Self {
            frames: LengthPrefixed::with_limit(limit),
            last: 0,
        }
    }
}

impl Decoder for Batches {
    type Item = Batch;
    type Error = Error;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Batch>, Error> {
        let mut sizes = Vec::with_capacity(self.last.min(src.len() / HEADER));
        let (end, stopped) = self.frames.whole(src, &mut sizes);
        // What is wrong comes after what is whole: it is found again next time.
        if end > 0 {
            self.last = sizes.len();
            let is_roomy = src.capacity() > ROOMY;
            let bytes = if is_roomy && end <= MIDDLING {
                let bytes = Bytes::copy_from_slice(&src[..end]);
                pass(src, end);
                bytes
            } else {
                let bytes = src.split_to(end).freeze();
                if is_roomy {
                    move_on(src);
                }
                bytes
            };
            return Ok(Some(Batch { bytes, sizes }));
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

/// Whole frames that arrived together: one at least, unless they are heartbeats.
#[derive(Clone)]
pub struct Batch {
    /// With their headers, all checked.
    bytes: Bytes,
    /// Of the payloads, each of which is all there. They stand in the headers, too; but there one is
    /// only found once the one before has been read, which takes longer than all the rest.
    sizes: Vec<usize>,
}

impl Batch {
    /// The payloads.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.places().map(|place| &self.bytes[place])
    }

    /// The messages; each keeps in memory what the whole batch was read into.
    pub fn messages(&self) -> impl Iterator<Item = Message> {
        self.places()
            .map(|place| Message::from(self.bytes.slice(place)))
    }

    /// Where the payloads are, but for heartbeats.
    fn places(&self) -> impl Iterator<Item = Range<usize>> {
        let mut end = 0;
        let places = self.sizes.iter().map(move |size| {
            let start = end + HEADER;
            end = start + size;
            start..end
        });
        places.filter(|place| !place.is_empty())
    }
}

/// Never what is in them: logs are read by others.
impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("frames", &self.sizes.len())
            .field("bytes", &self.bytes.len())
            .finish()
    }
}
