//! What an answer consists of.
#![expect(
    clippy::disallowed_methods,
    reason = "the shell that keeps event streams alive"
)]

use super::conn::Conn;
use super::handed::Handed;
use super::outbox::{Cut, Reader};
use super::waiting::Watched;
use crate::mcp::{Event, sse};
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer. Its end tells the connection that the answer is complete.
pub(crate) struct Reply {
    kind: Kind,
    conn: Option<Arc<Conn>>,
}

enum Kind {
    Full(Option<Bytes>),
    Handed(Option<(Bytes, Handed)>),
    Stream(Box<EventStream>),
    Passed(Pin<Box<dyn Body<Data = Bytes, Error = hyper::Error> + Send>>),
}

impl Reply {
    pub(crate) fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::of(Kind::Full((!bytes.is_empty()).then_some(bytes)))
    }

    /// What a pull got, which is given back unless it is written.
    pub(crate) fn handed(bytes: Bytes, handed: Handed) -> Self {
        Self::of(Kind::Handed(Some((bytes, handed))))
    }

    pub(super) fn stream(stream: EventStream) -> Self {
        Self::of(Kind::Stream(Box::new(stream)))
    }

    /// Somebody else's answer.
    pub(super) fn passed(
        body: impl Body<Data = Bytes, Error = hyper::Error> + Send + 'static,
    ) -> Self {
        Self::of(Kind::Passed(Box::pin(body)))
    }

    /// Says on which connection it goes out.
    pub(super) fn on(mut self, conn: Arc<Conn>) -> Self {
        self.conn = Some(conn);
        self
    }

    fn of(kind: Kind) -> Self {
        Self { kind, conn: None }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        match &mut this.kind {
            Kind::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Handed(slot) => {
                let Some((bytes, handed)) = slot.take() else {
                    return Poll::Ready(None);
                };
                match &this.conn {
                    Some(conn) => conn.hands(handed),
                    None => drop(handed),
                }
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Kind::Stream(stream) => stream
                .poll_next(cx)
                .map_ok(Frame::data)
                .map_err(BoxError::from),
            Kind::Passed(body) => body.as_mut().poll_frame(cx).map_err(BoxError::from),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Full(bytes) => bytes.is_none(),
            Kind::Handed(slot) => slot.is_none(),
            Kind::Stream(_) => false,
            Kind::Passed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let exact = |bytes: Option<&Bytes>| {
            SizeHint::with_exact(bytes.map_or(0, |bytes| bytes.len() as u64))
        };
        match &self.kind {
            Kind::Full(bytes) => exact(bytes.as_ref()),
            Kind::Handed(slot) => exact(slot.as_ref().map(|(bytes, _)| bytes)),
            Kind::Stream(_) => SizeHint::default(),
            Kind::Passed(body) => body.size_hint(),
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(conn) = &self.conn {
            conn.answered();
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").finish_non_exhaustive()
    }
}

/// An event stream: what comes, and comments where nothing does.
pub(super) struct EventStream {
    pieces: VecDeque<Bytes>,
    reader: Reader,
    watched: Watched,
    comment: Duration,
    quiet: Pin<Box<Sleep>>,
}

impl EventStream {
    /// `comment`: how often one goes out where nothing else does.
    pub(super) fn new(reader: Reader, watched: Watched, comment: Duration) -> Self {
        Self {
            pieces: VecDeque::new(),
            reader,
            watched,
            comment,
            quiet: Box::pin(tokio::time::sleep(comment)),
        }
    }

    /// Begins with the event that says where to resume.
    pub(super) fn prime(&mut self) {
        let first = self.watched.id().first();
        self.pieces.push_back(sse::priming(first));
        self.watched.primed();
    }

    /// Adds an event that came before there was a stream.
    pub(super) fn add(&mut self, event: &Event) {
        sse::message(event.id, &event.message, &mut self.pieces);
        self.watched.said(event);
    }

    /// Where something is missing, the stream breaks off: its end would say that this was all.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Cut>>> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                self.quiet.as_mut().reset(Instant::now() + self.comment);
                return Poll::Ready(Some(Ok(piece)));
            }
            match self.reader.poll_next(cx) {
                Poll::Ready(Ok(Some(event))) => self.add(&event),
                Poll::Ready(Ok(None)) => {
                    self.watched.ended();
                    return Poll::Ready(None);
                }
                Poll::Ready(Err(cut)) => return Poll::Ready(Some(Err(cut))),
                Poll::Pending => {
                    std::task::ready!(self.quiet.as_mut().poll(cx));
                    self.pieces.push_back(sse::comment());
                }
            }
        }
    }
}
