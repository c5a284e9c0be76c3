//! What is known of one connection, beside its bytes.
#![expect(
    clippy::disallowed_methods,
    reason = "the shell that watches over connections"
)]

use super::handed::Handed;
use super::hub::Hub;
use super::thaw;
use super::tunnel::Tunnel;
use crate::broker::{ClientId, Lease};
use crate::native::{Era, Meet};
use mcp_transport_core::guard::HEAD_TIMEOUT;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A connection without a request is closed after this: 5 min.
pub(super) const IDLE: Duration = Duration::from_secs(300);

/// After this long without a request, a connection's buffers are given back: 10 ms. They cost
/// 16 KiB, and making them anew less than a system call.
const SETTLED: Duration = Duration::from_millis(10);

/// A reader that takes nothing for this long is cut off: 5 min.
const STALLED: Duration = Duration::from_secs(300);

/// One connection. Its end is the end of what depends on it.
pub(crate) struct Conn {
    hub: Arc<Hub>,
    state: Mutex<State>,
    killed: Notify,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// The socket takes nothing since then.
    blocked: Option<Instant>,
    /// What is being answered waits for something.
    waits: Option<Waits>,
    /// A modern client's lane.
    lane: Option<(ClientId, &'static str)>,
    /// The lease that it last spoke for.
    lease: Option<Lease>,
    /// What a pull got, and has not been written.
    handed: Option<Handed>,
    /// After its answer it goes on as bytes.
    tunnel: Option<Tunnel>,
}

/// Where in a request a connection is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// No request, since then.
    Idle(Instant),
    /// The head of one is coming, since then.
    Head(Instant),
    /// It is being answered.
    Busy,
    /// The whole answer is with the writer.
    Answered,
}

/// For how long something is waited for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Waits {
    Until(Instant),
    /// It has taken too long.
    Over,
}

/// What to do about a connection that does nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Check {
    /// Nothing, until it is [due](Conn::due).
    Wait,
    /// What is being answered has waited for long enough: ask it.
    Ask,
    /// It has been quiet for a while: give its buffers back.
    Settle,
    /// Close it.
    Close(&'static str),
}

impl State {
    fn due(&self) -> Option<Instant> {
        let phase = match self.phase {
            Phase::Idle(since) => Some(since + SETTLED),
            Phase::Head(since) => Some(since + HEAD_TIMEOUT),
            Phase::Busy | Phase::Answered => None,
        };
        let waits = match self.waits {
            Some(Waits::Until(at)) => Some(at),
            _ => None,
        };
        [phase, self.stalled(), waits].into_iter().flatten().min()
    }

    fn stalled(&self) -> Option<Instant> {
        self.blocked.map(|since| since + STALLED)
    }

    /// Every deadline moves.
    fn slept(&mut self, gap: Duration) {
        if let Phase::Idle(since) | Phase::Head(since) = &mut self.phase {
            *since += gap;
        }
        if let Some(since) = &mut self.blocked {
            *since += gap;
        }
        if let Some(Waits::Until(at)) = &mut self.waits {
            *at += gap;
        }
    }
}

impl Conn {
    pub(super) fn new(hub: Arc<Hub>) -> Arc<Self> {
        Arc::new(Self {
            hub,
            state: Mutex::new(State {
                phase: Phase::Head(Instant::now()),
                blocked: None,
                waits: None,
                lane: None,
                lease: None,
                handed: None,
                tunnel: None,
            }),
            killed: Notify::new(),
        })
    }

    /// HTTP begins on it, or begins again. `early`: with bytes that have come already. The first
    /// head is due from the accept on.
    pub(super) fn opens(&self, early: bool) {
        let (now, mut state) = (Instant::now(), self.lock());
        state.phase = match state.phase {
            Phase::Head(since) => Phase::Head(since),
            _ if early => Phase::Head(now),
            _ => Phase::Idle(now),
        };
    }

    /// Bytes came.
    pub(super) fn read(&self) {
        let mut state = self.lock();
        if let Phase::Idle(since) = state.phase {
            // A few ms early at most, while anybody here is awake: then a quiet connection settles.
            state.phase = Phase::Head(since);
        }
    }

    /// Waits for something while a request is answered, and for so long at most; `None`: it has not
    /// come.
    ///
    /// A connection has one timer for whatever it waits for, which is hardly ever set: one of its
    /// own for each request would cost more than all else about the waiting. What is there already
    /// is not waited for.
    ///
    /// # Cancel safety
    /// As `wait` has it.
    pub(super) async fn within<F: Future>(&self, limit: Duration, wait: F) -> Option<F::Output> {
        let mut wait = pin!(wait);
        let mut waits = false;
        poll_fn(|cx| {
            let polled = wait.as_mut().poll(cx).map(Some);
            if polled.is_ready() && !waits {
                return polled;
            }
            let mut state = self.lock();
            match (polled, state.waits) {
                (Poll::Pending, Some(Waits::Over)) if waits => Poll::Ready(None),
                (Poll::Pending, _) if waits => Poll::Pending,
                (Poll::Pending, _) => {
                    waits = true;
                    state.waits = Some(Waits::Until(Instant::now() + limit));
                    Poll::Pending
                }
                (ready, _) => {
                    state.waits = None;
                    ready
                }
            }
        })
        .await
    }

    /// A head is complete.
    pub(super) fn begins(&self) {
        self.lock().phase = Phase::Busy;
    }

    /// The answer is with the writer, or will never be.
    pub(super) fn answered(&self) {
        let mut state = self.lock();
        state.phase = Phase::Answered;
        state.waits = None;
    }

    /// Everything is with the operating system.
    pub(super) fn flushed(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Answered {
            state.phase = Phase::Idle(Instant::now());
        }
        if let Some(handed) = state.handed.take() {
            handed.written();
        }
    }

    /// The socket takes nothing more, or does again.
    pub(super) fn blocked(&self, blocked: bool) {
        self.lock().blocked = blocked.then(Instant::now);
    }

    /// A pull's answer is with the writer; until it is flushed, it can be given back.
    pub(super) fn hands(&self, handed: Handed) {
        let former = self.lock().handed.replace(handed);
        // Not under the lock: what is given back goes to the hub.
        drop(former);
    }

    /// After its answer it goes on as bytes.
    pub(super) fn tunnels(&self, tunnel: Tunnel) {
        self.lock().tunnel = Some(tunnel);
    }

    pub(super) fn tunnel(&self) -> Option<Tunnel> {
        self.lock().tunnel.take()
    }

    /// When to [check](Self::check), if nothing happens until then. Reads no clock: it is asked
    /// whenever the connection has done something.
    pub(super) fn due(&self) -> Option<Instant> {
        self.lock().due()
    }

    /// What to do now that something is due, or was when the timer was set.
    pub(super) fn check(&self) -> Check {
        let (now, mut state) = (Instant::now(), self.lock());
        let Some(due) = state.due().filter(|due| *due <= now) else {
            return Check::Wait;
        };
        if let Some(gap) = thaw::gap(due.into_std(), now.into_std()) {
            state.slept(gap);
            return Check::Wait;
        }
        if state.stalled().is_some_and(|due| due <= now) {
            return Check::Close("the reader has stalled");
        }
        if let Some(Waits::Until(at)) = state.waits {
            if at <= now {
                state.waits = Some(Waits::Over);
                return Check::Ask;
            }
        }
        match state.phase {
            Phase::Idle(_) => Check::Settle,
            _ => Check::Close("the head of a request did not come in time"),
        }
    }

    /// Cuts it off.
    pub(super) fn kill(&self) {
        self.killed.notify_one();
    }

    pub(super) async fn killed(&self) {
        self.killed.notified().await;
    }

    /// The modern client that this connection is.
    pub(super) fn lane(&self, version: &'static str) -> Result<ClientId, crate::broker::Refusal> {
        let former = self.lock().lane;
        if let Some((client, _)) = former.filter(|(_, known)| *known == version) {
            return Ok(client);
        }
        let meet = Meet {
            era: Era::Modern,
            version: version.to_owned(),
        };
        let client = self.hub.meet(meet)?;
        self.lock().lane = Some((client, version));
        if let Some((former, _)) = former {
            self.hub.gone(former);
        }
        Ok(client)
    }

    /// Whether this connection has spoken for a lease.
    pub(super) fn is_a_hosts(&self) -> bool {
        self.lock().lease.is_some()
    }

    /// This connection speaks for a lease.
    pub(crate) fn speaks_for(&self, lease: Lease) {
        let former = self.lock().lease.replace(lease);
        if former != Some(lease) {
            self.hub.connection(former, Some(lease));
        }
    }

    /// It is over.
    fn end(&self) {
        let (lane, lease, handed) = {
            let mut state = self.lock();
            (state.lane.take(), state.lease.take(), state.handed.take())
        };
        drop(handed);
        if let Some((client, _)) = lane {
            self.hub.gone(client);
        }
        if lease.is_some() {
            self.hub.connection(lease, None);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nobody panics with a connection's state in hand")
    }
}

/// Ends a connection, however its task ends.
#[derive(Debug)]
pub(super) struct End(pub(super) Arc<Conn>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::{Broker, Config};
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn nothing_of_a_connection_is_due_before_what_has_come_in_a_sleep_could_be_read() {
        let s = Duration::from_secs;
        let broker = Broker::new(Config::default(), || [0; 16]);
        let hub = Hub::new(broker, None, None);
        let fresh = || Conn::new(hub.clone());
        let (head, body, writer) = (fresh(), fresh(), fresh());
        body.begins();
        body.lock().waits = Some(Waits::Until(Instant::now() + s(30)));
        writer.begins();
        writer.blocked(true);
        let late = [(&head, HEAD_TIMEOUT), (&body, s(30)), (&writer, STALLED)];
        for (conn, limit) in late {
            advance(limit + s(3_600)).await;
            assert_eq!(conn.check(), Check::Wait);
            assert_eq!(conn.due(), Some(Instant::now() + s(1)));
            advance(s(1)).await;
            assert_ne!(conn.check(), Check::Wait);
        }
    }
}
