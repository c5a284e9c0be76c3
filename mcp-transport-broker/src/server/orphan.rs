//! When a broker that nobody needs ends by itself. Pure.

use std::time::{Duration, Instant};

/// How long nobody was there, and how long that may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Orphan {
    after: Option<Duration>,
    since: Option<Instant>,
}

impl Orphan {
    /// A broker that begins without a host. `after`: how long it may be without one; `None` for
    /// ever.
    pub(super) const fn new(after: Option<Duration>) -> Self {
        Self { after, since: None }
    }

    /// Whether anybody is there now: a host, or a call that waits for one.
    pub(super) fn observe(&mut self, now: Instant, is_needed: bool) {
        if is_needed {
            self.since = None;
        } else if self.since.is_none() {
            self.since = Some(now);
        }
    }

    /// When it has been alone for too long.
    pub(super) fn due(&self) -> Option<Instant> {
        self.since?.checked_add(self.after?)
    }

    /// The machine slept: that was no time alone.
    pub(super) fn slept(&mut self, gap: Duration) {
        self.since = self.since.map(|since| since + gap);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIVE: Duration = Duration::from_secs(300);

    #[test]
    fn it_is_due_after_the_last_one_left_and_not_while_anybody_is_there() {
        let start = Instant::now();
        let mut orphan = Orphan::new(Some(FIVE));
        orphan.observe(start, false);
        assert_eq!(orphan.due(), Some(start + FIVE));
        orphan.observe(start + FIVE / 2, true);
        assert_eq!(orphan.due(), None);
        orphan.observe(start + FIVE, false);
        orphan.observe(start + FIVE * 2, false);
        assert_eq!(orphan.due(), Some(start + FIVE * 2));
    }

    #[test]
    fn sleep_is_no_time_alone() {
        let start = Instant::now();
        let mut orphan = Orphan::new(Some(FIVE));
        orphan.observe(start, false);
        orphan.slept(FIVE * 10);
        assert_eq!(orphan.due(), Some(start + FIVE * 11));
    }

    #[test]
    fn who_was_not_told_never_ends() {
        let mut orphan = Orphan::new(None);
        orphan.observe(Instant::now(), false);
        assert_eq!(orphan.due(), None);
    }
}
