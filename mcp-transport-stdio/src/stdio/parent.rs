//! Whether the process that started us is still there.
#![expect(clippy::disallowed_methods, reason = "a shell: it looks every second")]

use rustix::process::{Pid, getppid};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// Looks every second whether our parent is another one than at first: orphans are adopted.
pub(super) struct ParentWatch {
    watched: Option<(Pid, Interval)>,
}

const EVERY: Duration = Duration::from_secs(1);

impl ParentWatch {
    pub(super) fn new(watch: bool) -> Self {
        // Adopted already, or in a container of our own: there is nobody whose death we could notice.
        let parent = getppid().filter(|parent| watch && *parent != Pid::INIT);
        let watched = parent.map(|parent| {
            let mut ticks = interval_at(Instant::now() + EVERY, EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            (parent, ticks)
        });
        Self { watched }
    }

    /// Ready once the parent is gone.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some((parent, ticks)) = &mut self.watched else {
            return Poll::Pending;
        };
        while ticks.poll_tick(cx).is_ready() {
            if getppid() != Some(*parent) {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }
}
