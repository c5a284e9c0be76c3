//! Bytes on their way out.

use super::tail::Tail;
use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;
use std::fmt;
use std::io::IoSlice;

/// Bytes that wait to be written: small ones are copied together, so that they travel together; a
/// large one is passed on as it is.
///
/// ```
/// use bytes::{Buf, Bytes};
/// use mcp_transport_core::codec::Outgoing;
///
/// let mut out = Outgoing::default();
/// out.copy(b"head ");
/// out.put(&Bytes::from(vec![b'x'; 1_000_000])); // counts a reference
/// assert_eq!(out.remaining(), 1_000_005);
/// assert_eq!(out.chunk(), b"head ");
/// ```
#[derive(Default)]
pub struct Outgoing {
    /// What goes first, and the bytes of it.
    pieces: VecDeque<Bytes>,
    before: usize,
    /// What goes last, and may still grow.
    tail: Tail,
}

/// From here on a payload is not copied. Below, a copy costs less than a piece of its own in a
/// vectored write.
const LARGE: usize = 16 * 1024;

impl Outgoing {
    /// Adds a copy of these.
    #[inline]
    pub fn copy(&mut self, bytes: &[u8]) {
        self.tail.add(&[], bytes);
    }

    /// Adds these, without a copy if they are many.
    #[inline]
    pub fn put(&mut self, bytes: &Bytes) {
        self.put_headed(&[], bytes);
    }

    /// Adds a copy of the first, and the second as [`put`](Self::put) does: a head and what it is
    /// for.
    ///
    /// ```
    /// use bytes::{Buf, Bytes};
    /// use mcp_transport_core::codec::Outgoing;
    ///
    /// let mut out = Outgoing::default();
    /// out.put_headed(&2_u16.to_be_bytes(), &Bytes::from_static(b"hi"));
    /// assert_eq!(out.chunk(), b"\0\x02hi");
    /// ```
    #[inline]
    pub fn put_headed(&mut self, head: &[u8], bytes: &Bytes) {
        if bytes.len() < LARGE {
            self.tail.add(head, bytes);
        } else {
            self.put_large(head, bytes);
        }
    }

    #[inline(never)]
    fn put_large(&mut self, head: &[u8], bytes: &Bytes) {
        self.tail.add(head, &[]);
        if self.tail.len() > 0 {
            let tail = self.tail.take();
            self.push(tail);
        }
        self.push(bytes.clone());
    }

    /// What goes last: to write there by other means.
    pub fn tail(&mut self) -> &mut BytesMut {
        self.tail.open()
    }

    /// Drops so many bytes of what goes first; says how many more are to go.
    #[inline(never)]
    fn drop_pieces(&mut self, mut count: usize) -> usize {
        while let Some(piece) = self.pieces.front_mut() {
            if count < piece.len() {
                piece.advance(count);
                self.before -= count;
                return 0;
            }
            count -= piece.len();
            self.before -= piece.len();
            self.pieces.pop_front();
        }
        count
    }

    fn push(&mut self, piece: Bytes) {
        self.before += piece.len();
        self.pieces.push_back(piece);
    }
}

impl Buf for Outgoing {
    fn remaining(&self) -> usize {
        self.before + self.tail.len()
    }

    fn chunk(&self) -> &[u8] {
        match self.pieces.front() {
            Some(piece) => piece,
            None => self.tail.bytes(),
        }
    }

    fn advance(&mut self, count: usize) {
        assert!(count <= self.remaining(), "more than there is");
        let rest = if self.before == 0 {
            count
        } else {
            self.drop_pieces(count)
        };
        self.tail.advance(rest);
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pieces = self.pieces.iter().map(|piece| &piece[..]);
        let all = pieces.chain((self.tail.len() > 0).then_some(self.tail.bytes()));
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(all) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        count
    }
}

/// Never the bytes: logs are read by others.
impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}
