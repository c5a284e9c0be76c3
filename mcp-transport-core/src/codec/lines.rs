//! Newline-delimited JSON, as MCP's stdio transport has it.

use super::{Codec, Found, MAX_MESSAGE, Outgoing, ROOMY, pass, renewed};
use crate::error::{Error, ErrorKind};
use crate::message::Message;
use crate::message::scan::{self, IdScanner};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

/// One JSON text a line.
///
/// | what arrives | what becomes of it |
/// |---|---|
/// | a line, ended by `\n` or `\r\n` | a message |
/// | an empty line, or one of white space | nothing |
/// | a byte-order mark before the first line | nothing |
/// | bytes that are no JSON | a message that is [`Opaque`](crate::Kind::Opaque): the edge answers it |
/// | a line over the limit | skipped; an opaque message says [`TooLarge`](crate::Defect::TooLarge), with the id if it has one |
/// | an answer over the limit | skipped; an opaque message says [`AnswerTooLarge`](crate::Defect::AnswerTooLarge), and to which call |
/// | a last line without an end | a message |
///
/// What goes out loses its raw line breaks, which JSON allows only between tokens; they become
/// spaces. A message over the limit is refused with [`ErrorKind::TooLarge`], and the connection
/// stays.
#[derive(Debug)]
pub struct Lines {
    limit: usize,
    /// How much of the buffer holds no line end.
    searched: usize,
    place: Place,
}

/// What the next byte belongs to.
#[derive(Debug)]
enum Place {
    /// The first line, or a byte-order mark before it.
    Start,
    Line,
    /// The rest of a line that is too long.
    Skipped(Box<Skip>),
}

/// A line that is too long, while it passes by.
#[derive(Debug, Default)]
struct Skip {
    scanner: IdScanner,
    size: u64,
    /// True if the last byte was a `\r`, which may belong to the line's end.
    carriage_return: bool,
}

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

impl Lines {
    /// With a limit of [`MAX_MESSAGE`] a line.
    pub const fn new() -> Self {
        Self::with_limit(MAX_MESSAGE)
    }

    /// With a limit of this many bytes a line, its end not counted.
    pub const fn with_limit(limit: usize) -> Self {
        Self {
            limit,
            searched: 0,
            place: Place::Start,
        }
    }

    /// The line that ends here, if it is a message of the usual kind.
    #[inline]
    fn usual(&self, line: &[u8], next: usize) -> Option<Found> {
        let size = without_return(line);
        let is_usual = size <= self.limit && matches!(self.place, Place::Line) && !is_blank(line);
        is_usual.then(|| Found::new(0..size, next))
    }

    /// Takes the line that ends here, unless it is blank; the next one begins at `next`.
    fn line(&mut self, src: &mut BytesMut, end: usize, next: usize) -> Option<Message> {
        let mark = self.mark(src);
        let (end, next) = (end - mark, next - mark);
        if let Some(found) = self.usual(&src[..end], next) {
            return Some(found.take(src));
        }
        let line = &src[..end];
        let mut skip = match std::mem::replace(&mut self.place, Place::Line) {
            Place::Skipped(skip) => skip,
            _ if without_return(line) > self.limit => Box::default(),
            _ => {
                pass(src, next);
                return None;
            }
        };
        skip.push(line);
        pass(src, next);
        Some(skip.finish(self.limit))
    }

    /// Takes the byte-order mark, if one may stand here and does; says its length.
    fn mark(&mut self, src: &mut BytesMut) -> usize {
        if !matches!(self.place, Place::Start) {
            return 0;
        }
        self.place = Place::Line;
        if !src.starts_with(BYTE_ORDER_MARK) {
            return 0;
        }
        src.advance(BYTE_ORDER_MARK.len());
        BYTE_ORDER_MARK.len()
    }

    /// Lets the start of a line that is already too long pass by.
    fn skip(&mut self, src: &mut BytesMut) {
        self.mark(src);
        let mut skip = match std::mem::replace(&mut self.place, Place::Line) {
            Place::Skipped(skip) => skip,
            Place::Start | Place::Line => Box::default(),
        };
        skip.push(src);
        self.place = Place::Skipped(skip);
        src.clear();
        if src.capacity() > ROOMY {
            // The line has blown it up.
            *src = renewed(&[]);
        }
        self.searched = 0;
    }

    /// The longest start of a line that may still fit: its end may be a `\r`, and its start a
    /// byte-order mark.
    const fn longest(&self) -> usize {
        let extra = match self.place {
            Place::Start => 1 + BYTE_ORDER_MARK.len(),
            Place::Line | Place::Skipped(_) => 1,
        };
        self.limit.saturating_add(extra)
    }
}

impl Skip {
    fn push(&mut self, bytes: &[u8]) {
        self.scanner.push(bytes);
        self.size += bytes.len() as u64;
        if let Some(last) = bytes.last() {
            self.carriage_return = *last == b'\r';
        }
    }

    fn finish(self, limit: usize) -> Message {
        let size = self.size - u64::from(self.carriage_return);
        let limit = limit as u64;
        match self.scanner.finish() {
            scan::Found::Request(id) => Message::too_large(Some(id), size, limit),
            scan::Found::Answer(id) => Message::answer_too_large(id, size, limit),
            scan::Found::Nothing => Message::too_large(None, size, limit),
        }
    }
}

impl Default for Lines {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder for Lines {
    type Item = Message;
    type Error = Error;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Message>, Error> {
        while let Some(end) = memchr::memchr(b'\n', &src[self.searched..]) {
            let end = std::mem::take(&mut self.searched) + end;
            if let Some(message) = self.line(src, end, end + 1) {
                return Ok(Some(message));
            }
        }
        self.searched = src.len();
        if src.len() > self.longest() || matches!(self.place, Place::Skipped(_)) {
            self.skip(src);
        }
        Ok(None)
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Message>, Error> {
        if let Some(message) = self.decode(src)? {
            return Ok(Some(message));
        }
        if src.is_empty() && !matches!(self.place, Place::Skipped(_)) {
            return Ok(None);
        }
        self.searched = 0;
        let end = src.len();
        Ok(self.line(src, end, end))
    }
}

impl Encoder<Message> for Lines {
    type Error = Error;

    fn encode(&mut self, message: Message, dst: &mut BytesMut) -> Result<(), Error> {
        let bytes = self.checked(&message)?;
        dst.reserve(bytes.len() + 1);
        let start = dst.len();
        dst.put_slice(bytes);
        if has_break(bytes) {
            without_breaks(&mut dst[start..]);
        }
        dst.put_u8(b'\n');
        Ok(())
    }
}

impl Codec for Lines {
    #[inline]
    fn find(&mut self, src: &[u8], longest: usize) -> Option<Found> {
        let Some(end) = memchr::memchr(b'\n', &src[self.searched..]) else {
            self.searched = src.len();
            return None;
        };
        let end = self.searched + end;
        let found = self.usual(&src[..end], end + 1);
        let found = found.filter(|found| found.place().len() <= longest);
        // What is not usual is found once more.
        self.searched = if found.is_some() { 0 } else { end };
        found
    }

    fn put(&mut self, message: &Message, out: &mut Outgoing) -> Result<(), Error> {
        let bytes = self.checked(message)?;
        if has_break(bytes) {
            return self.encode(message.clone(), out.tail());
        }
        out.put(bytes);
        out.copy(b"\n");
        Ok(())
    }
}

impl Lines {
    fn checked<'a>(&self, message: &'a Message) -> Result<&'a Bytes, Error> {
        let bytes = message.as_bytes();
        if bytes.len() > self.limit {
            return Err(Error::new(ErrorKind::TooLarge {
                limit: self.limit as u64,
                size: bytes.len() as u64,
            }));
        }
        Ok(bytes)
    }
}

/// The length of a line without the `\r` that belongs to its end.
fn without_return(line: &[u8]) -> usize {
    line.len() - usize::from(line.last() == Some(&b'\r'))
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

fn has_break(bytes: &[u8]) -> bool {
    memchr::memchr2(b'\n', b'\r', bytes).is_some()
}

fn without_breaks(bytes: &mut [u8]) {
    for byte in bytes {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}
