//! Newline-delimited JSON, as MCP's stdio transport has it.

use super::MAX_MESSAGE;
use crate::error::{Error, ErrorKind};
use crate::message::Message;
use crate::message::scan::IdScanner;
use bytes::{BufMut, Bytes, BytesMut};
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
/// | a last line without an end | a message |
///
/// What goes out loses its raw line breaks, which JSON allows only between tokens; they become spaces. A message over the
/// limit is refused with [`ErrorKind::TooLarge`], and the connection stays.
#[derive(Debug)]
pub struct Lines {
    limit: usize,
    /// How much of the buffer holds no line end.
    searched: usize,
    skipping: Option<Skip>,
    started: bool,
}

#[derive(Debug, Default)]
struct Skip {
    scanner: IdScanner,
    size: u64,
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

    fn line(&mut self, mut line: Bytes) -> Option<Message> {
        if !std::mem::replace(&mut self.started, true) && line.starts_with(BYTE_ORDER_MARK) {
            line = line.slice(BYTE_ORDER_MARK.len()..);
        }
        if let Some(mut skip) = self.skipping.take() {
            skip.scanner.push(&line);
            let size = skip.size + line.len() as u64;
            return Some(Message::too_large(
                skip.scanner.finish(),
                size,
                self.limit as u64,
            ));
        }
        if line.last() == Some(&b'\r') {
            line.truncate(line.len() - 1);
        }
        if line.len() > self.limit {
            self.skipping = Some(Skip::default());
            return self.line(line);
        }
        (!line.trim_ascii().is_empty()).then(|| Message::from(line))
    }

    /// Lets the start of a line that is already too long pass by.
    fn skip(&mut self, src: &mut BytesMut) {
        let skip = self.skipping.get_or_insert_default();
        skip.scanner.push(src);
        skip.size += src.len() as u64;
        src.clear();
        self.searched = 0;
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
            let mut line = src.split_to(self.searched + end + 1).freeze();
            line.truncate(line.len() - 1);
            self.searched = 0;
            if let Some(message) = self.line(line) {
                return Ok(Some(message));
            }
        }
        self.searched = src.len();
        // One byte over may be the `\r` of a line that just fits.
        if self.skipping.is_some() || src.len() > self.limit + 1 {
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
        let bytes = message.as_bytes();
        if bytes.len() > self.limit {
            return Err(Error::new(ErrorKind::TooLarge {
                limit: self.limit as u64,
                size: bytes.len() as u64,
            }));
        }
        dst.reserve(bytes.len() + 1);
        let start = dst.len();
        dst.put_slice(bytes);
        if memchr::memchr2(b'\n', b'\r', bytes).is_some() {
            for byte in &mut dst[start..] {
                if matches!(byte, b'\n' | b'\r') {
                    *byte = b' ';
                }
            }
        }
        dst.put_u8(b'\n');
        Ok(())
    }
}
