//! A TCP stream that can stop in front of a command.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How far a look into the buffer goes. The hub's `execute` says its name within this.
const LOOK: usize = 512;

/// A stream whose reader can be told to leave a command unread, in the socket's buffer.
#[derive(Debug)]
pub(super) struct Tap {
    tcp: TcpStream,
    stop: bool,
    stopped: bool,
}

impl Tap {
    pub(super) fn new(tcp: TcpStream) -> Self {
        Self {
            tcp,
            stop: false,
            stopped: false,
        }
    }

    pub(super) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// Whether to stop in front of a command.
    pub(super) fn stop_before_execute(&mut self, stop: bool) {
        self.stop = stop;
        self.stopped &= stop;
    }

    /// A command lies there, and the reader was told that there is nothing.
    pub(super) fn stopped(&self) -> bool {
        self.stopped
    }

    fn look(&self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut head = [0; LOOK];
        let mut head = ReadBuf::new(&mut head);
        ready!(self.tcp.poll_peek(cx, &mut head))?;
        Poll::Ready(Ok(is_command(head.filled())))
    }
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.stop {
            self.stopped = ready!(self.look(cx))?;
            if self.stopped {
                // Nobody needs waking: whoever polls looks at `stopped` next.
                return Poll::Pending;
            }
        }
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Tap {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

/// Whether the bytes hold a command other than the probe `ping`. A server does not mask its frames,
/// so they can be looked into as they are; a frame of which too little has come is left in doubt,
/// and read.
fn is_command(bytes: &[u8]) -> bool {
    let holds = |wanted: &[u8]| bytes.windows(wanted.len()).any(|window| window == wanted);
    let probe = holds(br#""name":"ping""#) || holds(br#""name": "ping""#);
    holds(br#""execute""#) && holds(br#""name""#) && !probe
}
