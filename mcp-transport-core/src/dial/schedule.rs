//! Which wait follows which ending. Pure: `now` is an argument, and somebody else waits.

use crate::error::{Error, Reconnect};
use crate::retry::RetryPolicy;
use std::time::{Duration, Instant};

/// What a dial loop does after an ending.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a dial loop must handle each; a new one is a breaking change"
)]
pub enum Next {
    /// Dial after this wait, or when woken.
    Wait(Duration),
    /// Dial only when woken: a newer client has the seat, and we never duel.
    Standby,
    /// Dial only when woken: waiting alone mends nothing.
    OnWake,
    /// Never dial again.
    End,
}

/// The decision of the dial loop: a [`RetryPolicy`], and how far along it we are.
///
/// The steps are used up in turn, by dials that fail and by connections that end too soon, and
/// start over only after a connection **proved itself**: 5 s alive after it was
/// [established](Self::established). So a peer that accepts, welcomes and closes is dialled as
/// seldom as one that is not there.
///
/// ```
/// use mcp_transport_core::dial::{Next, Schedule};
/// use mcp_transport_core::{ErrorKind, RetryPolicy};
/// use std::time::{Duration, Instant};
///
/// # fn doc(now: Instant) {
/// let mut schedule = Schedule::new(RetryPolicy::local());
/// let gone = ErrorKind::Unreachable.into();
/// assert_eq!(schedule.ended(now, &gone), Next::Wait(Duration::ZERO));
/// assert_eq!(schedule.ended(now, &gone), Next::Wait(Duration::from_secs(1)));
///
/// schedule.established(now);
/// let later = now + Schedule::PROOF;
/// assert_eq!(schedule.ended(later, &gone), Next::Wait(Duration::ZERO));
/// # }
/// # doc(std::time::Instant::now());
/// ```
#[derive(Clone, Debug)]
pub struct Schedule {
    policy: RetryPolicy,
    /// The step that the next failure takes.
    step: u32,
    /// Endings since a connection last proved itself.
    failures: u32,
    /// When the present connection was established.
    since: Option<Instant>,
}

impl Schedule {
    /// How long a connection must live after its handshake before the schedule starts over.
    pub const PROOF: Duration = Duration::from_secs(5);

    /// The least first wait for a host that said it is leaving.
    pub const LATER: Duration = Duration::from_secs(5);

    /// The least wait but for the first, whatever the policy says: no policy makes a busy loop.
    pub const LEAST: Duration = Duration::from_millis(100);

    /// The longest wait that a peer may ask for by `retry_after`.
    pub const MOST_ASKED: Duration = Duration::from_secs(300);

    /// At its start.
    pub const fn new(policy: RetryPolicy) -> Self {
        Self {
            policy,
            step: 0,
            failures: 0,
            since: None,
        }
    }

    /// A connection is up, its handshake included: it begins to prove itself.
    pub const fn established(&mut self, now: Instant) {
        self.since = Some(now);
    }

    /// A dial failed, or the connection is over: says what follows.
    pub fn ended(&mut self, now: Instant, cause: &Error) -> Next {
        self.judge(now);
        self.failures = self.failures.saturating_add(1);
        match cause.kind().reconnect() {
            Reconnect::Schedule => self.wait(cause.retry_after()),
            Reconnect::Later => {
                self.skip_to_later();
                self.wait(None)
            }
            Reconnect::Standby => Next::Standby,
            Reconnect::OnWake => Next::OnWake,
            Reconnect::Never => Next::End,
        }
    }

    /// How many endings there were since a connection last proved itself.
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// The connection is over, and so is its peer: that says nothing against the next one, and uses
    /// up no step. Whoever dials now bounds by itself how often.
    pub fn renewed(&mut self, now: Instant) {
        self.judge(now);
    }

    /// Starts over if the connection proved itself.
    fn judge(&mut self, now: Instant) {
        let alive = self
            .since
            .take()
            .map(|since| now.saturating_duration_since(since));
        if alive.is_some_and(|alive| alive >= Self::PROOF) {
            self.step = 0;
            self.failures = 0;
        }
    }

    fn wait(&mut self, asked: Option<Duration>) -> Next {
        let Some(delay) = self.policy.delay(self.step) else {
            return Next::End;
        };
        let least = if self.step == 0 {
            Duration::ZERO
        } else {
            Self::LEAST
        };
        self.step = self.step.saturating_add(1);
        let asked = asked.unwrap_or_default().min(Self::MOST_ASKED);
        Next::Wait(delay.max(least).max(asked))
    }

    /// Moves on to the first step of at least 5 s. A policy without one within its next steps keeps
    /// its place.
    fn skip_to_later(&mut self) {
        const LOOK: u32 = 64;
        let ahead = self.step..self.step.saturating_add(LOOK);
        let long = |&step: &u32| {
            self.policy
                .delay(step)
                .is_some_and(|delay| delay >= Self::LATER)
        };
        if let Some(step) = ahead.into_iter().find(long) {
            self.step = step;
        }
    }
}
