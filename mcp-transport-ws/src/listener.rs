//! The listening end, for whoever has no HTTP server already.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: it bounds each handshake"
)]

use crate::config::WsConfig;
use crate::transport::WsTransport;
use crate::upgrade::{Upgrading, upgrade};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use http::header::{CONNECTION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use mcp_transport_core::guard::{Guard, Head, MAX_HEAD};
use mcp_transport_core::loopback::Loopback;
use mcp_transport_core::{Error, Listener};
use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Takes WebSocket connections on one path of a loopback port.
///
/// A [`Guard`] looks at each request before it is upgraded: by default native clients and pages of this port's own
/// origin pass. Everything else on this port is refused, with a text that says what to do.
///
/// There is no task behind it: handshakes go on, all at once, while somebody waits in `accept`. None can hold up another
/// one: at most [64](MAX_HANDSHAKES) are under way, each for at most the
/// [handshake time-out](WsConfig::handshake_timeout) of 10 s; whoever comes on top is told 503 and to come back in a second.
///
/// ```
/// use mcp_transport_core::{Connector, Error, Listener};
/// use mcp_transport_ws::{WsConnector, WsListener};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let mut listener = WsListener::bind(0)?.path("/mcp");
/// let url = format!("ws://localhost:{}/mcp", listener.local_port());
/// let mut connector = WsConnector::new(&url);
/// let (dialled, accepted) = tokio::join!(connector.connect(), listener.accept());
/// # (dialled?, accepted?);
/// # Ok(())
/// # }
/// ```
pub struct WsListener {
    loopback: Loopback,
    rules: Rules,
    handshakes: FuturesUnordered<Handshake>,
}

/// How many handshakes may be under way at once.
pub const MAX_HANDSHAKES: usize = 64;

/// How many more are told so; whoever comes on top of those is just dropped.
const MAX_TURNED_AWAY: usize = 64;

type Handshake = Pin<Box<dyn Future<Output = Option<WsTransport>> + Send>>;

/// Who is let in, and how.
#[derive(Clone)]
struct Rules {
    path: Arc<str>,
    guard: Arc<Guard>,
    config: WsConfig,
}

impl WsListener {
    /// Listens on this port of `127.0.0.1` and `[::1]`, on the path `/`; port 0 lets the system choose.
    ///
    /// # Errors
    /// As [`Loopback::bind`].
    pub fn bind(port: u16) -> io::Result<Self> {
        Ok(Self::on(Loopback::bind(port)?))
    }

    /// Listens on sockets that somebody else bound.
    pub fn on(loopback: Loopback) -> Self {
        let guard = Guard::new(loopback.local_port());
        Self {
            loopback,
            rules: Rules {
                path: Arc::from("/"),
                guard: Arc::new(guard),
                config: WsConfig::new(),
            },
            handshakes: FuturesUnordered::new(),
        }
    }

    /// Sets the only path on which there is a WebSocket; others are 404.
    #[must_use]
    pub fn path(mut self, path: &str) -> Self {
        self.rules.path = Arc::from(path);
        self
    }

    /// Sets who may connect: with a token, say, or from the pages of another origin.
    ///
    /// ```
    /// use mcp_transport_core::guard::Guard;
    /// use mcp_transport_ws::WsListener;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let listener = WsListener::bind(0)?;
    /// let token = "0123456789abcdef0123456789abcdef".parse()?;
    /// let guard = Guard::new(listener.local_port()).token(token);
    /// let listener = listener.guard(guard);
    /// # drop(listener);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn guard(mut self, guard: Guard) -> Self {
        self.rules.guard = Arc::new(guard);
        self
    }

    /// Sets the settings of each connection.
    #[must_use]
    pub fn config(mut self, config: WsConfig) -> Self {
        self.rules.config = config;
        self
    }

    /// The port, the same on both addresses.
    pub fn local_port(&self) -> u16 {
        self.loopback.local_port()
    }

    /// The sockets, to look at their health.
    pub const fn loopback(&self) -> &Loopback {
        &self.loopback
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<WsTransport> {
        loop {
            while let Poll::Ready(Some(done)) = self.handshakes.poll_next_unpin(cx) {
                if let Some(transport) = done {
                    return Poll::Ready(transport);
                }
            }
            let (stream, _) = ready!(self.loopback.poll_accept(cx));
            self.begin(stream);
        }
    }

    fn begin(&self, stream: TcpStream) {
        let under_way = self.handshakes.len();
        if under_way < MAX_HANDSHAKES {
            let limit = self.rules.config.time_to_accept();
            let handshake = self.rules.clone().handshake(stream);
            self.handshakes.push(Box::pin(async move {
                timeout(limit, handshake).await.unwrap_or_default()
            }));
        } else if under_way < MAX_HANDSHAKES + MAX_TURNED_AWAY {
            self.handshakes.push(Box::pin(async move {
                let _ = timeout(TURN_AWAY_TIMEOUT, turn_away(stream)).await;
                None
            }));
        }
    }
}

impl Listener for WsListener {
    type Transport = WsTransport;

    /// Waits for the next connection. It never errs.
    ///
    /// # Cancel safety
    /// Cancel safe: handshakes stay in the listener, and go on with the next call.
    async fn accept(&mut self) -> Result<WsTransport, Error> {
        Ok(poll_fn(|cx| self.poll_accept(cx)).await)
    }
}

impl fmt::Debug for WsListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WsListener")
            .field("loopback", &self.loopback)
            .field("path", &self.rules.path)
            .field("guard", &self.rules.guard)
            .field("config", &self.rules.config)
            .field("handshakes", &self.handshakes.len())
            .finish()
    }
}

impl Rules {
    /// Serves one request; `None` if it was refused or broke.
    async fn handshake(self, stream: TcpStream) -> Option<WsTransport> {
        let upgraded = Mutex::new(None);
        let service = service_fn(|request| {
            let answer = self.answer(request).map(|(answer, connection)| {
                *upgraded.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
                answer.map(|()| String::new())
            });
            let answer = answer.unwrap_or_else(|mut refusal| {
                tracing::debug!(status = refusal.status().as_u16(), "refused a handshake");
                // Only here: hyper's switch would put it beside the "Upgrade" of a 101, too, where some clients read no
                // more than one word.
                let close = HeaderValue::from_static("close");
                refusal.headers_mut().append(CONNECTION, close);
                *refusal
            });
            async { Ok::<_, Infallible>(answer) }
        });
        let served = hyper::server::conn::http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, "a handshake broke");
        }
        let connection = upgraded
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)?;
        connection.await.ok()
    }

    fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<(Response<()>, Upgrading), Box<Response<String>>> {
        let head = Head::new(request.method().as_str(), request.headers());
        if let Err(refusal) = self.guard.check(&head) {
            let status = StatusCode::from_u16(refusal.status()).expect("the guard's are statuses");
            return Err(Box::new(refuse(status, refusal.to_string())));
        }
        if request.uri().path() != &*self.path {
            let text = format!("refused: the WebSocket is at {}", self.path);
            return Err(Box::new(refuse(StatusCode::NOT_FOUND, text)));
        }
        upgrade(request, &self.config).map_err(|refusal| Box::new(refusal.into_response()))
    }
}

fn refuse(status: StatusCode, text: String) -> Response<String> {
    let mut response = Response::new(text + "\n");
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(CONTENT_TYPE, plain);
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// How long somebody may take to hear that there is no room.
const TURN_AWAY_TIMEOUT: Duration = Duration::from_secs(1);

/// Answers without having read anything, then hears the peer out: a socket that is closed with unread bytes in it is
/// reset, and the answer lost.
async fn turn_away(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(FULL).await?;
    stream.shutdown().await?;
    let mut scratch = [0; 1024];
    while stream.read(&mut scratch).await? > 0 {}
    Ok(())
}

const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    Retry-After: 1\r\n\
    Connection: close\r\n\
    Content-Type: text/plain\r\n\
    Content-Length: 51\r\n\
    \r\n\
    refused: 64 handshakes are under way; retry in 1 s\n";
