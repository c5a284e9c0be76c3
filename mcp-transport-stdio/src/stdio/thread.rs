//! Reading what can only be read by waiting: terminals, files, and pipes where nothing better is to be had.

use bytes::{Buf, Bytes};
use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::mpsc;

/// A thread of our own that reads ahead, by two pieces of 64 KiB at most.
///
/// Not one of the runtime's: those are waited for when the runtime ends, and this one may read until somebody types.
pub(super) struct ThreadReader {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    rest: Bytes,
}

const PIECE: usize = 64 * 1024;

impl ThreadReader {
    pub(super) fn spawn(mut from: impl Read + Send + 'static) -> io::Result<Self> {
        let (to_reader, pieces) = mpsc::channel(1);
        let thread = std::thread::Builder::new().name("mcp-stdin".to_owned());
        thread.spawn(move || {
            let mut buffer = vec![0; PIECE];
            loop {
                let piece = match from.read(&mut buffer) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Ok(0) => return,
                    Ok(count) => Ok(Bytes::copy_from_slice(&buffer[..count])),
                    Err(error) => Err(error),
                };
                let is_last = piece.is_err();
                if to_reader.blocking_send(piece).is_err() || is_last {
                    return;
                }
            }
        })?;
        Ok(Self {
            pieces,
            rest: Bytes::new(),
        })
    }
}

impl AsyncRead for ThreadReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.rest.is_empty() {
            match ready!(self.pieces.poll_recv(cx)) {
                Some(piece) => self.rest = piece?,
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = self.rest.len().min(buf.remaining());
        buf.put_slice(&self.rest[..count]);
        self.rest.advance(count);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn what_is_read_by_a_thread_arrives_whole_and_in_order() {
        let data: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut reader = ThreadReader::spawn(io::Cursor::new(data.clone())).unwrap();
        let mut got = Vec::new();
        reader.read_to_end(&mut got).await.unwrap();
        assert!(got == data);
    }

    #[tokio::test]
    async fn an_error_of_the_thread_arrives_after_what_was_read_before() {
        struct Breaks(bool);
        impl Read for Breaks {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                if std::mem::replace(&mut self.0, true) {
                    return Err(io::Error::other("broken"));
                }
                buf[..2].copy_from_slice(b"ok");
                Ok(2)
            }
        }
        let mut reader = ThreadReader::spawn(Breaks(false)).unwrap();
        let mut got = Vec::new();
        let error = reader.read_to_end(&mut got).await.unwrap_err();
        assert_eq!(
            (got, error.to_string()),
            (b"ok".to_vec(), "broken".to_owned())
        );
    }
}
