//! The dial loop: connect, retry, wake, state. Used by whatever holds one connection after the
//! other.
//!
//! The first dial is at once. Which wait follows which ending is decided by [`Schedule`], which is
//! pure; [`Dialer`] waits and dials.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: it waits and reads the clock for the schedule"
)]

mod schedule;
mod state;
mod wake;

pub use schedule::{Next, Schedule};
pub use state::State;
pub use wake::Wake;

use crate::error::{Error, ErrorKind};
use crate::eviction::{Eviction, EvictionReason};
use crate::keepalive::SleepWatch;
use crate::retry::RetryPolicy;
use crate::transport::Connector;
use std::fmt;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;
use tokio::time;
use wake::Woken;

/// Makes one connection after the other: a [`Connector`], a [`RetryPolicy`], a time-out, a [`Wake`]
/// and a [`State`].
///
/// Whoever uses it says when a connection is [established](Self::established), its handshake
/// included, and how it [ended](Self::ended).
///
/// ```
/// use mcp_transport_core::dial::Dialer;
/// use mcp_transport_core::{Error, ErrorKind, memory};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let mut starting = true;
/// let mut dialer = Dialer::new(move || {
///     let starting = std::mem::take(&mut starting);
///     async move {
///         if starting {
///             return Err(Error::new(ErrorKind::Unreachable));
///         }
///         Ok(memory::pair(8).0)
///     }
/// });
/// let link = dialer.connect().await.unwrap();
/// dialer.established();
/// assert!(dialer.watch().borrow().is_connected());
/// # });
/// ```
pub struct Dialer<C> {
    connector: C,
    schedule: Schedule,
    connect_timeout: Option<Duration>,
    wake: Wake,
    woken: Woken,
    state: watch::Sender<State>,
    plan: Plan,
    connections: u64,
}

/// What the next [`Dialer::connect`] does first.
#[derive(Clone, Debug)]
enum Plan {
    Dial,
    /// `None`: until woken.
    Wait(Option<Instant>),
    End(Error),
}

impl<C: Connector> Dialer<C> {
    /// How long one dial may take, unless the connector or
    /// [`connect_timeout`](Self::connect_timeout) says otherwise.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

    /// With [`RetryPolicy::local`].
    pub fn new(connector: C) -> Self {
        let (wake, woken) = Wake::new();
        Self {
            connector,
            schedule: Schedule::new(RetryPolicy::local()),
            connect_timeout: None,
            wake,
            woken,
            state: watch::Sender::new(State::Connecting),
            plan: Plan::Dial,
            connections: 0,
        }
    }

    /// Sets the policy; before the first dial.
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.schedule = Schedule::new(policy);
        self
    }

    /// Sets how long one dial may take; [`Duration::MAX`] is for ever.
    #[must_use]
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// Waits as long as the schedule says and dials, until a dial succeeds.
    ///
    /// # Errors
    /// The ending after which there will be no further dial; again and again, if called again.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the dial that is under way. A wait is kept: a later call waits
    /// for the rest of it.
    pub async fn connect(&mut self) -> Result<C::Transport, Error> {
        loop {
            match self.plan.clone() {
                Plan::End(cause) => return Err(cause),
                Plan::Wait(due) => {
                    tokio::select! {
                        () = until(due) => {}
                        () = self.woken.woken() => {}
                    }
                    self.plan = Plan::Dial;
                }
                Plan::Dial => {
                    self.publish(State::Connecting);
                    match self.dial().await {
                        Ok(transport) => return Ok(transport),
                        Err(error) => {
                            tracing::debug!(%error, attempt = self.schedule.failures(), "a dial failed");
                            self.file(&error);
                        }
                    }
                }
            }
        }
    }

    /// The connection is up, its handshake included: publishes [`State::Connected`], and the proof
    /// begins.
    pub fn established(&mut self) {
        self.schedule.established(now());
        self.connections += 1;
        self.publish(State::Connected {
            session: self.connections,
        });
    }

    /// The connection is over, or its handshake failed: publishes what follows, which the next
    /// [`connect`](Self::connect) does.
    pub fn ended(&mut self, cause: &Error) {
        // What came before it was established counts for the attempt, and what came since `renew`
        // came after it.
        if self.state.borrow().is_connected() {
            self.woken.forget();
        }
        self.file(cause);
    }

    /// The connection is over, and so is its peer, which whoever calls this starts anew with the
    /// next dial: publishes [`State::Connecting`], and that dial is at once and uses up no step of
    /// the schedule. The caller bounds how often; if it turns out that the peer is there after all,
    /// [`ended`](Self::ended) says so.
    pub fn renew(&mut self) {
        self.woken.forget();
        self.schedule.renewed(now());
        self.plan = Plan::Dial;
        self.publish(State::Connecting);
    }

    /// There will be no further dial: publishes [`State::Closed`].
    pub fn close(&mut self, cause: Error) {
        self.plan = Plan::End(cause.clone());
        self.publish(State::Closed { cause });
    }

    /// How it is doing, now and from now on.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// By which others end a wait.
    pub fn wake(&self) -> Wake {
        self.wake.clone()
    }

    async fn dial(&mut self) -> Result<C::Transport, Error> {
        let limit = self
            .connect_timeout
            .or_else(|| self.connector.patience())
            .unwrap_or(Self::CONNECT_TIMEOUT);
        match time::timeout(limit, self.connector.connect()).await {
            Ok(result) => result,
            Err(_) => Err(Error::new(ErrorKind::TimedOut)
                .context(format!("no connection within {} ms", limit.as_millis()))),
        }
    }

    fn file(&mut self, cause: &Error) {
        let now = now();
        let next = self.schedule.ended(now, cause);
        let attempt = self.schedule.failures();
        let waiting = |delay| State::Waiting {
            attempt,
            delay,
            cause: cause.clone(),
        };
        let (plan, state) = match next {
            Next::Wait(delay) => (Plan::Wait(now.checked_add(delay)), waiting(Some(delay))),
            Next::OnWake => (Plan::Wait(None), waiting(None)),
            Next::Standby => {
                // Who woke us did not know of the newer client.
                self.woken.forget();
                let eviction = eviction(cause);
                (Plan::Wait(None), State::Standby { eviction })
            }
            Next::End => (
                Plan::End(cause.clone()),
                State::Closed {
                    cause: cause.clone(),
                },
            ),
        };
        self.plan = plan;
        self.publish(state);
    }

    fn publish(&self, state: State) {
        tracing::debug!(?state, "link");
        self.state.send_replace(state);
    }
}

impl<C> fmt::Debug for Dialer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer")
            .field("state", &self.state.borrow())
            .field("schedule", &self.schedule)
            .finish_non_exhaustive()
    }
}

/// What is known of a lost seat, also where the peer only named the reason.
fn eviction(cause: &Error) -> Eviction {
    match (cause.eviction(), cause.kind()) {
        (Some(eviction), _) => eviction.clone(),
        (None, ErrorKind::Evicted(reason)) => Eviction::new(reason).saying(cause.to_string()),
        (None, _) => Eviction::new(EvictionReason::Superseded),
    }
}

/// How often a long wait looks whether the machine slept.
const GLANCE: Duration = Duration::from_secs(1);

/// Resolves when it is due, or when the machine wakes up: what was out of reach may be back.
async fn until(due: Option<Instant>) {
    let Some(due) = due else {
        return std::future::pending().await;
    };
    let mut looked = now();
    let mut watch = SleepWatch::new(looked, SystemTime::now());
    loop {
        // From when the clocks were read: by a fresh look nobody would be late who was frozen since.
        let glance = due.min(looked + GLANCE);
        time::sleep_until(glance.into()).await;
        looked = now();
        let slept = watch.observe(looked, SystemTime::now(), Some(glance));
        if looked >= due || slept.is_some() {
            return;
        }
    }
}

/// By tokio's clock, which tests can pause.
fn now() -> Instant {
    time::Instant::now().into_std()
}
