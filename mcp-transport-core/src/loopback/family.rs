//! One family's socket: accepting, waiting, or being bound again.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: it waits, and looks at the clock"
)]

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::accept_error::{AcceptError, Platform, is_absent, is_port_taken};
use super::bind::{Accept, Bind};
use super::health::{FamilyState, Reporter};

/// The least time from one bind to the next, and between attempts at it: 250 ms.
pub const REBIND_WAIT: Duration = Duration::from_millis(250);

/// Between attempts to bind a family that the machine never had: 30 s.
pub const ABSENT_RETRY: Duration = Duration::from_secs(30);

/// How long to wait for file descriptors or memory: 100 ms.
pub const EXHAUSTED_WAIT: Duration = Duration::from_millis(100);

/// How many transient errors in a row make a socket dead: 100.
pub const TRANSIENTS: u32 = 100;

#[derive(Debug)]
pub(super) struct Family<L> {
    /// `None` if this family is not wanted.
    address: Option<SocketAddr>,
    /// `None` while the socket is dead.
    listener: Option<L>,
    /// Nothing is tried before this.
    wait: Option<Pin<Box<Sleep>>>,
    bound_at: Instant,
    has_listened: bool,
    transients: u32,
    report: Reporter,
}

impl<L: Accept> Family<L> {
    pub(super) fn new(address: SocketAddr, bound: io::Result<L>, report: Reporter) -> Self {
        let mut family = Self {
            address: Some(address),
            ..Self::off(report)
        };
        family.bound(bound);
        family
    }

    pub(super) fn off(report: Reporter) -> Self {
        Self {
            address: None,
            listener: None,
            wait: None,
            bound_at: Instant::now(),
            has_listened: false,
            transients: 0,
            report,
        }
    }

    pub(super) fn poll_accept<B: Bind<Listener = L>>(
        &mut self,
        binder: &mut B,
        cx: &mut Context<'_>,
    ) -> Poll<(TcpStream, SocketAddr)> {
        let Some(address) = self.address else {
            return Poll::Pending;
        };
        loop {
            if let Some(wait) = &mut self.wait {
                ready!(wait.as_mut().poll(cx));
                self.wait = None;
            }
            let Some(listener) = &mut self.listener else {
                let bound = binder.bind(address);
                self.bound(bound);
                continue;
            };
            match ready!(listener.poll_accept(cx)) {
                Ok((stream, from)) => {
                    self.transients = 0;
                    self.report.accepted();
                    // Fails only if the client is gone already, which whoever reads will see.
                    let _ = stream.set_nodelay(true);
                    return Poll::Ready((stream, from));
                }
                Err(error) => self.failed(&error),
            }
        }
    }

    fn bound(&mut self, bound: io::Result<L>) {
        self.bound_at = Instant::now();
        self.transients = 0;
        match bound {
            Ok(listener) => {
                self.listener = Some(listener);
                self.has_listened = true;
                self.report.listening();
            }
            Err(error) => {
                let state = if is_port_taken(&error, Platform::CURRENT) {
                    FamilyState::PortTaken
                } else if is_absent(&error, Platform::CURRENT) {
                    FamilyState::Absent
                } else {
                    FamilyState::Rebinding
                };
                let was_never_there = state == FamilyState::Absent && !self.has_listened;
                let wait = if was_never_there {
                    ABSENT_RETRY
                } else {
                    REBIND_WAIT
                };
                self.wait_for(wait);
                self.report.bind_failed(state, &error);
            }
        }
    }

    fn failed(&mut self, error: &io::Error) {
        match AcceptError::classify(error, Platform::CURRENT) {
            AcceptError::Transient if self.transients + 1 < TRANSIENTS => {
                self.transients += 1;
                self.report.transient(error);
            }
            AcceptError::Exhausted => {
                self.wait_for(EXHAUSTED_WAIT);
                self.report.exhausted(error);
            }
            AcceptError::Transient | AcceptError::Dead => {
                // Closed before it is bound again, or it would hold its own port.
                self.listener = None;
                self.wait = Some(Box::pin(sleep_until(self.bound_at + REBIND_WAIT)));
                self.report.died(error);
            }
        }
    }

    fn wait_for(&mut self, time: Duration) {
        self.wait = Some(Box::pin(sleep_until(Instant::now() + time)));
    }
}
