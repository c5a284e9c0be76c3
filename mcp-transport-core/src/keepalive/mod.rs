//! Is the peer still there? Idle, then a ping, then dead; and no peer dies of our own sleep.
//!
//! ```text
//!            idle for `interval`              silent for `patience`
//!   Quiet ──────────────────────▶ Pinged ──────────────────────────▶ Dead
//!     ▲                           │  ▲
//!     └────────── heard ──────────┘  └── slept: probe at once, patience afresh (from Quiet, too)
//! ```
//!
//! Pure: both clocks are arguments. The shell keeps one timer on [`KeepAlive::poll_timeout`], calls
//! [`KeepAlive::heard`] for everything that it reads and [`KeepAlive::handle_timeout`] when the
//! timer fires, and looks at the timer again after either. Hearing something seldom moves the
//! timer: it fires at least once per `interval`, also on a busy connection, finds nothing to do,
//! and so notices that the machine slept. Where the monotonic clock stops in sleep, that is up to
//! one `interval` or `patience` after waking; a shell that wants to know sooner calls it more
//! often, which is harmless.
//!
//! ```
//! use std::time::{Duration, Instant, SystemTime};
//! use mcp_transport_core::keepalive::{KeepAlive, KeepAliveConfig, Verdict};
//!
//! # #[allow(clippy::disallowed_methods)]
//! # let (start, wall) = (Instant::now(), SystemTime::now());
//! let s = Duration::from_secs;
//! let config = KeepAliveConfig::default().interval(s(10)).patience(s(20));
//! let mut peer = KeepAlive::new(config, start, wall);
//!
//! assert_eq!(peer.poll_timeout(), Some(start + s(10)));
//! assert_eq!(peer.handle_timeout(start + s(10), wall + s(10)), Verdict::Ping);
//! assert_eq!(peer.handle_timeout(start + s(30), wall + s(30)), Verdict::Dead { silence: s(30) });
//! ```

use std::time::{Duration, Instant, SystemTime};

pub use sleep::{Gap, SleepWatch, TOLERANCE};

mod sleep;

/// How long a connection may be idle, and how long a ping may go unanswered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct KeepAliveConfig {
    /// Silence after which the peer is pinged: 10 s by default.
    pub interval: Duration,
    /// Silence after that ping with which the peer is dead: 20 s by default.
    pub patience: Duration,
}

impl KeepAliveConfig {
    /// Sets the silence after which the peer is pinged.
    ///
    /// Less than 100 ms counts as 100 ms, lest pings crowd the wire; [`Duration::MAX`] is never.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Sets the silence after a ping with which the peer is dead.
    ///
    /// Less than 100 ms counts as 100 ms; [`Duration::MAX`] is never.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}

impl Default for KeepAliveConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            patience: Duration::from_secs(20),
        }
    }
}

/// What to do now that the timer has fired.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// Nothing; the timer has a new time.
    Nothing,
    /// Ping the peer.
    Ping,
    /// The peer was pinged and stayed silent: end the connection. It stays dead.
    Dead {
        /// How long nothing was heard, by the monotonic clock.
        silence: Duration,
    },
    /// The machine, or this process, was not awake. Ping the peer at once, for it may be gone, and
    /// give every budget back what the gap took of it ([`Gap::counted`]).
    Slept(Gap),
}

/// One peer's keep-alive.
#[derive(Clone, Debug)]
pub struct KeepAlive {
    interval: Duration,
    patience: Duration,
    heard_at: Instant,
    state: State,
    /// When the timer fires next; `None` is never.
    due: Option<Instant>,
    sleep: SleepWatch,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Quiet,
    Pinged,
    Dead { silence: Duration },
}

impl KeepAlive {
    /// A keep-alive for a peer that was heard just now, say by its handshake.
    pub fn new(config: KeepAliveConfig, now: Instant, wall: SystemTime) -> Self {
        let interval = config.interval.max(FLOOR);
        Self {
            interval,
            patience: config.patience.max(FLOOR),
            heard_at: now,
            state: State::Quiet,
            due: now.checked_add(interval),
            sleep: SleepWatch::new(now, wall),
        }
    }

    /// Notes that the peer sent something, be it a pong, a message or a part of one.
    pub fn heard(&mut self, now: Instant) {
        self.heard_at = now;
        if self.state == State::Pinged {
            self.state = State::Quiet;
            // A timer that should have fired by now may be late by a night: leave it to tell so.
            if self.due.is_none_or(|due| now <= due) {
                self.due = self.heard_at.checked_add(self.interval);
            }
        }
    }

    /// Decides what to do at `now`. Harmless before the timer is due.
    pub fn handle_timeout(&mut self, now: Instant, wall: SystemTime) -> Verdict {
        if let State::Dead { silence } = self.state {
            return Verdict::Dead { silence };
        }
        if let Some(gap) = self.sleep.observe(now, wall, self.due) {
            self.ping(now);
            return Verdict::Slept(gap);
        }
        let is_due = self.due.is_some_and(|due| due <= now);
        match self.state {
            State::Pinged if is_due => self.give_up(now),
            State::Quiet if is_due => self.ping_if_idle(now),
            _ => Verdict::Nothing,
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    fn ping_if_idle(&mut self, now: Instant) -> Verdict {
        self.due = self.heard_at.checked_add(self.interval);
        if self.due.is_none_or(|due| now < due) {
            return Verdict::Nothing;
        }
        self.ping(now);
        Verdict::Ping
    }

    fn ping(&mut self, now: Instant) {
        self.state = State::Pinged;
        self.due = now.checked_add(self.patience);
    }

    fn give_up(&mut self, now: Instant) -> Verdict {
        let silence = now.saturating_duration_since(self.heard_at);
        self.state = State::Dead { silence };
        self.due = None;
        Verdict::Dead { silence }
    }
}

/// The shortest interval and patience.
const FLOOR: Duration = Duration::from_millis(100);
