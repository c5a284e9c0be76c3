//! Reading a request's body, after the gate.
use super::bell::hushed;
use super::conn::Conn;
use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, Incoming};
use mcp_transport_core::guard::MAX_BODY;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

/// How long the next piece of a body may take: 30 s.
const STALLED: Duration = Duration::from_secs(30);

/// Why a body was not read to its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Failed {
    /// It is larger than 64 MiB.
    TooLarge,
    /// It stopped coming.
    Stalled,
    /// The connection went, or it was not framed as HTTP.
    Broken,
    /// Too much else is being received.
    Busy,
}

/// What is being received by all connections together. Bounded.
#[derive(Clone, Debug)]
pub(super) struct Receiving {
    bytes: Arc<AtomicUsize>,
    limit: usize,
}

impl Receiving {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            bytes: Arc::default(),
            limit,
        }
    }

    /// Reads a body. Asking for it is what answers an `Expect: 100-continue`.
    ///
    /// # Cancel safety
    /// Dropping the future drops what was read.
    pub(super) async fn read(&self, conn: &Conn, mut body: Incoming) -> Result<Bytes, Failed> {
        let mut share = Share {
            receiving: self,
            bytes: 0,
        };
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        loop {
            if body.is_end_stream() {
                break;
            }
            let frame = conn.within(STALLED, std::future::poll_fn(|cx| next(&mut body, cx)));
            let Some(frame) = frame.await.ok_or(Failed::Stalled)? else {
                break;
            };
            let Ok(piece) = frame.map_err(|_| Failed::Broken)?.into_data() else {
                continue;
            };
            share.add(piece.len())?;
            if share.bytes as u64 > MAX_BODY {
                return Err(Failed::TooLarge);
            }
            if first.is_empty() {
                first = piece;
                continue;
            }
            if rest.is_empty() {
                // As much as is known to come, but nothing on a mere promise beyond 1 MiB.
                let expected = body.size_hint().lower().min(1024 * 1024);
                let expected = usize::try_from(expected).unwrap_or_default();
                rest.reserve(first.len() + piece.len() + expected);
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&piece);
        }
        Ok(if rest.is_empty() {
            own(first)
        } else {
            rest.freeze()
        })
    }
}

/// The next piece.
///
/// hyper has its connection look for more whenever a piece was taken, also when that was the last,
/// which would be a third of all the looking for each request.
fn next(
    body: &mut Incoming,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
    let (frame, wakes) = hushed(|| Pin::new(&mut *body).poll_frame(cx));
    let is_last = frame.is_ready() && body.is_end_stream();
    if wakes && !is_last {
        cx.waker().wake_by_ref();
    }
    frame
}

/// A small piece is a view into the connection's read buffer: kept for long, it would hold that.
fn own(piece: Bytes) -> Bytes {
    match piece.len() {
        0..=4096 => Bytes::copy_from_slice(&piece),
        _ => piece,
    }
}

struct Share<'a> {
    receiving: &'a Receiving,
    bytes: usize,
}

impl Share<'_> {
    fn add(&mut self, bytes: usize) -> Result<(), Failed> {
        let all = self.receiving.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        match all.saturating_add(bytes) > self.receiving.limit {
            true => Err(Failed::Busy),
            false => Ok(()),
        }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        let bytes = &self.receiving.bytes;
        bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
