//! The policy as a `Backoff` of the crate `backoff`, and the other way round.

use super::{Delays, RetryPolicy, Schedule};
use ::backoff::backoff::Backoff;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The waits of a policy, for code that takes a `Backoff`. `reset` starts over at the first wait.
///
/// ```
/// use backoff::backoff::Backoff;
/// use mcp_transport_core::RetryPolicy;
/// use std::time::Duration;
///
/// let mut waits = RetryPolicy::local().delays();
/// assert_eq!(waits.next_backoff(), Some(Duration::ZERO));
/// assert_eq!(waits.next_backoff(), Some(Duration::from_secs(1)));
/// waits.reset();
/// assert_eq!(waits.next_backoff(), Some(Duration::ZERO));
/// ```
impl Backoff for Delays {
    fn reset(&mut self) {
        self.next = Some(0);
    }

    fn next_backoff(&mut self) -> Option<Duration> {
        self.next()
    }
}

impl RetryPolicy {
    /// Any `Backoff` as a policy, randomness and the longest elapsed time included. The function
    /// makes one.
    ///
    /// A `Backoff` steps, while a policy is asked by number. So asking for attempt 0 resets it,
    /// asking for the next attempt steps it, asking for the last one again repeats the answer, and
    /// going back resets it and steps on from there. A jump ahead steps at most 1,024 times. Once
    /// it gave up it is not stepped again before a reset. Every clone of the policy makes a
    /// `Backoff` of its own.
    ///
    /// ```
    /// use backoff::ExponentialBackoff;
    /// use mcp_transport_core::RetryPolicy;
    ///
    /// let policy = RetryPolicy::from_backoff(ExponentialBackoff::default);
    /// assert!(policy.delay(0).is_some());
    /// ```
    pub fn from_backoff<B>(make: impl Fn() -> B + Send + Sync + 'static) -> Self
    where
        B: Backoff + Send + 'static,
    {
        Self::new(Schedule::Stateful(Box::new(FromBackoff::new(Arc::new(
            make,
        )))))
    }
}

/// A schedule that steps; an object, so that the policy needs no type parameter.
pub(super) trait Stateful: Send + Sync {
    fn delay(&self, attempt: u32) -> Option<Duration>;
    fn fresh(&self) -> Box<dyn Stateful>;
}

impl Clone for Box<dyn Stateful> {
    fn clone(&self) -> Self {
        self.as_ref().fresh()
    }
}

struct FromBackoff<F, B> {
    make: Arc<F>,
    steps: Mutex<Steps<B>>,
}

struct Steps<B> {
    backoff: B,
    /// The attempt that the next step belongs to.
    next: u32,
    /// What the last step said.
    last: Option<Duration>,
}

const MAX_JUMP: u32 = 1_024;

impl<F: Fn() -> B, B> FromBackoff<F, B> {
    fn new(make: Arc<F>) -> Self {
        let steps = Mutex::new(Steps {
            backoff: make(),
            next: 0,
            last: None,
        });
        Self { make, steps }
    }
}

impl<F, B> Stateful for FromBackoff<F, B>
where
    F: Fn() -> B + Send + Sync + 'static,
    B: Backoff + Send + 'static,
{
    fn delay(&self, attempt: u32) -> Option<Duration> {
        // Whoever panicked in the middle of a step left a schedule that is at worst one step ahead.
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.delay(attempt)
    }

    fn fresh(&self) -> Box<dyn Stateful> {
        Box::new(Self::new(Arc::clone(&self.make)))
    }
}

impl<B: Backoff> Steps<B> {
    fn delay(&mut self, attempt: u32) -> Option<Duration> {
        if attempt == 0 || attempt < self.next.saturating_sub(1) {
            self.backoff.reset();
            self.next = 0;
            self.last = None;
        }
        let given_up = self.next > 0 && self.last.is_none();
        let missing = attempt.saturating_add(1).saturating_sub(self.next);
        if given_up || missing == 0 {
            return self.last;
        }
        self.next = attempt.saturating_add(1);
        for _ in 0..missing.min(MAX_JUMP) {
            self.last = self.backoff.next_backoff();
            if self.last.is_none() {
                break;
            }
        }
        self.last
    }
}
