//! When a failure that goes on is said once more. Pure.

use std::time::{Duration, Instant};

/// How often the log says a failure of a listener that goes on, or comes back: every 30 s.
///
/// A process that is out of file descriptors fails ten times a second, and may be so for hours.
pub const SAID_AGAIN: Duration = Duration::from_secs(30);

/// How many failures are told apart; beyond that, the one that was said first is forgotten.
const KINDS: usize = 8;

/// What was said of one family.
#[derive(Clone, Debug, Default)]
pub(super) struct Telling {
    said: Vec<Said>,
}

/// What the listener could not do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum What {
    Accept,
    Live,
    Bind,
}

#[derive(Clone, Debug)]
struct Said {
    what: (What, Option<i32>),
    at: Instant,
    unsaid: u64,
}

impl Telling {
    /// Whether a failure is to be said now; if so, how often it was not said since the last time.
    /// `code` is the operating system's: another one is another failure.
    pub(super) fn failed(&mut self, now: Instant, what: What, code: Option<i32>) -> Option<u64> {
        let what = (what, code);
        if let Some(said) = self.said.iter_mut().find(|said| said.what == what) {
            if now.saturating_duration_since(said.at) < SAID_AGAIN {
                said.unsaid += 1;
                return None;
            }
            said.at = now;
            return Some(std::mem::take(&mut said.unsaid));
        }
        if self.said.len() == KINDS {
            self.said.remove(0);
        }
        self.said.push(Said {
            what,
            at: now,
            unsaid: 0,
        });
        Some(0)
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test needs some instant to count from"
)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_said_once_and_then_every_half_minute_with_how_often_it_was_not() {
        let start = Instant::now();
        let mut telling = Telling::default();
        let mut said = Vec::new();
        for tenth in 0..=600 {
            let now = start + Duration::from_millis(100) * tenth;
            if let Some(unsaid) = telling.failed(now, What::Accept, Some(24)) {
                said.push((tenth, unsaid));
            }
        }
        assert_eq!(said, [(0, 0), (300, 299), (600, 299)]);
    }

    #[test]
    fn another_failure_is_said_at_once_and_two_that_alternate_are_not_said_in_turn() {
        let now = Instant::now();
        let mut telling = Telling::default();
        assert_eq!(telling.failed(now, What::Accept, Some(24)), Some(0));
        assert_eq!(telling.failed(now, What::Accept, Some(23)), Some(0));
        assert_eq!(telling.failed(now, What::Live, Some(24)), Some(0));
        for _ in 0..100 {
            assert_eq!(telling.failed(now, What::Accept, Some(24)), None);
            assert_eq!(telling.failed(now, What::Live, Some(24)), None);
        }
    }

    #[test]
    fn no_variety_of_codes_takes_more_memory() {
        let now = Instant::now();
        let mut telling = Telling::default();
        for code in 0..1_000 {
            assert_eq!(telling.failed(now, What::Bind, Some(code)), Some(0));
        }
        assert_eq!(telling.said.len(), KINDS);
    }
}
