//! The keep-alive's timer: core decides, this asks the clocks.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: it owns the keep-alive's timer"
)]

use mcp_transport_core::keepalive::{KeepAlive, KeepAliveConfig, Verdict};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, Sleep, sleep_until};

/// What the keep-alive wants now.
pub(crate) enum Beat {
    Ping,
    Dead { silence: Duration },
}

#[derive(Debug)]
pub(crate) struct Pulse {
    state: KeepAlive,
    timer: Pin<Box<Sleep>>,
}

impl Pulse {
    pub(crate) fn new(config: KeepAliveConfig) -> Self {
        let now = Instant::now();
        let state = KeepAlive::new(config, now.into_std(), SystemTime::now());
        let due = state.poll_timeout().map_or(now, Instant::from_std);
        Self {
            state,
            timer: Box::pin(sleep_until(due.min(now + GLANCE))),
        }
    }

    pub(crate) fn heard(&mut self) {
        self.state.heard(Instant::now().into_std());
    }

    /// Waits for the timer. After `Pending` the caller is woken when it fires; `Ready` wants another call.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Beat> {
        loop {
            let Some(due) = self.state.poll_timeout() else {
                return Poll::Pending;
            };
            let due = Instant::from_std(due);
            if self.timer.deadline() > due {
                self.timer.as_mut().reset(due);
            }
            std::task::ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            let verdict = self.state.handle_timeout(now.into_std(), SystemTime::now());
            self.timer.as_mut().reset(now + GLANCE);
            match verdict {
                Verdict::Dead { silence } => return Poll::Ready(Beat::Dead { silence }),
                // Whoever slept has no deadlines here beside this one, which the probe starts afresh.
                Verdict::Ping | Verdict::Slept(_) => return Poll::Ready(Beat::Ping),
                _ => {}
            }
        }
    }
}

/// How often to look whether the machine slept: where the monotonic clock stops in sleep, no timer is late after it.
const GLANCE: Duration = Duration::from_secs(1);
