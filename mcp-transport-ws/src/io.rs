//! The stream of bytes beneath, whatever it is, with a note of whether anything was heard.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a connection may run over.
pub(crate) trait Bytes: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Bytes for T {}

/// Forgets which stream it is, so that both roles, sockets and pipes are one type.
///
/// The note is for the keep-alive: the engine only tells of whole frames, and a large one may take longer to arrive
/// than the patience with a silent peer.
pub(crate) struct Io {
    inner: Box<dyn Bytes>,
    /// What was read before, and comes first.
    unread: bytes::Bytes,
    heard: bool,
}

impl Io {
    pub(crate) fn new(inner: impl Bytes, unread: impl Into<bytes::Bytes>) -> Self {
        Self {
            inner: Box::new(inner),
            unread: unread.into(),
            heard: false,
        }
    }

    /// Whether bytes came since the last time.
    pub(crate) const fn take_heard(&mut self) -> bool {
        std::mem::replace(&mut self.heard, false)
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if !self.unread.is_empty() {
            let first = self.unread.len().min(buf.remaining());
            buf.put_slice(&self.unread.split_to(first));
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.heard |= buf.filled().len() > before;
        read
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl fmt::Debug for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Io").finish_non_exhaustive()
    }
}
