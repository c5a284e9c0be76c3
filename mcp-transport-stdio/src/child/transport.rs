//! One child's life, as a transport.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: it waits for the last output"
)]

use super::keeper::{Gone, Keeper};
use super::pipes::Pipes;
use super::stderr::Allowance;
use futures::{FutureExt, Sink, Stream};
use mcp_transport_core::codec::{Framed, Lines};
use mcp_transport_core::{Defect, Error, ErrorKind, Kind, Message};
use pin_project_lite::pin_project;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::time::{Sleep, sleep};

pin_project! {
    /// A child process, as a transport; made by a [`ChildConnector`](crate::ChildConnector).
    ///
    /// The end of the child is an `Err` of [`ErrorKind::Disconnected`] from either half, with its exit status and the last
    /// line of its standard error; the stream ends after it. Only after we have closed the sink ourselves does the stream
    /// end without one.
    ///
    /// A line that is no JSON is logged, at most 200 times a second, and skipped, since many programs print a greeting;
    /// what is JSON but no message is yielded, as everywhere.
    ///
    /// Closing ends the child, and is over when it is gone: after the connector's two time-outs and 1.2 s, at most.
    /// Dropping does the same in the background. Both halves are cancel safe.
    pub struct ChildTransport {
        #[pin]
        framed: Framed<Pipes, Lines>,
        keeper: Keeper,
        // One for each half: either may wait, in a task of its own.
        read_gone: Gone,
        write_gone: Gone,
        reading: Reading,
        writing: Writing,
        noise: Allowance,
        label: String,
        pid: u32,
    }
}

enum Reading {
    Open,
    /// The child is gone, and somebody else holds its output open: what has arrived is read, and no more.
    Draining(Pin<Box<Sleep>>),
    /// Nothing more comes; how it ended is waited for.
    Ended,
    /// All has been told.
    Over,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Writing {
    Open,
    /// The child does not read any more.
    Broken,
    /// We have closed it.
    Closed,
}

/// How long output of a child that is gone is read while somebody else holds the pipe open.
const DRAIN: Duration = Duration::from_millis(100);

/// What is shown of a line that is no message.
const EXCERPT: usize = 200;

impl ChildTransport {
    pub(super) fn new(
        framed: Framed<Pipes, Lines>,
        keeper: Keeper,
        label: String,
        pid: u32,
    ) -> Self {
        Self {
            framed,
            read_gone: keeper.gone(),
            write_gone: keeper.gone(),
            keeper,
            reading: Reading::Open,
            writing: Writing::Open,
            noise: Allowance::new(Instant::now()),
            label,
            pid,
        }
    }

    /// The child's process id.
    pub const fn id(&self) -> u32 {
        self.pid
    }
}

impl Stream for ChildTransport {
    type Item = Result<Message, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        loop {
            match this.reading {
                Reading::Over => return Poll::Ready(None),
                Reading::Ended => {
                    let exit = ready!(this.read_gone.poll_unpin(cx));
                    *this.reading = Reading::Over;
                    let asked_for = *this.writing == Writing::Closed;
                    return Poll::Ready((!asked_for).then(|| Err(ended(this.label, &exit))));
                }
                Reading::Open | Reading::Draining(_) => {}
            }
            match this.framed.as_mut().poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => match message.kind() {
                    Kind::Opaque(Defect::NotJson) => log_noise(this.label, this.noise, &message),
                    _ => return Poll::Ready(Some(Ok(message))),
                },
                Poll::Ready(end) => {
                    if let Some(Err(error)) = end {
                        tracing::debug!(child = %this.label, %error, "its output broke");
                    }
                    this.keeper.end();
                    *this.reading = Reading::Ended;
                }
                Poll::Pending => match this.reading {
                    Reading::Draining(until) => {
                        ready!(until.as_mut().poll(cx));
                        *this.reading = Reading::Ended;
                    }
                    _ => {
                        ready!(this.read_gone.poll_unpin(cx));
                        // Polled again before it is believed that nothing more comes.
                        *this.reading = Reading::Draining(Box::pin(sleep(DRAIN)));
                        *this.read_gone = this.keeper.gone();
                    }
                },
            }
        }
    }
}

impl ChildTransport {
    /// Does this with the pipe. Once that has failed, or the child is gone, says how the child ended.
    fn poll_pipe(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut Framed<Pipes, Lines>>, &mut Context<'_>) -> Poll<Result<(), Error>>,
    ) -> Poll<Result<(), Error>> {
        let this = self.project();
        if *this.writing == Writing::Closed {
            return Poll::Ready(Err(
                Error::new(ErrorKind::Closed).context(this.label.clone())
            ));
        }
        if *this.writing == Writing::Open {
            match poll(this.framed, cx) {
                Poll::Ready(Err(error)) => {
                    tracing::debug!(child = %this.label, %error, "its input broke");
                    this.keeper.end();
                    *this.writing = Writing::Broken;
                }
                other => return other,
            }
        }
        let exit = ready!(this.write_gone.poll_unpin(cx));
        *this.write_gone = this.keeper.gone();
        Poll::Ready(Err(ended(this.label, &exit)))
    }
}

impl Sink<Message> for ChildTransport {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_pipe(cx, |pipe, cx| pipe.poll_ready(cx))
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        self.project().framed.start_send(message)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_pipe(cx, |pipe, cx| pipe.poll_flush(cx))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.project();
        // What is not flushed when the child's time is over is lost: it did not want it.
        this.keeper.end();
        if *this.writing == Writing::Open {
            if let Poll::Ready(closed) = this.framed.poll_close(cx) {
                if let Err(error) = closed {
                    tracing::debug!(child = %this.label, %error, "its input broke");
                }
                *this.writing = Writing::Closed;
            }
        }
        ready!(this.write_gone.poll_unpin(cx));
        *this.write_gone = this.keeper.gone();
        *this.writing = Writing::Closed;
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for ChildTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildTransport")
            .field("child", &self.label)
            .field("writing", &self.writing)
            .finish_non_exhaustive()
    }
}

fn ended(label: &str, exit: &super::keeper::Exit) -> Error {
    Error::new(ErrorKind::Disconnected).context(format!("{label} ended: {exit}"))
}

fn log_noise(label: &str, noise: &mut Allowance, message: &Message) {
    let Some(left_out) = noise.take(Instant::now()) else {
        return;
    };
    let bytes = message.as_bytes();
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(EXCERPT)]);
    tracing::warn!(child = %label, bytes = bytes.len(), left_out, "not JSON, skipped: {text}");
}
