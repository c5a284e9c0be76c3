//! One HTTP exchange, so far as a client that hangs up withdraws its call at once.
//!
//! In protocol 2026-07-28 hanging up is how a call is cancelled. rmcp notices, but waits up to 2 s for the answer before it
//! tells the handler; an editor that comes back within that time would run what nobody waits for.

use super::http::Body;
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Travels with the request, and is cancelled when the exchange is over: answered to the end, or hung up.
#[derive(Clone, Debug)]
pub(super) struct Exchange(pub(super) CancellationToken);

/// The server's half. hyper drops it with the connection, wherever it is then.
#[derive(Debug)]
pub(super) struct Guarded {
    over: DropGuard,
}

impl Exchange {
    /// Marks a request.
    pub(super) fn begin<B>(request: &mut Request<B>) -> Guarded {
        let over = CancellationToken::new();
        request.extensions_mut().insert(Self(over.clone()));
        Guarded {
            over: over.drop_guard(),
        }
    }
}

impl Guarded {
    /// Goes on with the answer's body.
    pub(super) fn answer(self, response: Response<Body>) -> Response<Body> {
        response.map(|body| {
            Body::new(Answer {
                body,
                _over: self.over,
            })
        })
    }
}

struct Answer {
    body: Body,
    _over: DropGuard,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
