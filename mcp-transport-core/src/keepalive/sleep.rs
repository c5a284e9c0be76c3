use std::time::{Duration, Instant, SystemTime};

/// How late a timer, or how far ahead the wall clock, may be before it is a gap: 5 s.
pub const TOLERANCE: Duration = Duration::from_secs(5);

/// A while in which nobody here was awake: the lid was closed, or the process was stopped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Gap {
    /// How long it was, as far as one can tell.
    pub length: Duration,
    /// How much of it the monotonic clock counted, and so took from every deadline: add it to them.
    /// Zero where that clock stops in sleep (Linux, macOS), all of it where it goes on (Windows).
    pub counted: Duration,
}

/// Notices that the machine slept, for shells that have a timer but no
/// [`KeepAlive`](super::KeepAlive).
///
/// Two signs, since operating systems differ: a timer that fires late by the monotonic clock, and a
/// wall clock that went further than the monotonic one. A wall clock that goes backwards was set by
/// somebody, and tells nothing. One that is set forwards looks like sleep; a needless probe is all
/// that it costs.
///
/// Feed it at least every few minutes: clocks that are being slewed may part by half a second in a
/// quarter of an hour.
#[derive(Clone, Copy, Debug)]
pub struct SleepWatch {
    now: Instant,
    wall: SystemTime,
}

impl SleepWatch {
    /// Starts watching.
    pub fn new(now: Instant, wall: SystemTime) -> Self {
        Self { now, wall }
    }

    /// Compares the clocks with the last time, and with the time for which the timer was set that
    /// brought the caller here; `None` if it was no timer.
    pub fn observe(&mut self, now: Instant, wall: SystemTime, due: Option<Instant>) -> Option<Gap> {
        let passed = now.saturating_duration_since(self.now);
        let wall_passed = wall.duration_since(self.wall).unwrap_or_default();
        *self = Self { now, wall };

        let late = due.map_or(Duration::ZERO, |due| now.saturating_duration_since(due));
        let counted = beyond_tolerance(late);
        let uncounted = beyond_tolerance(wall_passed.saturating_sub(passed));
        let length = counted.saturating_add(uncounted);
        (!length.is_zero()).then_some(Gap { length, counted })
    }
}

fn beyond_tolerance(gap: Duration) -> Duration {
    if gap > TOLERANCE { gap } else { Duration::ZERO }
}
