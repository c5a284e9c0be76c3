//! How long an editor was away, the last times: what is usual for its reloads.

use std::collections::VecDeque;
use std::time::Duration;

/// The last gaps, oldest first.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    last: VecDeque<Duration>,
    /// Of whatever kind it was.
    newest: Option<Duration>,
}

/// One project's reloads resemble each other; what it was like before its last changes counts no more.
const KEPT: usize = 5;

impl Gaps {
    /// It is back after a reload, or after a crash, which looks the same.
    pub(super) fn reloaded(&mut self, gap: Duration) {
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(gap);
        self.newest = Some(gap);
    }

    /// It is back after it had quit: that says nothing of its reloads.
    pub(super) fn reopened(&mut self, gap: Duration) {
        self.newest = Some(gap);
    }

    /// The last one, whatever its reason.
    pub(super) const fn newest(&self) -> Option<Duration> {
        self.newest
    }

    /// The median of its last five reloads, the shorter of two: one that took an hour, or none at all, does not move it. `None`
    /// before the first.
    pub(super) fn usual(&self) -> Option<Duration> {
        let mut gaps: Vec<Duration> = self.last.iter().copied().collect();
        gaps.sort_unstable();
        gaps.get(gaps.len().checked_sub(1)? / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual(seconds: &[u64]) -> Option<u64> {
        let mut gaps = Gaps::default();
        for gap in seconds {
            gaps.reloaded(Duration::from_secs(*gap));
        }
        gaps.usual().map(|usual| usual.as_secs())
    }

    #[test]
    fn what_is_usual_is_the_median_of_the_last_five_and_unknown_before_the_first() {
        assert_eq!(usual(&[]), None);
        assert_eq!(usual(&[5]), Some(5));
        assert_eq!(usual(&[9, 5]), Some(5));
        assert_eq!(usual(&[4, 3_600, 5]), Some(5));
        assert_eq!(usual(&[1, 1, 1, 7, 8, 7, 9, 8]), Some(8));
    }

    #[test]
    fn an_editor_that_had_quit_teaches_nothing_of_its_reloads() {
        let mut gaps = Gaps::default();
        gaps.reopened(Duration::from_secs(3_600));
        assert_eq!(gaps.usual(), None);
        assert_eq!(gaps.newest(), Some(Duration::from_secs(3_600)));
        gaps.reloaded(Duration::from_secs(5));
        assert_eq!(gaps.newest(), gaps.usual());
    }
}
