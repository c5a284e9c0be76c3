//! What a listener may be told before it attaches.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: the one task of a listener starts here"
)]

use super::address::Address;
use super::attach::{Leases, Origin};
use super::carried::{Carried, CarriedCall};
use super::http::{Bytestream, Dial};
use super::hub::Hub;
use super::link::Link;
use super::listener::{BrokerListener, Handle};
use super::random;
use super::supervisor::Supervisor;
use super::task::Task;
use super::token::TokenSource;
use crate::launch::Launch;
use crate::native::{Host, WINDOW};
use crate::run::TOKEN_VARIABLE;
use mcp_transport_core::dial::Dialer;
use mcp_transport_core::loopback::connect_host;
use mcp_transport_core::{Error, ErrorKind, RetryPolicy};
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};

/// What a [`BrokerListener`] may be told before it attaches.
///
/// ```no_run
/// use mcp_transport_broker::host::BrokerListener;
/// use std::path::Path;
///
/// # async fn run() -> Result<(), mcp_transport_core::Error> {
/// let clients = BrokerListener::builder("http://127.0.0.1:8765")
///     .token(Path::new("/run/user/1000/mcp-broker/token"))
///     .name("unity_server")
///     .version(env!("CARGO_PKG_VERSION"))
///     .project("MyGame@1a2b3c4d")
///     .window(16)
///     .attach()?;
/// # drop(clients);
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing happens before `attach`"]
pub struct Builder {
    url: String,
    token: Option<TokenSource>,
    host: Host,
    window: usize,
    tunnel: Option<SocketAddr>,
    retry: RetryPolicy,
    dial: Option<Dial>,
    carried: Option<Carried>,
    launch: Option<Launch>,
}

/// The largest window that the native dialect knows.
const MAX_WINDOW: usize = 4_096;

/// Orders that wait for the task; who has one more waits with it.
const ORDERS: usize = 8;

impl Builder {
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            token: None,
            host: Host {
                name: program(),
                pid: Some(std::process::id()),
                ..Host::default()
            },
            window: WINDOW,
            tunnel: None,
            retry: RetryPolicy::local(),
            dial: None,
            carried: None,
            launch: None,
        }
    }

    pub(super) fn launched(launch: Launch) -> Self {
        let token = match std::env::var(TOKEN_VARIABLE) {
            Ok(token) => TokenSource::from(token),
            Err(_) => TokenSource::from(launch.files().token),
        };
        let mut builder = Self::new(&format!("http://127.0.0.1:{}", launch.port())).token(token);
        builder.launch = Some(launch);
        builder
    }

    /// What the broker wants to see; without it, the broker refuses.
    pub fn token(mut self, token: impl Into<TokenSource>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The host's name, for people. Default: the program's.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.host.name = name.into();
        self
    }

    /// The host's version, for people. Default: none.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.host.version = version.into();
        self
    }

    /// What the host has open; the broker keeps one catalogue of tools for each. Default: none.
    pub fn project(mut self, project: impl Into<String>) -> Self {
        self.host.project = project.into();
        self
    }

    /// How many calls the host takes at once, over all clients; the others wait at the broker, where
    /// they survive whatever happens to the host. Default 256; 1 to 4,096.
    pub fn window(mut self, calls: usize) -> Self {
        self.window = calls.clamp(1, MAX_WINDOW);
        self
    }

    /// An address of this machine that takes the WebSocket upgrades on the broker's port. Default:
    /// none.
    pub const fn tunnel(mut self, address: SocketAddr) -> Self {
        self.tunnel = Some(address);
        self
    }

    /// When to dial again. Default [`RetryPolicy::local`].
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Goes on where a former life of this code stopped, after
    /// [`detach_for_reload`](Handle::detach_for_reload): its answers are pushed, and its open calls
    /// are [`carried`](BrokerListener::carried) over.
    pub fn resume(mut self, carried: Carried) -> Self {
        self.carried = Some(carried);
        self
    }

    /// Brings your own connections to the broker in place of TCP: a pipe, a simulated network. The
    /// URL then only says what the header `Host` does, and the port that the broker proves itself
    /// by.
    ///
    /// Up to four are open at once; each call opens one.
    pub fn dial_with<F, Fut, IO>(mut self, dial: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<IO, Error>> + Send + 'static,
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.dial = Some(Arc::new(move || {
            let connected = dial();
            Box::pin(async move { Ok(Box::new(connected.await?) as Box<dyn Bytestream>) })
        }));
        self
    }

    /// Starts attaching, in a task of its own.
    ///
    /// # Errors
    /// [`ErrorKind::Incompatible`] for a URL that is none, [`ErrorKind::Unauthorized`] without a
    /// token, [`ErrorKind::Closed`] where the system has no randomness.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time.
    pub fn attach(self) -> Result<BrokerListener, Error> {
        let Address {
            host: address,
            port,
            authority,
        } = Address::parse(&self.url)?;
        let Some(token) = self.token else {
            let text = "no token: give the broker's, or the path of its file, to `token`";
            return Err(Error::new(ErrorKind::Unauthorized).context(text));
        };
        let mut host = self.host;
        host.instance = match &self.carried {
            // The life that this one continues: its lease is taken over at once.
            Some(carried) => carried.instance().to_owned(),
            None => random::hex()?,
        };
        let hub = Arc::new(Hub::default());
        let restore = |carried: Carried| hub.touch(|state| carried.restore(state));
        let calls = self.carried.map(restore).unwrap_or_default();
        let carry = |call| CarriedCall::new(Arc::clone(&hub), call);
        let carried = calls.into_iter().map(carry).collect();

        let dial = self.dial.unwrap_or_else(|| tcp(address, port));
        let (granted, gap) = (Arc::new(Mutex::new(None)), Arc::new(AtomicU64::new(0)));
        let instance = host.instance.clone();
        let supervisor = self.launch.map(Supervisor::new).map(Arc::new);
        let origin = Origin {
            dial,
            authority,
            port,
            token: token.clone(),
            host,
            window: self.window,
            tunnel: self.tunnel,
            hub: Arc::clone(&hub),
            gap: Arc::clone(&gap),
            supervisor: supervisor.clone(),
        };
        let leases = Leases::new(origin, Arc::clone(&granted));
        let dialer = Dialer::new(leases).retry(patient(self.retry, Arc::clone(&gap)));
        let (orders, ordered) = mpsc::channel(ORDERS);
        let (alive, is_alive) = oneshot::channel();
        let handle = Handle::new(orders, dialer.wake(), dialer.watch());
        let task = Task {
            hub: Arc::clone(&hub),
            link: Link {
                hub: Arc::clone(&hub),
                dialer,
                granted,
                token,
                supervisor,
                suspected: None,
            },
            gap,
            instance,
            orders: ordered,
            alive: is_alive,
        };
        tokio::spawn(task.run());
        Ok(BrokerListener::new(hub, handle, carried, alive))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("url", &self.url)
            .field("host", &self.host)
            .field("window", &self.window)
            .field("tunnel", &self.tunnel)
            .field("retry", &self.retry)
            .field("carried", &self.carried)
            .field("launch", &self.launch)
            .finish_non_exhaustive()
    }
}

fn tcp(host: String, port: u16) -> Dial {
    Arc::new(move || {
        let host = host.clone();
        Box::pin(async move {
            let stream = connect_host(&host, port).await?;
            Ok(Box::new(stream) as Box<dyn Bytestream>)
        })
    })
}

/// The policy, but that a reload which the host itself has announced takes its time.
fn patient(policy: RetryPolicy, gap: Arc<AtomicU64>) -> RetryPolicy {
    RetryPolicy::from_fn(move |attempt| {
        let announced = Duration::from_millis(gap.load(Ordering::Relaxed));
        Some(policy.delay(attempt)?.max(announced))
    })
}

fn program() -> String {
    let path = std::env::current_exe().ok();
    let stem = path.as_deref().and_then(std::path::Path::file_stem);
    stem.map_or_else(
        || "host".to_owned(),
        |stem| stem.to_string_lossy().into_owned(),
    )
}
