//! The listening end's handshake, on an HTTP server that somebody already has.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: it bounds the hand-over of the socket"
)]

use crate::config::WsConfig;
use crate::handshake::{accept_key, is_key, lists, tokens};
use crate::io::Io;
use crate::transport::WsTransport;
use http::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use mcp_transport_core::{Error, ErrorKind};
use std::error::Error as _;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::Role;

/// Upgrades a request on a server that is built on hyper 1 (axum, say): the answer to send, and the connection to come.
///
/// This does not ask who sends the request, and browsers let any page connect to any local port. Ask a
/// [`Guard`](mcp_transport_core::guard::Guard) first.
///
/// The server must serve its connections `with_upgrades` (axum does). Give it the answer, with headers of your own if you
/// like, and await the connection elsewhere, in a task of its own: it comes only after the answer went out.
///
/// # Errors
/// A [`Refusal`] that is an answer, too, if the request asks for no WebSocket of this version.
///
/// ```
/// use http::{Request, Response};
/// use mcp_transport_core::{Error, Transport};
/// use mcp_transport_ws::{WsConfig, upgrade};
///
/// async fn serve(link: impl Transport) {
///     // …
/// #   drop(link);
/// }
///
/// fn handle<B>(request: Request<B>) -> Response<String> {
///     match upgrade(request, &WsConfig::new()) {
///         Ok((answer, connection)) => {
///             tokio::spawn(async move { Ok::<_, Error>(serve(connection.await?).await) });
///             answer.map(|()| String::new())
///         }
///         Err(refusal) => refusal.into_response(),
///     }
/// }
/// # assert_eq!(handle(Request::new(())).status(), 426);
/// ```
pub fn upgrade<B>(
    mut request: Request<B>,
    config: &WsConfig,
) -> Result<(Response<()>, Upgrading), Refusal> {
    let key = check(&request)?;
    let accept = accept_key(key.as_bytes());
    let accept = HeaderValue::try_from(accept).expect("base64 is a header value");
    let socket = request
        .extensions_mut()
        .remove::<OnUpgrade>()
        .ok_or(Refusal::NotUpgradable)?;
    let subprotocol = choose(&request, config.subprotocols());

    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(name) = &subprotocol {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, name.clone());
    }
    let connection = Box::pin(hand_over(socket, config.clone(), subprotocol));
    Ok((response, Upgrading(connection)))
}

/// The connection that an [`upgrade`] leads to: a future that yields the transport once the answer went out.
///
/// # Errors
/// `Disconnected` if the peer left before, `TimedOut` if the answer did not go out within the
/// [handshake time-out](WsConfig::handshake_timeout), counted from the first poll.
///
/// # Cancel safety
/// Dropping it ends the connection.
#[must_use = "the connection is lost unless this is awaited"]
pub struct Upgrading(Pin<Box<dyn Future<Output = Result<WsTransport, Error>> + Send>>);

impl Future for Upgrading {
    type Output = Result<WsTransport, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Upgrading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrading").finish_non_exhaustive()
    }
}

/// Why a request was not upgraded. Its text says what to do, and repeats nothing of the request.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// The method is not GET: 405.
    Method,
    /// An HTTP version without upgrades, or in which they are done otherwise: 400.
    HttpVersion,
    /// `Connection` and `Upgrade` do not ask for a WebSocket: 426.
    NoUpgrade,
    /// Another version of the protocol than 13: 426.
    WsVersion,
    /// `Sec-WebSocket-Key` is missing, or no key: 400.
    Key,
    /// The server does not serve its connections `with_upgrades`, or somebody upgraded this request before: 500.
    NotUpgradable,
}

impl Refusal {
    /// The status of the answer.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::HttpVersion | Self::Key => StatusCode::BAD_REQUEST,
            Self::NoUpgrade | Self::WsVersion => StatusCode::UPGRADE_REQUIRED,
            Self::NotUpgradable => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The answer, with what the status obliges it to say.
    pub fn into_response(self) -> Response<String> {
        let mut response = Response::new(format!("{self}\n"));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        headers.insert(CONTENT_TYPE, text);
        match self {
            Self::Method => {
                headers.insert(ALLOW, HeaderValue::from_static("GET"));
            }
            Self::NoUpgrade | Self::WsVersion => {
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
                headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            Self::HttpVersion | Self::Key | Self::NotUpgradable => {}
        }
        response
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Method => "refused: a WebSocket is asked for by GET",
            Self::HttpVersion => "refused: WebSockets need HTTP/1.1 here",
            Self::NoUpgrade => {
                "refused: this is a WebSocket; send \"Connection: Upgrade\" and \"Upgrade: websocket\""
            }
            Self::WsVersion => "refused: send \"Sec-WebSocket-Version: 13\"",
            Self::Key => "refused: Sec-WebSocket-Key must be 16 bytes in base64, once",
            Self::NotUpgradable => "refused: this server cannot upgrade its connections",
        })
    }
}

impl std::error::Error for Refusal {}

/// Decides on the head, and returns its key.
fn check<B>(request: &Request<B>) -> Result<HeaderValue, Refusal> {
    let headers = request.headers();
    if request.method() != Method::GET {
        return Err(Refusal::Method);
    }
    if !lists(headers, CONNECTION, "upgrade") || !lists(headers, UPGRADE, "websocket") {
        return Err(Refusal::NoUpgrade);
    }
    if request.version() != Version::HTTP_11 {
        return Err(Refusal::HttpVersion);
    }
    if headers
        .get(SEC_WEBSOCKET_VERSION)
        .is_none_or(|version| version.as_bytes() != b"13")
    {
        return Err(Refusal::WsVersion);
    }
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).into_iter();
    match (keys.next(), keys.next()) {
        (Some(key), None) if is_key(key.as_bytes()) => Ok(key.clone()),
        _ => Err(Refusal::Key),
    }
}

/// The first subprotocol of the client's that we know.
fn choose<B>(request: &Request<B>, known: &[HeaderValue]) -> Option<HeaderValue> {
    tokens(request.headers(), SEC_WEBSOCKET_PROTOCOL)
        .find_map(|offer| {
            known
                .iter()
                .find(|name| name.as_bytes() == offer.as_bytes())
        })
        .cloned()
}

async fn hand_over(
    socket: OnUpgrade,
    config: WsConfig,
    subprotocol: Option<HeaderValue>,
) -> Result<WsTransport, Error> {
    let limit = config.time_to_accept();
    let socket = match timeout(limit, socket).await {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) => {
            return Err(Error::new(ErrorKind::Disconnected)
                .context("the peer left during the handshake")
                .because(beneath(&error)));
        }
        Err(_) => {
            return Err(Error::new(ErrorKind::TimedOut).context(format!(
                "the upgrade was not answered within {} s",
                limit.as_secs()
            )));
        }
    };
    let io = Io::new(TokioIo::new(socket), bytes::Bytes::new());
    Ok(WsTransport::new(io, Role::Server, &config, subprotocol).await)
}

/// What lies beneath an error of the engine, which may be exchanged: in the system's words, or its own.
fn beneath(error: &hyper::Error) -> io::Error {
    let Some(cause) = error.source() else {
        return io::Error::other(error.to_string());
    };
    match cause.downcast_ref::<io::Error>() {
        Some(system) => match system.raw_os_error() {
            Some(number) => io::Error::from_raw_os_error(number),
            None => io::Error::new(system.kind(), system.to_string()),
        },
        None => io::Error::other(format!("{error}: {cause}")),
    }
}
