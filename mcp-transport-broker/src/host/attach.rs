//! Getting a lease: what a dial is for the dial loop.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: it waits until a broker that is busy may be asked again"
)]

use super::http::{Caller, Connection, Dial};
use super::hub::Hub;
use super::supervisor::Supervisor;
use super::token::TokenSource;
use crate::native::{Attach, Attached, Host, PROTOCOL};
use http::HeaderValue;
use mcp_transport_core::{Connector, Error, ErrorKind, memory};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long one dial asks again for a lease that somebody has; after that the schedule decides.
const ASK_AGAIN: Duration = Duration::from_secs(3);

/// What does not change from one lease to the next.
#[derive(Clone)]
pub(super) struct Origin {
    pub(super) dial: Dial,
    pub(super) authority: HeaderValue,
    pub(super) port: u16,
    pub(super) token: TokenSource,
    pub(super) host: Host,
    pub(super) window: usize,
    pub(super) tunnel: Option<SocketAddr>,
    pub(super) hub: Arc<Hub>,
    /// The wait that the host itself announced, in milliseconds; 0 for none.
    pub(super) gap: Arc<AtomicU64>,
    /// Finds the broker or starts it before each attach.
    pub(super) supervisor: Option<Arc<Supervisor>>,
}

/// A lease, and the connection that it was granted on.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) caller: Caller,
    pub(super) connection: Connection,
    pub(super) ping: Duration,
    pub(super) silence: Duration,
}

/// Dials for leases.
///
/// The dial loop wants transports, and a lease is none: it is put aside here, and the loop gets a
/// stand-in.
pub(super) struct Leases {
    origin: Origin,
    reason: &'static str,
    granted: Arc<Mutex<Option<Granted>>>,
}

impl Leases {
    pub(super) fn new(origin: Origin, granted: Arc<Mutex<Option<Granted>>>) -> Self {
        let carried = origin.hub.touch(|state| state.lease().is_some());
        let reason = if carried { "reload" } else { "start" };
        Self {
            origin,
            reason,
            granted,
        }
    }
}

impl Connector for Leases {
    type Transport = memory::End;

    async fn connect(&mut self) -> Result<memory::End, Error> {
        if self.origin.gap.swap(0, Ordering::Relaxed) > 0 {
            self.reason = "reload";
        }
        let granted = self.origin.attach_when_free(self.reason).await?;
        self.reason = "reconnect";
        *self.granted.lock().unwrap_or_else(PoisonError::into_inner) = Some(granted);
        Ok(memory::pair(1).0)
    }
}

impl Origin {
    /// Attaches; while the broker has a host that it is not sure of, it says when to ask again, and
    /// is asked then: mostly that one is a former life of ours which has just been killed. A broker
    /// that was killed before it granted the lease is started again.
    async fn attach_when_free(&self, reason: &str) -> Result<Granted, Error> {
        let mut left = ASK_AGAIN;
        loop {
            if let Some(supervisor) = &self.supervisor {
                supervisor.launch.ensure().await?;
            }
            let error = match self.attach(reason).await {
                Err(error) => error,
                granted => return granted,
            };
            if let Some(supervisor) = &self.supervisor {
                if supervisor.starts_another(&error).await {
                    continue;
                }
            }
            match error.retry_after() {
                Some(wait) if wait <= left => {
                    tokio::time::sleep(wait).await;
                    left -= wait;
                }
                _ => return Err(error),
            }
        }
    }

    async fn attach(&self, reason: &str) -> Result<Granted, Error> {
        let mut caller = Caller {
            dial: Arc::clone(&self.dial),
            authority: self.authority.clone(),
            port: self.port,
            token: self.token.header()?,
            lease: None,
        };
        let attach = Attach {
            protocol: PROTOCOL,
            host: self.host.clone(),
            window: self.window,
            reason: reason.to_owned(),
            holds_connection: true,
            tunnel: self.tunnel,
            former: self.hub.touch(|state| state.former()),
        };
        let body = serde_json::to_vec(&attach).expect("an attach always serialises");
        let mut connection = Connection::default();
        // The dial loop has a time-out of its own.
        let limit = Duration::from_secs(3_600);
        let answer = caller
            .post(&mut connection, "attach", body.into(), limit)
            .await?;
        let granted = read(&answer)?;
        caller.lease = Some(granted.1);
        let attached = granted.0;
        tracing::debug!(broker = ?attached.broker, "attached");
        self.hub.touch(|state| state.attached(&attached));
        Ok(Granted {
            caller,
            connection,
            ping: at_least(attached.ping_ms, 100),
            silence: at_least(attached.silence_ms, 1_000),
        })
    }
}

fn read(answer: &[u8]) -> Result<(Attached, HeaderValue), Error> {
    let wrong = |error: String| {
        let text = format!("what the broker granted cannot be read: {error}");
        Error::new(ErrorKind::Malformed).context(text)
    };
    let attached: Attached =
        serde_json::from_slice(answer).map_err(|error| wrong(error.to_string()))?;
    let lease = HeaderValue::from_str(&attached.lease).map_err(|error| wrong(error.to_string()))?;
    Ok((attached, lease))
}

fn at_least(millis: u64, least: u64) -> Duration {
    Duration::from_millis(millis.max(least))
}
