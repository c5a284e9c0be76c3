//! Newline-delimited JSON, as MCP's stdio transport has it.

use super::{Codec, MAX_MESSAGE, Outgoing, take};
use crate::error::{Error, ErrorKind};
use crate::message::Message;
use crate::message::scan::{Found, IdScanner};
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
    skipping: Option<Box<Skip>>,
    started: bool,
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
            skipping: None,
            started: false,
        }
    }

    #[inline]
    fn line(&mut self, mut line: Bytes) -> Option<Message> {
        if let Some(mut skip) = self.skipping.take() {
            skip.push(&line);
            return Some(skip.finish(self.limit));
        }
        if !std::mem::replace(&mut self.started, true) && line.starts_with(BYTE_ORDER_MARK) {
            line.advance(BYTE_ORDER_MARK.len());
        }
        let end = line.len() - usize::from(line.last() == Some(&b'\r'));
        if end > self.limit {
            let mut skip = Skip::default();
            skip.push(&line);
            return Some(skip.finish(self.limit));
        }
        line.truncate(end);
        let is_blank = line.iter().all(u8::is_ascii_whitespace);
        (!is_blank).then(|| Message::from(line))
    }

    /// Lets the start of a line that is already too long pass by.
    fn skip(&mut self, src: &mut BytesMut) {
        if !std::mem::replace(&mut self.started, true) && src.starts_with(BYTE_ORDER_MARK) {
            src.advance(BYTE_ORDER_MARK.len());
        }
        self.skipping.get_or_insert_default().push(src);
        src.clear();
        self.searched = 0;
    }

    /// The longest start of a line that may still fit: its end may be a `\r`, and its start a
    /// byte-order mark.
    const fn longest(&self) -> usize {
        let extra = if self.started {
            1
        } else {
            1 + BYTE_ORDER_MARK.len()
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
            Found::Request(id) => Message::too_large(Some(id), size, limit),
            Found::Answer(id) => Message::answer_too_large(id, size, limit),
            Found::Nothing => Message::too_large(None, size, limit),
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

    #[inline]
    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Message>, Error> {
        while let Some(end) = memchr::memchr(b'\n', &src[self.searched..]) {
            let line = take(src, self.searched + end);
            src.advance(1);
            self.searched = 0;
            if let Some(message) = self.line(line) {
                return Ok(Some(message));
            }
        }
        self.searched = src.len();
        if self.skipping.is_some() || src.len() > self.longest() {
            self.skip(src);
        }
        Ok(None)
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Message>, Error> {
        if let Some(message) = self.decode(src)? {
            return Ok(Some(message));
        }
        if src.is_empty() && self.skipping.is_none() {
            return Ok(None);
        }
        self.searched = 0;
        let rest = src.split().freeze();
        Ok(self.line(rest))
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
