//! One connection, from its accept to its end.
#![expect(
    clippy::disallowed_methods,
    reason = "the shell that waits for connections"
)]

use super::answer::Answer;
use super::bell::Bell;
use super::conn::{Check, Conn, End, IDLE};
use super::route::{self, Shared};
use super::tunnel::{self, Tunnel};
use super::wire::Wire;
use bytes::Bytes;
use hyper::server::conn::http1::{self, Parts};
use hyper::service::service_fn;
use mcp_transport_core::guard::{HEAD_TIMEOUT, MAX_HEAD};
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What a client may still send after its last answer, and for how long: so that the answer is not
/// lost to the reset that unread bytes cause.
const LINGER: Duration = Duration::from_millis(500);
const LINGER_BYTES: usize = 1024 * 1024;

/// How long a host's pull may be on its way. Were its connection closed meanwhile, the host would
/// take an end in order for a crash, and start another broker at once.
const ON_ITS_WAY: Duration = Duration::from_millis(50);

/// Serves a connection until it ends.
pub(super) async fn converse(shared: Arc<Shared>, mut stream: TcpStream) {
    let conn = Conn::new(shared.hub().clone());
    let _end = End(conn.clone());
    let mut first = HEAD_TIMEOUT;
    let mut early = Bytes::new();
    loop {
        // Nothing is set up for a connection that says nothing.
        if early.is_empty() {
            let mut byte = [0];
            // Not `readable`, which tokio says of every socket that is new.
            let readable = tokio::select! {
                peeked = timeout(first, stream.peek(&mut byte)) => matches!(peeked, Ok(Ok(1))),
                () = conn.killed() => false,
                () = leaves(&shared, &conn) => false,
            };
            if !readable {
                return;
            }
        }
        first = IDLE;
        // Boxed, as whatever else is large: a quiet connection has nothing of it.
        match Box::pin(serve(&shared, &conn, stream, early)).await {
            Next::Again(rest) => (stream, early) = (rest.stream, rest.early),
            Next::Tunnel(rest, tunnel) => {
                return Box::pin(tunnel::copy(rest.stream, rest.early, tunnel)).await;
            }
            Next::Linger(rest) => return Box::pin(linger(rest.stream)).await,
            Next::Over => return,
        }
    }
}

/// Waits until a quiet connection is to end: after a newer broker has taken over, or with this one.
/// A host's stays for as long as its lease, which has answers to bring, and is then told why it is
/// over.
async fn leaves(shared: &Shared, conn: &Conn) {
    shared.leaves().await;
    if conn.is_a_hosts() {
        shared.hub().left().await;
        tokio::time::sleep(ON_ITS_WAY).await;
    }
}

/// Waits until the broker ends and whoever is quiet has nothing to be told.
async fn stops(shared: &Shared, conn: &Conn) {
    shared.stopped().await;
    if conn.is_a_hosts() {
        tokio::time::sleep(ON_ITS_WAY).await;
    }
}

enum Next {
    Again(Rest),
    Tunnel(Rest, Tunnel),
    Linger(Rest),
    Over,
}

/// What is left of a connection without HTTP.
struct Rest {
    stream: TcpStream,
    early: Bytes,
}

impl<S> From<Parts<Wire, S>> for Rest {
    fn from(parts: Parts<Wire, S>) -> Self {
        let early = match parts.read_buf.is_empty() {
            // An empty view would keep the buffer.
            true => Bytes::new(),
            false => parts.read_buf,
        };
        Self {
            stream: parts.io.into_stream(),
            early,
        }
    }
}

/// Boxed: an idle connection has no room reserved for a request.
type Answering = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

async fn serve(shared: &Arc<Shared>, conn: &Arc<Conn>, stream: TcpStream, early: Bytes) -> Next {
    conn.opens(!early.is_empty());
    let service = service_fn({
        let (shared, conn) = (shared.clone(), conn.clone());
        move |request| {
            conn.begins();
            Box::pin(route::answer(shared.clone(), conn.clone(), request)) as Answering
        }
    });
    let wire = Wire::new(stream, conn.clone(), early);
    let mut http = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(MAX_HEAD)
        .serve_connection(wire, service);
    let mut timer = pin!(tokio::time::sleep(HEAD_TIMEOUT));
    let mut stopped = pin!(stops(shared, conn));
    let mut killed = pin!(conn.killed());
    let mut stopping = false;
    // Those three hardly ever are ready, and so have a bell of their own.
    let (mut rare, mut requests) = (Bell::new(), Bell::new());
    let ended = std::future::poll_fn(|cx| {
        if rare.has_rung(cx) {
            let cx = &mut rare.context();
            let _ = timer.as_mut().poll(cx);
            if killed.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ended::Close("its reader does not read"));
            }
            if !stopping && stopped.as_mut().poll(cx).is_ready() {
                stopping = true;
                Pin::new(&mut http).graceful_shutdown();
            }
        }
        requests.has_rung(cx);
        if let Poll::Ready(ended) = http.poll_without_shutdown(&mut requests.context()) {
            return Poll::Ready(Ended::Http(ended));
        }
        while let Some(due) = conn.due() {
            // A timer that is early only asks again: it need not be set for each request.
            if due >= timer.deadline() && !timer.is_elapsed() {
                break;
            }
            timer.as_mut().reset(due);
            if timer.as_mut().poll(&mut rare.context()).is_pending() {
                break;
            }
            match conn.check() {
                Check::Wait => {}
                Check::Ask => {
                    cx.waker().wake_by_ref();
                    break;
                }
                Check::Settle => return Poll::Ready(Ended::Settle),
                Check::Close(why) => return Poll::Ready(Ended::Close(why)),
            }
        }
        Poll::Pending
    })
    .await;
    match ended {
        Ended::Settle => Next::Again(http.into_parts().into()),
        Ended::Close(why) => {
            tracing::debug!(why, "a connection was closed");
            Next::Over
        }
        Ended::Http(Err(error)) => {
            tracing::debug!(%error, "a connection ended badly");
            match error.is_parse() || error.is_parse_too_large() {
                true => Next::Linger(http.into_parts().into()),
                false => Next::Over,
            }
        }
        Ended::Http(Ok(())) => match conn.tunnel() {
            Some(tunnel) => Next::Tunnel(http.into_parts().into(), tunnel),
            None => Next::Linger(http.into_parts().into()),
        },
    }
}

enum Ended {
    Http(hyper::Result<()>),
    Settle,
    Close(&'static str),
}

async fn linger(mut stream: TcpStream) {
    let drain = async {
        stream.shutdown().await?;
        let (mut read, mut buffer) = (0, [0; 4096]);
        while read < LINGER_BYTES {
            match stream.read(&mut buffer).await? {
                0 => break,
                bytes => read += bytes,
            }
        }
        Ok::<_, std::io::Error>(())
    };
    let _ = timeout(LINGER, drain).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{Server, ServerConfig};

    #[tokio::test]
    async fn a_connection_that_says_nothing_takes_less_than_a_kilobyte() {
        let config = ServerConfig::new("token").expect("a token");
        let server = Server::bind(0, config).expect("a port");
        let stream = TcpStream::connect(("127.0.0.1", server.port())).await;
        let conversation = converse(server.shared.clone(), stream.expect("a connection"));
        assert!(size_of_val(&conversation) < 1024);
    }

    #[test]
    fn a_request_that_waits_takes_less_than_a_kilobyte() {
        fn made<A, B, C, F>(_: impl Fn(A, B, C) -> F) -> usize {
            size_of::<F>()
        }
        let size = made(route::answer);
        assert!(size < 1024, "{size}");
    }
}
