//! When to dial again.
//!
//! | | what follows |
//! |---|---|
//! | the first dial | at once; no policy is asked |
//! | the failure with number `n`, counted from 0 | a wait of [`RetryPolicy::delay`]`(n)`, then the next dial; `None` gives up |
//! | a connection that proved itself | the count starts over at 0 |
//!
//! Pure: a policy says how long to wait, and somebody else waits.

#[cfg(feature = "backoff")]
mod backoff;

use std::fmt;
use std::iter::FusedIterator;
use std::sync::Arc;
use std::time::Duration;

/// How long to wait after each failed attempt to connect.
///
/// The first dial is at once. The delays are the waits *after* each failure: [`local`](Self::local)
/// dials at once, fails, waits 0 s, fails again, waits 1 s, then 3, 5, 10, 30, 30 … s.
///
/// ```
/// use mcp_transport_core::RetryPolicy;
/// use std::time::Duration;
///
/// let policy = RetryPolicy::local();
/// let waits: Vec<_> = policy.delays().take(7).map(|wait| wait.as_secs()).collect();
/// assert_eq!(waits, [0, 1, 3, 5, 10, 30, 30]);
/// assert_eq!(policy.delay(1_000_000), Some(Duration::from_secs(30)));
/// ```
#[derive(Clone)]
pub struct RetryPolicy {
    schedule: Schedule,
    jitter: Option<u64>,
}

#[derive(Clone)]
enum Schedule {
    Steps {
        steps: Arc<[Duration]>,
        tail: Option<Duration>,
    },
    Function(Arc<dyn Fn(u32) -> Option<Duration> + Send + Sync>),
    #[cfg(feature = "backoff")]
    Stateful(Box<dyn backoff::Stateful>),
}

/// The steps of [`RetryPolicy::local`], in seconds; the last repeats.
const LOCAL: [u64; 6] = [0, 1, 3, 5, 10, 30];

/// How many steps are read from an iterator: one without an end must not fill the memory.
const MAX_STEPS: usize = 1_024;

impl RetryPolicy {
    /// For a host on this machine: 0, 1, 3, 5, 10, 30 s, then every 30 s for ever, without jitter.
    ///
    /// A host that reloads is back within seconds, and one that its user closed may come back after
    /// lunch. Nobody else dials it, so there is no herd to scatter.
    pub fn local() -> Self {
        let [.., last] = LOCAL;
        Self::steps(
            LOCAL.map(Duration::from_secs),
            Some(Duration::from_secs(last)),
        )
    }

    /// One dial, and no other.
    pub fn never() -> Self {
        Self::steps([], None)
    }

    /// The same wait after every failure, for ever.
    ///
    /// A wait of zero dials as fast as dials fail.
    pub fn every(wait: Duration) -> Self {
        Self::steps([], Some(wait))
    }

    /// These waits in turn, then `tail` for ever; without a tail, no dial after the last of them.
    ///
    /// At most 1,024 steps are read, and the tail follows.
    pub fn steps(steps: impl IntoIterator<Item = Duration>, tail: Option<Duration>) -> Self {
        let steps = steps.into_iter().take(MAX_STEPS).collect();
        Self::new(Schedule::Steps { steps, tail })
    }

    /// Whatever this function says of the attempt, counted from 0; `None` gives up.
    ///
    /// ```
    /// use mcp_transport_core::RetryPolicy;
    /// use std::time::Duration;
    ///
    /// let doubling = RetryPolicy::from_fn(|attempt| {
    ///     Some(Duration::from_millis(100 << attempt.min(8)))
    /// });
    /// assert_eq!(doubling.delay(3), Some(Duration::from_millis(800)));
    /// ```
    pub fn from_fn(delay: impl Fn(u32) -> Option<Duration> + Send + Sync + 'static) -> Self {
        Self::new(Schedule::Function(Arc::new(delay)))
    }

    /// Spreads each wait by up to 20 % either way, so that many links do not dial in step.
    ///
    /// The spread follows from the seed and the attempt alone. A wait of zero stays zero, and no
    /// other becomes zero.
    #[must_use]
    pub const fn with_jitter(mut self, seed: u64) -> Self {
        self.jitter = Some(seed);
        self
    }

    /// The wait after the failure with this number, counted from 0; `None` if there is to be no
    /// further dial.
    pub fn delay(&self, attempt: u32) -> Option<Duration> {
        let delay = match &self.schedule {
            Schedule::Steps { steps, tail } => usize::try_from(attempt)
                .ok()
                .and_then(|index| steps.get(index).copied())
                .or(*tail),
            Schedule::Function(delay) => delay(attempt),
            #[cfg(feature = "backoff")]
            Schedule::Stateful(schedule) => schedule.delay(attempt),
        }?;
        Some(match self.jitter {
            Some(seed) => spread(delay, seed, attempt),
            None => delay,
        })
    }

    /// The waits in turn, from the first failure on: what retry crates such as backon and
    /// tokio-retry take.
    ///
    /// Ends where the policy gives up.
    pub fn delays(&self) -> Delays {
        Delays {
            policy: self.clone(),
            next: Some(0),
        }
    }

    const fn new(schedule: Schedule) -> Self {
        Self {
            schedule,
            jitter: None,
        }
    }
}

impl Default for RetryPolicy {
    /// [`RetryPolicy::local`].
    fn default() -> Self {
        Self::local()
    }
}

impl fmt::Debug for RetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("RetryPolicy");
        match &self.schedule {
            Schedule::Steps { steps, tail } => out.field("steps", steps).field("tail", tail),
            Schedule::Function(_) => out.field("schedule", &"a function"),
            #[cfg(feature = "backoff")]
            Schedule::Stateful(_) => out.field("schedule", &"a backoff"),
        };
        out.field("jitter", &self.jitter).finish()
    }
}

/// The waits of a [`RetryPolicy`] in turn; made by [`RetryPolicy::delays`].
#[derive(Clone, Debug)]
pub struct Delays {
    policy: RetryPolicy,
    /// `None` once the policy gave up.
    next: Option<u32>,
}

impl Iterator for Delays {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let attempt = self.next.take()?;
        let delay = self.policy.delay(attempt)?;
        self.next = Some(attempt.saturating_add(1));
        Some(delay)
    }
}

impl FusedIterator for Delays {}

/// Between 80 % and 120 % of the delay, in steps of a millionth.
fn spread(delay: Duration, seed: u64, attempt: u32) -> Duration {
    const WHOLE: u128 = 1_000_000;
    const LEAST: u128 = 800_000;
    const SPAN: u128 = 400_001;
    const NANOS: u128 = 1_000_000_000;

    if delay.is_zero() {
        return delay;
    }
    let share = LEAST + u128::from(splitmix64(seed, attempt)) % SPAN;
    let nanos = (delay.as_nanos() * share / WHOLE).max(1);
    let Ok(secs) = u64::try_from(nanos / NANOS) else {
        return Duration::MAX;
    };
    Duration::new(secs, u32::try_from(nanos % NANOS).unwrap_or(0))
}

/// The number with this index of the splitmix64 sequence that starts at `seed` (Steele, Lea and
/// Flood, 2014).
const fn splitmix64(seed: u64, index: u32) -> u64 {
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    let state = seed.wrapping_add(GOLDEN.wrapping_mul(index as u64 + 1));
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
