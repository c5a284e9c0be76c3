//! How many lines a second may go to the log.

use std::time::{Duration, Instant};

/// So many lines in each second, from the first.
#[derive(Debug)]
pub(in crate::child) struct Allowance {
    since: Instant,
    taken: u32,
    left_out: u64,
}

const EACH: Duration = Duration::from_secs(1);
const LINES: u32 = 200;

impl Allowance {
    pub(in crate::child) const fn new(now: Instant) -> Self {
        Self {
            since: now,
            taken: 0,
            left_out: 0,
        }
    }

    /// Whether one more line may go: then how many were left out before it.
    pub(in crate::child) fn take(&mut self, now: Instant) -> Option<u64> {
        if now.duration_since(self.since) >= EACH {
            self.since = now;
            self.taken = 0;
        }
        if self.taken == LINES {
            self.left_out += 1;
            return None;
        }
        self.taken += 1;
        Some(std::mem::take(&mut self.left_out))
    }

    /// How many lines were left out since the last that went.
    pub(super) const fn left_out(&self) -> u64 {
        self.left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_two_hundred_lines_a_second_they_are_counted_and_the_next_line_tells() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        for _ in 0..LINES {
            assert_eq!(allowance.take(start), Some(0));
        }
        let late = start + EACH - Duration::from_millis(1);
        assert_eq!((allowance.take(late), allowance.take(late)), (None, None));
        assert_eq!(allowance.left_out(), 2);
        assert_eq!(allowance.take(start + EACH), Some(2));
        assert_eq!(allowance.take(start + EACH), Some(0));
    }
}
