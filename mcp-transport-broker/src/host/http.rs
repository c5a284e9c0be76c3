//! One request to the broker and its answer, over a connection that stays open.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: each connection has a task, and each answer a time-out"
)]

use super::random;
use super::refusal;
use crate::native::{Hello, LEASE_HEADER, PREFIX, is_proof};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use mcp_transport_core::{Error, ErrorKind};
use std::error::Error as _;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// What a connection to the broker is made of.
pub(super) trait Bytestream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytestream for T {}

/// Opens one connection to the broker.
pub(super) type Dial =
    Arc<dyn Fn() -> BoxFuture<'static, Result<Box<dyn Bytestream>, Error>> + Send + Sync>;

/// Asks the broker, as one lease or before there is one.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) dial: Dial,
    pub(super) authority: HeaderValue,
    pub(super) port: u16,
    pub(super) token: HeaderValue,
    pub(super) lease: Option<HeaderValue>,
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}

/// What comes before the token in its header.
pub(super) const BEARER: &str = "Bearer ";

/// One connection, if it is open; the next request opens it.
#[derive(Debug, Default)]
pub(super) struct Connection(Option<Open>);

#[derive(Debug)]
struct Open {
    sender: SendRequest<Full<Bytes>>,
    task: AbortHandle,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The largest answer to whoever asks who is there.
const MAX_HELLO: usize = 64 * 1024;

/// The largest answer: a pull may bring what 64 MiB of calls need, and a little around each.
const MAX_ANSWER: usize = 128 * 1024 * 1024;

impl Caller {
    /// Posts a body and reads the answer's.
    ///
    /// A connection that was closed while it was idle is opened anew; one that breaks once the
    /// request is on its way is not, since nobody knows whether it arrived.
    ///
    /// # Errors
    /// As [`refusal::error`] where the broker refuses; [`ErrorKind::TimedOut`] where it is silent.
    ///
    /// # Cancel safety
    /// Dropping the future drops the connection, and the broker may have heard the request.
    pub(super) async fn post(
        &self,
        connection: &mut Connection,
        path: &str,
        body: Bytes,
        limit: Duration,
    ) -> Result<Bytes, Error> {
        let mut open = connection.0.take();
        let exchange = self.exchange(&mut open, path, body);
        let answer = timeout(limit, exchange).await.unwrap_or_else(|_| {
            let text = format!("the broker did not answer {path} within {limit:?}");
            Err(Error::new(ErrorKind::TimedOut).context(text))
        })?;
        connection.0 = open;
        answer
    }

    /// The outer error broke the connection.
    async fn exchange(
        &self,
        open: &mut Option<Open>,
        path: &str,
        body: Bytes,
    ) -> Result<Result<Bytes, Error>, Error> {
        let response = self.send(open, self.request(path, body)).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await;
        let body = body.map_err(|error| {
            let text = format!("the broker's answer to {path} broke off: {error}");
            Error::new(ErrorKind::Disconnected).context(text)
        })?;
        let body = body.to_bytes();
        Ok(if status.is_success() {
            Ok(body)
        } else {
            Err(refusal::error(status.as_u16(), &body))
        })
    }

    async fn send(
        &self,
        open: &mut Option<Open>,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Error> {
        if let Some(mut idle) = open.take() {
            if idle.sender.ready().await.is_ok() {
                match idle.sender.try_send_request(request).await {
                    Ok(response) => {
                        *open = Some(idle);
                        return Ok(response);
                    }
                    Err(mut error) => match error.take_message() {
                        Some(unsent) => request = unsent,
                        None => return Err(broke(error.into_error())),
                    },
                }
            }
        }
        let fresh = open.insert(self.open().await?);
        fresh.sender.send_request(request).await.map_err(broke)
    }

    async fn open(&self) -> Result<Open, Error> {
        let io = TokioIo::new((self.dial)().await?);
        let (sender, connection) = http1::handshake(io).await.map_err(broke)?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the broker broke");
            }
        });
        let task = task.abort_handle();
        let mut open = Open { sender, task };
        self.meet(&mut open.sender).await?;
        Ok(open)
    }

    /// Has whoever is there prove that it knows the token, before it is sent on this connection.
    async fn meet(&self, sender: &mut SendRequest<Full<Bytes>>) -> Result<(), Error> {
        let nonce = random::hex()?;
        let request = Request::get(format!("{PREFIX}hello?nonce={nonce}"))
            .header(HOST, &self.authority)
            .body(Full::default())
            .expect("a constant and hexadecimal digits");
        let response = sender.send_request(request).await.map_err(broke)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_HELLO).collect();
        let body = body.await.map_err(|error| {
            let text = format!("whoever has port {} says too much: {error}", self.port);
            Error::new(ErrorKind::Disconnected).context(text)
        })?;
        let body = body.to_bytes();
        if !status.is_success() {
            return Err(refusal::error(status.as_u16(), &body));
        }
        let Ok(Hello { proof, pid, .. }) = serde_json::from_slice::<Hello>(&body) else {
            let text = format!("whoever has port {} is no broker", self.port);
            return Err(Error::new(ErrorKind::Disconnected).context(text));
        };
        let token = self.token.to_str().unwrap_or_default();
        let token = token.strip_prefix(BEARER).unwrap_or_default();
        if !is_proof(&proof, token, self.port, &nonce) {
            let text = format!(
                "the broker on port {} (process {pid}) does not know our token: use its own",
                self.port
            );
            return Err(Error::new(ErrorKind::Unauthorized).context(text));
        }
        Ok(())
    }

    fn request(&self, path: &str, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::post(format!("{PREFIX}{path}"))
            .header(HOST, &self.authority)
            .header(AUTHORIZATION, &self.token)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(lease) = &self.lease {
            request = request.header(LEASE_HEADER, lease);
        }
        request
            .body(Full::new(body))
            .expect("the paths are constants, and the headers were checked")
    }
}

fn broke(error: hyper::Error) -> Error {
    Error::new(ErrorKind::Disconnected)
        .context("the connection to the broker broke")
        .because(beneath(&error))
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
