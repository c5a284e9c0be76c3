//! As much of HTTP/1.1 as a client needs that must not be the bottleneck: one request at a time on a connection that stays.

use memchr::memmem;
use std::borrow::Cow;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection that stays open between requests.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// What was answered, as it came.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Answer<'a> {
    /// The status.
    pub status: u16,
    /// Status line and headers.
    pub head: &'a [u8],
    body: &'a [u8],
    chunked: bool,
}

impl Connection {
    /// To a port of this machine.
    ///
    /// # Errors
    /// If nobody listens there.
    pub async fn open(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let buffer = Vec::with_capacity(16 * 1024);
        Ok(Self { stream, buffer })
    }

    /// Sends a request, head and body, and waits for the whole answer.
    ///
    /// # Errors
    /// If the connection ends, or what comes is no answer.
    ///
    /// # Cancel safety
    /// None: a dropped call leaves a connection that is of no more use.
    pub async fn exchange(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let mut reading = Reading::Head;
        while !reading.is_over(&self.buffer)? {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let Reading::Body { start, chunked, .. } = reading else {
            return Err(malformed("no head"));
        };
        let (head, body) = self.buffer.split_at(start);
        Ok(Answer {
            status: status(head)?,
            head,
            body,
            chunked,
        })
    }

    /// Sends a request whose answer never ends, and reads that away until somebody ends it.
    ///
    /// # Errors
    /// If the connection breaks.
    pub async fn drain(mut self, request: &[u8]) -> io::Result<()> {
        self.stream.write_all(request).await?;
        while self.stream.read_buf(&mut self.buffer).await? > 0 {
            self.buffer.clear();
        }
        Ok(())
    }
}

impl Answer<'_> {
    /// Whether these bytes are in the body. One that is cut in two by a chunk's end is not found.
    pub fn contains(&self, wanted: &str) -> bool {
        memmem::find(self.body, wanted.as_bytes()).is_some()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<String> {
        let text = String::from_utf8_lossy(self.head);
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find(|(found, _)| found.eq_ignore_ascii_case(name))?;
        Some(found.1.trim().to_owned())
    }

    /// The body, its chunks put together.
    pub fn text(&self) -> Cow<'_, str> {
        if !self.chunked {
            return String::from_utf8_lossy(self.body);
        }
        let (mut rest, mut whole) = (self.body, Vec::new());
        while let Ok(Some((head, size))) = chunk(rest) {
            let end = head + size;
            if size == 0 || rest.len() < end + 2 {
                break;
            }
            whole.extend_from_slice(&rest[head..end]);
            rest = &rest[end + 2..];
        }
        Cow::Owned(String::from_utf8_lossy(&whole).into_owned())
    }
}

/// How far an answer has come. Pure: it is asked again whenever there are more bytes.
enum Reading {
    Head,
    Body {
        start: usize,
        chunked: bool,
        /// Where the body ends; with chunks, where the next one begins.
        next: usize,
    },
}

impl Reading {
    fn is_over(&mut self, bytes: &[u8]) -> io::Result<bool> {
        if matches!(self, Self::Head) {
            let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
                return Ok(false);
            };
            let start = end + 4;
            let head = bytes[..start].to_ascii_lowercase();
            let chunked = memmem::find(&head, b"transfer-encoding: chunked").is_some();
            let next = start + if chunked { 0 } else { length(&head)? };
            *self = Self::Body {
                start,
                chunked,
                next,
            };
        }
        let Self::Body { chunked, next, .. } = self else {
            return Ok(false);
        };
        if !*chunked {
            return Ok(bytes.len() >= *next);
        }
        loop {
            let Some((head, size)) = chunk(bytes.get(*next..).unwrap_or_default())? else {
                return Ok(false);
            };
            let end = *next + head + size + 2;
            if size == 0 {
                return Ok(bytes.len() >= end);
            }
            *next = end;
        }
    }
}

/// The length of a chunk's own head, and how many bytes it announces.
fn chunk(bytes: &[u8]) -> io::Result<Option<(usize, usize)>> {
    let Some(end) = memmem::find(bytes, b"\r\n") else {
        return Ok(None);
    };
    let size = std::str::from_utf8(&bytes[..end]).ok();
    let size = size.and_then(|size| usize::from_str_radix(size.trim(), 16).ok());
    let size = size.ok_or_else(|| malformed("a chunk without a size"))?;
    Ok(Some((end + 2, size)))
}

/// What a head in lower case says of its body. A status that has none needs no such header.
fn length(head: &[u8]) -> io::Result<usize> {
    const NAME: &[u8] = b"content-length:";
    let Some(at) = memmem::find(head, NAME) else {
        return match status(head)? {
            202 | 204 => Ok(0),
            _ => Err(malformed("an answer without a length")),
        };
    };
    let value = &head[at + NAME.len()..];
    let end = memchr::memchr(b'\r', value).unwrap_or(value.len());
    let value = std::str::from_utf8(&value[..end]).ok();
    let value = value.and_then(|value| value.trim().parse().ok());
    value.ok_or_else(|| malformed("a length that is no number"))
}

fn status(head: &[u8]) -> io::Result<u16> {
    let status = head
        .get(9..12)
        .and_then(|status| std::str::from_utf8(status).ok());
    let status = status.and_then(|status| status.parse().ok());
    status.ok_or_else(|| malformed("an answer without a status"))
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However the bytes are torn, an answer is over with its last one and not before.
    #[test]
    fn an_answer_is_over_with_its_last_byte() {
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 202 Accepted\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\nA\r\n0123456789\r\n0\r\n\r\n",
        ] {
            let mut reading = Reading::Head;
            for end in 0..answer.len() {
                let part = &answer.as_bytes()[..end];
                assert!(!reading.is_over(part).unwrap(), "{:?}", &answer[..end]);
            }
            assert!(reading.is_over(answer.as_bytes()).unwrap(), "{answer:?}");
        }
    }

    #[test]
    fn chunks_are_put_together() {
        let answer = Answer {
            status: 200,
            head: b"HTTP/1.1 200 OK\r\nMcp-Session-Id: one\r\n\r\n",
            body: b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
            chunked: true,
        };
        assert_eq!(answer.text(), "hello");
        assert_eq!(answer.header("mcp-session-id").as_deref(), Some("one"));
    }
}
