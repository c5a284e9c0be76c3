//! The end of what waits, where small messages are copied together.

use bytes::{Buf, Bytes, BytesMut};

/// A buffer whose room has been written to already, and the bytes of it that count.
///
/// `BytesMut` counts its bytes in memory after each piece that is added, and the next piece waits for
/// that: with a head and a short payload, for longer than it takes to copy them. Here a message is
/// counted once.
#[derive(Default)]
pub(super) struct Tail {
    room: BytesMut,
    start: usize,
    /// More than there is while others write behind what is there.
    end: usize,
}

/// The room at first, and by how much it grows at most.
const FIRST: usize = 4 * 1024;
const GROWTH: usize = 64 * 1024;

/// One that is larger is not kept when it is empty: a large message has blown it up.
const KEPT: usize = 4 * GROWTH;

impl Tail {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.room[self.start..self.end()]
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.end() - self.start
    }

    /// Adds copies of these.
    #[inline]
    pub(super) fn add(&mut self, head: &[u8], bytes: &[u8]) {
        let size = head.len() + bytes.len();
        let mut end = self.end();
        if self.room.len() - end < size {
            end = self.grow(size);
        }
        let (place, rest) = self.room[end..].split_at_mut(head.len());
        place.copy_from_slice(head);
        rest[..bytes.len()].copy_from_slice(bytes);
        self.end = end + size;
    }

    /// To write behind what is there by other means.
    pub(super) fn open(&mut self) -> &mut BytesMut {
        self.compact();
        self.room.truncate(self.end());
        self.room.advance(self.start);
        (self.start, self.end) = (0, usize::MAX);
        &mut self.room
    }

    /// Takes all of it.
    pub(super) fn take(&mut self) -> Bytes {
        let mut bytes = self.room.split_to(self.end()).freeze();
        bytes.advance(self.start);
        (self.start, self.end) = (0, 0);
        bytes
    }

    /// Drops so many from the start.
    pub(super) fn advance(&mut self, count: usize) {
        self.start += count;
        if self.start == self.end() {
            (self.start, self.end) = (0, 0);
            if self.room.capacity() > KEPT {
                self.room = BytesMut::new();
            }
        }
    }

    #[inline]
    fn end(&self) -> usize {
        self.end.min(self.room.len())
    }

    /// Makes room for so many more; says where they begin.
    #[cold]
    fn grow(&mut self, more: usize) -> usize {
        self.compact();
        let end = self.end();
        if self.room.len() - end < more {
            self.room.truncate(end);
            self.room
                .resize(end + more.max(end.clamp(FIRST, GROWTH)), 0);
        }
        end
    }

    /// Uses the room of what is gone, where that is as much as what there is: otherwise that would be
    /// moved again and again.
    fn compact(&mut self) {
        if self.start > 0 && self.start >= self.len() {
            let len = self.len();
            self.room.copy_within(self.start..self.start + len, 0);
            (self.start, self.end) = (0, len);
        }
    }
}
