//! Takes over from the broker that has the port.
#![expect(
    clippy::disallowed_methods,
    reason = "the shell that waits for an older broker, and not for ever"
)]

use super::{RunConfig, RunError};
use crate::broker::HandOver;
use crate::launch::request::to_broker;
use crate::launch::{Found, probe};
use crate::native::Replace;
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use mcp_transport_core::loopback::{self, Loopback};
use std::io;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How long an older broker may take to hand over.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long it may take until the port is ours that it gave up.
const BIND: Duration = Duration::from_secs(2);

/// How long to wait before trying again.
const GLANCE: Duration = Duration::from_millis(2);

/// The port, and what waits there; `None` where nobody has it.
pub(super) async fn take(
    config: &RunConfig,
    token: Option<&str>,
) -> Result<Option<(Loopback, HandOver)>, RunError> {
    let port = config.port;
    let older = match probe::ask(port).await.prove(port, token) {
        Found::Nobody => {
            // Somebody listened a moment ago: another may have what waited there, and be about to
            // take the port.
            return match config.replace_pid {
                Some(older) if is_anothers(port, token, older).await => {
                    Err(RunError::PortTaken { port })
                }
                _ => Ok(None),
            };
        }
        Found::Foreign(what) => {
            tracing::warn!(port, what, "the port is somebody else's");
            return Err(RunError::PortTaken { port });
        }
        Found::Ours(older) => older,
    };
    if config.replace_pid.is_some_and(|pid| pid != older.pid) {
        tracing::info!(pid = older.pid, "somebody else was faster");
        return Err(RunError::PortTaken { port });
    }
    tracing::info!(pid = older.pid, version = older.version, "taking over");
    let taken = timeout(PATIENCE, ask(config, token, older.pid)).await;
    let taken =
        taken.unwrap_or_else(|_| Err(failed(port, format!("no answer within {PATIENCE:?}"))));
    match taken {
        Err(RunError::Replace { .. }) if is_anothers(port, token, older.pid).await => {
            tracing::info!(pid = older.pid, "somebody else was faster meanwhile");
            Err(RunError::PortTaken { port })
        }
        taken => taken,
    }
}

/// Whether another has taken over, or is about to: then the older one may have been gone before it
/// heard us.
async fn is_anothers(port: u16, token: Option<&str>, older: u32) -> bool {
    let until = Instant::now() + BIND;
    while Instant::now() < until {
        match probe::ask(port).await.prove(port, token) {
            Found::Ours(hello) => return hello.pid != older,
            Found::Foreign(_) => return true,
            Found::Nobody => sleep(GLANCE).await,
        }
    }
    false
}

async fn ask(
    config: &RunConfig,
    token: Option<&str>,
    pid: u32,
) -> Result<Option<(Loopback, HandOver)>, RunError> {
    let port = config.port;
    let http_failed = |error: hyper::Error| failed(port, error.to_string());
    let stream = loopback::connect(port)
        .await
        .map_err(|error| failed(port, error.to_string()))?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(http_failed)?;
    let exchange = async {
        let mut request = to_broker(http::Method::POST, port, "replace", token);
        let body = serde_json::to_vec(&Replace { pid: Some(pid) });
        *request.body_mut() = body.expect("numbers always serialise").into();
        let response = sender.send_request(request).await.map_err(http_failed)?;
        // It has given the port up by now, and clients are coming.
        let listener = match response.status().as_u16() {
            200 => Some(bind(config).await?),
            _ => None,
        };
        let status = response.status();
        let body = response.into_body().collect().await.map_err(http_failed)?;
        let body = body.to_bytes();
        match listener {
            Some(listener) => {
                let over = serde_json::from_slice(&body)
                    .map_err(|error| failed(port, format!("it cannot be read: {error}")))?;
                Ok(Some((listener, over)))
            }
            None if status == http::StatusCode::CONFLICT => Err(RunError::PortTaken { port }),
            None => {
                let text = String::from_utf8_lossy(&body);
                Err(failed(port, format!("it answered {status}: {text}")))
            }
        }
    };
    tokio::pin!(exchange, connection);
    tokio::select! {
        taken = &mut exchange => taken,
        // The connection may end first; the answer is then there, or never comes.
        _ = &mut connection => exchange.await,
    }
}

async fn bind(config: &RunConfig) -> Result<Loopback, RunError> {
    let until = Instant::now() + BIND;
    loop {
        match Loopback::bind(config.port) {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < until => {
                sleep(GLANCE).await;
            }
            Err(error) => return Err(RunError::bind(config, error)),
        }
    }
}

fn failed(port: u16, what: String) -> RunError {
    RunError::Replace { port, what }
}
