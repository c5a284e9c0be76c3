//! How often a broker that is gone may be started again at once. Pure.

use std::time::{Duration, Instant};

/// A few times in a row, and then once for each second that has passed.
///
/// Whoever kills brokers by hand never meets it. A broker that dies as soon as it has a host does,
/// and is then started as seldom as the retry schedule says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    /// When all of it is there again.
    full: Instant,
}

impl Allowance {
    /// How many times in a row.
    pub(super) const TIMES: u32 = 4;

    /// After how long there is one more.
    pub(super) const EACH: Duration = Duration::from_secs(1);

    /// All of it is there.
    pub(super) const fn new(now: Instant) -> Self {
        Self { full: now }
    }

    /// Whether it may be done now; if so, it is taken as done.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let full = self.full.max(now);
        if full.saturating_duration_since(now) > Self::EACH * (Self::TIMES - 1) {
            return false;
        }
        self.full = full + Self::EACH;
        true
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test needs some instant to count from"
)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_few_in_a_row_and_then_one_for_each_second() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        for _ in 0..Allowance::TIMES {
            assert!(allowance.take(start));
        }
        assert!(!allowance.take(start));
        assert!(!allowance.take(start + Allowance::EACH / 2));
        assert!(allowance.take(start + Allowance::EACH));
        assert!(!allowance.take(start + Allowance::EACH));
    }

    #[test]
    fn what_dies_every_two_seconds_is_started_at_once_for_ever() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        for time in 0..10_000 {
            assert!(allowance.take(start + Allowance::EACH * 2 * time));
        }
    }

    proptest! {
        #[test]
        fn no_sequence_of_deaths_makes_a_tight_loop(waits in prop::collection::vec(0_u64..3_000, 1..200)) {
            let start = Instant::now();
            let (mut allowance, mut now, mut taken) = (Allowance::new(start), start, Vec::new());
            for wait in waits {
                now += Duration::from_millis(wait);
                if allowance.take(now) {
                    taken.push(now);
                }
            }
            for (index, from) in taken.iter().enumerate() {
                for (more, to) in taken[index..].iter().enumerate() {
                    let seconds = to.duration_since(*from).as_secs_f64();
                    prop_assert!(more as f64 + 1.0 <= f64::from(Allowance::TIMES) + seconds + 1e-6);
                }
            }
        }
    }
}
