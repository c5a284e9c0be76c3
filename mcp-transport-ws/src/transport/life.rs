//! The life of a connection: its phases, and what moves it from one to the next.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: it bounds the goodbye by a timer"
)]

use super::WsTransport;
use crate::ending;
use crate::pulse::Beat;
use futures::{SinkExt as _, StreamExt as _};
use mcp_transport_core::{Error, ErrorKind, Message};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use tokio_tungstenite::tungstenite::error::Error as WsError;
use tokio_tungstenite::tungstenite::protocol::Message as Frame;

pub(super) enum Phase {
    Open,
    /// The end is known; the stream tells of it once the peer was told, or the grace is over.
    Ending {
        error: Error,
        grace: Pin<Box<Sleep>>,
        linger: Linger,
    },
    /// Our goodbye is on its way; the peer's ends it.
    Closing {
        grace: Pin<Box<Sleep>>,
        flushed: bool,
    },
    Ended(End),
}

/// Whether to hear the peer out after a goodbye that it did not ask for. If not, the close of a socket with unread bytes
/// in it resets the connection, and a peer in the middle of a large message never sees why.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Linger {
    No,
    Flush,
    Drain,
}

/// Who ended it, for the half that was not told.
pub(super) enum End {
    Ours { acknowledged: bool },
    Theirs(Error),
}

/// How often a peer that floods us is heard out before others get their turn.
const READS_PER_POLL: usize = 64;

/// A longer message makes the engine's buffer a large one.
const LARGE: usize = 64 * 1024;

impl WsTransport {
    /// Says goodbye, and waits for the peer's from here on.
    pub(super) fn begin_close(&mut self) {
        self.phase = Phase::Closing {
            grace: Box::pin(sleep(self.time_to_close)),
            flushed: false,
        };
        let frame = Frame::Close(Some(self.goodbye.clone()));
        if let Err(error) = self.socket.start_send_unpin(frame) {
            self.fail(error);
        }
    }

    /// Takes what the engine read; `Some` is for the caller.
    pub(super) fn take(&mut self, frame: Option<Result<Frame, WsError>>) -> Option<Message> {
        match frame {
            Some(Ok(Frame::Text(text))) => return Some(self.message(text.into())),
            Some(Ok(Frame::Binary(bytes))) => return Some(self.message(bytes)),
            // The engine has queued the pong, and flushes it with the next read.
            Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_))) => {}
            Some(Ok(Frame::Close(frame))) => {
                if let Phase::Closing { .. } = self.phase {
                    self.end(End::Ours { acknowledged: true });
                } else {
                    self.close_code = frame.as_ref().map(|frame| frame.code.into());
                    self.will_end(ending::of_close(frame), Linger::Flush);
                }
            }
            Some(Err(error)) => self.fail(error),
            None => self.fail(WsError::ConnectionClosed),
        }
        None
    }

    /// The engine's buffer keeps the room of the longest message, and each message is a piece of the buffer. Once that
    /// is large, whoever keeps a small message shall not keep all of it.
    fn message(&mut self, bytes: bytes::Bytes) -> Message {
        if bytes.len() > LARGE {
            self.is_roomy = true;
        } else if self.is_roomy {
            return Message::from(bytes::Bytes::copy_from_slice(&bytes));
        }
        Message::from(bytes)
    }

    pub(super) fn fail(&mut self, error: WsError) {
        if let Phase::Closing { .. } = self.phase {
            return self.end(End::Ours {
                acknowledged: false,
            });
        }
        let goodbye = ending::goodbye_for(&error);
        let error = ending::of_failure(error);
        match goodbye {
            Some(code) => self.say_why(code, error, Linger::Drain),
            None => self.will_end(error, Linger::No),
        }
    }

    /// Ends it from our side, and tells the peer if it still listens.
    fn say_why(&mut self, code: u16, error: Error, linger: Linger) {
        let frame = ending::close_frame(code, &error.to_string()).expect("a code of our own table");
        // If it cannot even be queued, the connection is gone, and so is whom to tell.
        let _ = self.socket.start_send_unpin(Frame::Close(Some(frame)));
        self.will_end(error, linger);
    }

    fn will_end(&mut self, error: Error, linger: Linger) {
        self.phase = Phase::Ending {
            error,
            grace: Box::pin(sleep(self.time_to_close)),
            linger,
        };
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }

    pub(super) fn end(&mut self, end: End) {
        self.phase = Phase::Ended(end);
        for half in [&mut self.reader, &mut self.writer] {
            if let Some(waker) = half.take() {
                waker.wake();
            }
        }
    }

    /// Pings for the reading half, without taking the engine's only place for a writer from a writer that waits.
    fn ping(&mut self, cx: &mut Context<'_>) {
        // A full buffer is the peer's doing, and ends as silence does.
        let _ = self
            .socket
            .start_send_unpin(Frame::Ping(bytes::Bytes::new()));
        let _ = match &self.writer {
            Some(writer) => self
                .socket
                .poll_flush_unpin(&mut Context::from_waker(writer)),
            None => self.socket.poll_flush_unpin(cx),
        };
    }

    /// Leaves the timer armed, or the end known.
    pub(super) fn poll_keep_alive(&mut self, cx: &mut Context<'_>) {
        let heard = self.socket.get_mut().take_heard();
        let Some(pulse) = &mut self.pulse else {
            return;
        };
        if heard {
            pulse.heard();
        }
        match pulse.poll(cx) {
            Poll::Pending => {}
            Poll::Ready(Beat::Ping) => {
                self.ping(cx);
                // Its timer has a new time, and must be asked again to wake us then.
                self.poll_keep_alive(cx);
            }
            Poll::Ready(Beat::Dead { silence }) => {
                let error = Error::new(ErrorKind::TimedOut)
                    .context(format!("nothing heard for {} s", silence.as_secs()));
                self.say_why(4002, error, Linger::Flush);
            }
        }
    }

    /// Tells the peer of an end that is known here, within the grace.
    pub(super) fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Phase::Ending { grace, linger, .. } = &mut self.phase else {
            return Poll::Ready(());
        };
        if *linger == Linger::No || grace.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let linger = *linger;
        if ready!(self.socket.poll_flush_unpin(cx)).is_err() || linger == Linger::Flush {
            return Poll::Ready(());
        }
        self.shut_down(cx);
        let mut scratch = [0; 4096];
        for _ in 0..READS_PER_POLL {
            let mut buf = ReadBuf::new(&mut scratch);
            let read = Pin::new(self.socket.get_mut()).poll_read(cx, &mut buf);
            if ready!(read).is_err() || buf.filled().is_empty() {
                return Poll::Ready(());
            }
        }
        // Lets others run, and the clock of the grace.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Waits for the peer's half of a goodbye of ours, within the grace.
    pub(super) fn poll_closing(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Phase::Closing { grace, flushed } = &mut self.phase {
            if grace.as_mut().poll(cx).is_ready() {
                self.end(End::Ours {
                    acknowledged: false,
                });
                break;
            }
            if !*flushed {
                match self.socket.poll_flush_unpin(cx) {
                    Poll::Ready(Ok(())) => *flushed = true,
                    Poll::Ready(Err(error)) => {
                        self.fail(error);
                        break;
                    }
                    // Read on: the peer may be as stuck with its own messages.
                    Poll::Pending => {}
                }
            }
            match self.socket.poll_next_unpin(cx) {
                Poll::Ready(frame) => drop(self.take(frame)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }

    /// Tells the peer that no more bytes come. Once, and best effort: dropping the transport tells it, too.
    pub(super) fn shut_down(&mut self, cx: &mut Context<'_>) {
        let _ = Pin::new(self.socket.get_mut()).poll_shutdown(cx);
    }
}

/// Wakes the two halves. During a goodbye both wait for the same bytes and the same timer, which keep one waker: that of
/// the half that polled last, and this one may be gone the next moment.
pub(super) fn both(reader: &Option<Waker>, writer: &Option<Waker>) -> Waker {
    let wakers = [reader, writer].map(Option::clone);
    Waker::from(Arc::new(Both(wakers)))
}

struct Both([Option<Waker>; 2]);

impl Wake for Both {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.iter().flatten().for_each(Waker::wake_by_ref);
    }
}
