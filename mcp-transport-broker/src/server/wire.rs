//! A socket that notices what hyper does with it.

use super::conn::Conn;
use bytes::Bytes;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::net::TcpStream;

/// A connection's socket.
#[derive(Debug)]
pub(super) struct Wire {
    io: TokioIo<TcpStream>,
    conn: Arc<Conn>,
    /// What was read before.
    early: Bytes,
    /// The socket took nothing more when it was written to last.
    blocked: bool,
}

impl Wire {
    /// `early`: what was read from it already.
    pub(super) fn new(stream: TcpStream, conn: Arc<Conn>, early: Bytes) -> Self {
        Self {
            io: TokioIo::new(stream),
            conn,
            early,
            blocked: false,
        }
    }

    pub(super) fn into_stream(self) -> TcpStream {
        self.io.into_inner()
    }

    fn wrote(&mut self, blocked: bool) {
        if blocked != self.blocked {
            self.blocked = blocked;
            self.conn.blocked(blocked);
        }
    }

    fn io(self: Pin<&mut Self>) -> Pin<&mut TokioIo<TcpStream>> {
        Pin::new(&mut self.get_mut().io)
    }
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.early.is_empty() {
            let room = buf.remaining().min(self.early.len());
            buf.put_slice(&self.early.split_to(room));
            return Poll::Ready(Ok(()));
        }
        let read = self.as_mut().io().poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = read {
            self.conn.read();
        }
        read
    }
}

impl Write for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.as_mut().io().poll_write(cx, buf);
        self.wrote(written.is_pending());
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.as_mut().io().poll_flush(cx);
        if let Poll::Ready(Ok(())) = flushed {
            // hyper flushes when its own buffer is empty.
            self.conn.flushed();
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io().poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.as_mut().io().poll_write_vectored(cx, bufs);
        self.wrote(written.is_pending());
        written
    }
}
