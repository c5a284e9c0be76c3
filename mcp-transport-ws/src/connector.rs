//! The dialling end.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: it bounds each step of the dial"
)]

use crate::config::WsConfig;
use crate::handshake::{self, Answer};
use crate::io::{Bytes, Io};
use crate::transport::WsTransport;
use crate::url::Target;
use http::{HeaderMap, HeaderName, HeaderValue};
use mcp_transport_core::guard::MAX_HEAD;
use mcp_transport_core::loopback::{self, ATTEMPT_TIMEOUT};
use mcp_transport_core::{Connector, Error, ErrorKind};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::Role;

/// Dials a WebSocket: the connector for `Resilient`, or for a single connection.
///
/// ```no_run
/// use futures::{SinkExt, StreamExt};
/// use mcp_transport_core::{Connector, Error, Message};
/// use mcp_transport_ws::WsConnector;
///
/// # async fn run() -> Result<(), Error> {
/// let mut host = WsConnector::new("ws://127.0.0.1:8090/mcp")
///     .header("authorization", "Bearer secret")
///     .connect()
///     .await?;
/// host.send(Message::parse(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)?).await?;
/// while let Some(message) = host.next().await {
///     println!("{:?}", message?.as_str());
/// }
/// # Ok(())
/// # }
/// ```
///
/// TLS is not spoken here: `wss` is refused. For that, or for any other stream, bring your own and use
/// [`connect_over`](Self::connect_over).
///
/// # What a dial says when it fails
/// | what happened | kind |
/// |---|---|
/// | nobody listens, or no address answers within 500 ms | `Unreachable` |
/// | the whole took longer than the [handshake time-out](WsConfig::handshake_timeout), 5 s | `TimedOut` |
/// | the peer left before it answered | `Disconnected` |
/// | it answered with another status than 101 | [`ErrorKind::from_http_status`], with up to 512 bytes of the body as context |
/// | it speaks something else | `Incompatible` |
/// | the URL or a header of ours is wrong | `Incompatible`, which no schedule retries |
#[derive(Clone)]
pub struct WsConnector {
    target: Result<Target, Error>,
    headers: HeaderMap,
    config: WsConfig,
}

impl WsConnector {
    /// A connector to this URL, `ws://host[:port][/path][?query]`.
    ///
    /// A URL that is none is told by each dial; to know at once, `parse` it: `let connector: WsConnector = url.parse()?`.
    pub fn new(url: &str) -> Self {
        Self {
            target: Target::parse(url),
            headers: HeaderMap::new(),
            config: WsConfig::new(),
        }
    }

    /// Adds a header to the upgrade request, beside those that it needs by itself.
    ///
    /// A name or value that HTTP forbids, or a header that the handshake itself writes, is told by the dial.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        match header(name, value) {
            Ok((name, value)) => {
                self.headers.append(name, value);
            }
            // The first thing that is wrong is the one to tell.
            Err(error) => self.target = self.target.and(Err(error)),
        }
        self
    }

    /// Offers a subprotocol, in order of preference. The peer must choose one of those offered.
    ///
    /// # Panics
    /// As [`WsConfig::subprotocol`].
    #[must_use]
    pub fn subprotocol(mut self, name: &str) -> Self {
        self.config = self.config.subprotocol(name);
        self
    }

    /// Sets all settings at once; subprotocols that were added before are gone.
    #[must_use]
    pub fn config(mut self, config: WsConfig) -> Self {
        self.config = config;
        self
    }

    /// Opens a WebSocket over a stream that is already connected: TLS, a pipe, a simulated network.
    ///
    /// The URL then only says what the request asks for.
    ///
    /// # Errors
    /// As a dial's.
    ///
    /// # Cancel safety
    /// Dropping the future drops the stream.
    pub async fn connect_over<IO>(&self, io: IO) -> Result<WsTransport, Error>
    where
        IO: AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    {
        let target = self.target.clone()?;
        let limit = self.config.time_to_dial();
        timeout(limit, self.open(&target, io))
            .await
            .unwrap_or_else(|_| Err(too_slow(&target, limit)))
    }

    async fn dial(&self) -> Result<WsTransport, Error> {
        let target = self.target.clone()?;
        let limit = self.config.time_to_dial();
        let dial = async {
            let io = tcp(&target).await?;
            self.open(&target, io).await
        };
        timeout(limit, dial)
            .await
            .unwrap_or_else(|_| Err(too_slow(&target, limit)))
    }

    async fn open(&self, target: &Target, mut io: impl Bytes) -> Result<WsTransport, Error> {
        let offered = self.config.subprotocols();
        let key = handshake::new_key()?;
        let request = handshake::request(
            &target.authority,
            &target.path,
            &key,
            offered,
            &self.headers,
        );
        io.write_all(&request).await.map_err(left)?;
        io.flush().await.map_err(left)?;

        let mut read = Vec::with_capacity(1024);
        let answer = head(&mut io, &mut read).await?;
        let mut rest = read.split_off(answer.head);
        if answer.is_refusal() {
            body(&mut io, &mut rest, answer.body()).await;
            return Err(answer.refusal(&rest));
        }
        let subprotocol = answer.agreed(&key, offered)?;
        Ok(WsTransport::new(Io::new(io, rest), Role::Client, &self.config, subprotocol).await)
    }
}

impl Connector for WsConnector {
    type Transport = WsTransport;

    fn connect(&mut self) -> impl Future<Output = Result<WsTransport, Error>> + Send {
        self.dial()
    }
}

impl FromStr for WsConnector {
    type Err = Error;

    fn from_str(url: &str) -> Result<Self, Error> {
        let connector = Self::new(url);
        connector.target.clone()?;
        Ok(connector)
    }
}

/// Leaves the values of headers out: they are credentials more often than not.
impl fmt::Debug for WsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WsConnector")
            .field("target", &self.target)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("config", &self.config)
            .finish()
    }
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Error> {
    let refuse = |why: &str| {
        Error::new(ErrorKind::Incompatible).context(format!("the header {name:?} {why}"))
    };
    let valid_name = HeaderName::from_str(name).map_err(|_| refuse("has no valid name"))?;
    if handshake::is_ours(&valid_name) {
        return Err(refuse("is written by the handshake itself"));
    }
    let value = HeaderValue::from_str(value).map_err(|_| refuse("has no valid value"))?;
    Ok((valid_name, value))
}

/// How long a refusal's body may take: the refusal itself is already known.
const BODY_TIMEOUT: Duration = Duration::from_millis(500);

async fn tcp(target: &Target) -> Result<TcpStream, Error> {
    if target.is_loopback() {
        // Both families for `localhost`, and nobody's DNS is asked.
        return loopback::connect_host(&target.host, target.port).await;
    }
    let unreachable = || Error::new(ErrorKind::Unreachable).context(target.authority.clone());
    let addresses = tokio::net::lookup_host((target.host.as_str(), target.port));
    let addresses = addresses
        .await
        .map_err(|error| unreachable().because(error))?;
    let mut failure = unreachable();
    for address in addresses {
        match timeout(ATTEMPT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Without it the only loss is time.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => {
                failure = Error::new(ErrorKind::Unreachable)
                    .context(address.to_string())
                    .because(error);
            }
            Err(_) => failure = unreachable().context(format!("{address} does not answer")),
        }
    }
    Err(failure)
}

/// Reads until the head of the answer is whole.
async fn head(io: &mut (impl AsyncRead + Unpin), read: &mut Vec<u8>) -> Result<Answer, Error> {
    loop {
        if io.read_buf(read).await.map_err(left)? == 0 {
            return Err(Error::new(ErrorKind::Disconnected)
                .context("the peer left before it answered the upgrade"));
        }
        if let Some(answer) = Answer::parse(read)? {
            return Ok(answer);
        }
        if read.len() > MAX_HEAD {
            return Err(Error::new(ErrorKind::Incompatible)
                .context(format!("the head of the answer is over {MAX_HEAD} bytes")));
        }
    }
}

/// Reads the start of a refusal's body, as far as it comes.
async fn body(io: &mut (impl AsyncRead + Unpin), read: &mut Vec<u8>, enough: usize) {
    let reading =
        async { while read.len() < enough && matches!(io.read_buf(read).await, Ok(n) if n > 0) {} };
    let _ = timeout(BODY_TIMEOUT, reading).await;
}

fn left(error: std::io::Error) -> Error {
    Error::from(error).context("the peer left during the handshake")
}

fn too_slow(target: &Target, limit: Duration) -> Error {
    Error::new(ErrorKind::TimedOut).context(format!(
        "{} did not open a WebSocket within {} s",
        target.authority,
        limit.as_secs_f32()
    ))
}
