//! A project that is known by its status file: it listens, and somebody here dials it when a call needs it.
//!
//! ```text
//!             the file says ready                    a call, and a dial
//!  (unknown) ────────────────────► listening ◄───────────────────────────► connected
//!                                   │     ▲        its seat was taken           │
//!                 reloading, gone   ▼     │ ready                               │ it reloads
//!                                  away ──┘ ◄───────────────────────────────────┘
//!                                   │ the file is gone for 5 s
//!                                   ▼
//!                                  quit: its calls end; forgotten, at once if it never was connected
//! ```

use super::super::types::{Listed, Output, Phase, Why};
use super::Project;
use crate::hub::wire::Register;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What the status file says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Listing {
    Ready,
    /// It reloads, or waits for its port.
    NotReady,
    /// There is no file any more.
    Gone {
        since: Instant,
    },
}

/// For so long an editor without a status file may be about to write one: it removes the file first when it reloads. Longer
/// means that it has quit.
const REAPPEAR: Duration = Duration::from_secs(5);

impl Project {
    /// The status file says this.
    pub(in super::super) fn list(
        &mut self,
        now: Instant,
        listed: &Listed,
        outputs: &mut VecDeque<Output>,
    ) {
        let listing = if listed.is_ready {
            Listing::Ready
        } else {
            Listing::NotReady
        };
        let former = self.listing.replace(listing);
        let moved = self.port.replace(listed.port) != Some(listed.port);
        let phase = match (self.phase, listing) {
            (Phase::Connected, _) => Phase::Connected,
            (listening @ Phase::Listening { .. }, Listing::Ready) => listening,
            (away @ Phase::Away { .. }, Listing::NotReady) => away,
            (_, Listing::Ready) => Phase::Listening { since: now },
            _ => Phase::Away { since: now },
        };
        if let (Phase::Away { since }, Phase::Listening { .. }) = (self.phase, phase) {
            // Its gap ends here; from now on it waits for us. A file that said ready all the time tells of no gap.
            if self.seatings > 0 && former != Some(Listing::Ready) {
                self.gaps.reloaded(now.saturating_duration_since(since));
            }
        }
        if matches!(self.phase, Phase::Quit { .. }) {
            self.evicted = None;
        }
        let who = register(listed);
        // While it is connected its own word counts.
        let is_news = former != Some(listing)
            || moved
            || phase != self.phase
            || (self.seat.is_none() && who != self.who);
        self.phase = phase;
        if self.seat.is_none() {
            self.who = who;
        }
        if is_news {
            outputs.push_back(Output::Changed);
        }
    }

    /// There is no status file any more.
    pub(in super::super) fn unlist(&mut self, now: Instant, outputs: &mut VecDeque<Output>) {
        if matches!(self.listing, None | Some(Listing::Gone { .. })) {
            return;
        }
        self.listing = Some(Listing::Gone { since: now });
        if matches!(self.phase, Phase::Listening { .. }) {
            self.phase = Phase::Away { since: now };
        }
        outputs.push_back(Output::Changed);
    }

    /// True if its status file says that it can be dialled.
    pub(super) fn listens(&self) -> bool {
        self.listing == Some(Listing::Ready)
    }

    /// True if nobody here needs it who knows it by its status file alone.
    pub(in super::super) fn is_only_listed(&self) -> bool {
        self.listing.is_some() && self.delivery.is_empty()
    }

    /// When an editor without a connection and without a file counts as closed.
    pub(super) fn closed_at(&self) -> Option<Instant> {
        match (self.listing, self.phase) {
            (Some(Listing::Gone { since }), Phase::Away { .. }) => Some(since + REAPPEAR),
            _ => None,
        }
    }

    pub(super) fn close(&mut self, now: Instant, outputs: &mut VecDeque<Output>) {
        self.phase = Phase::Quit { since: now };
        self.evicted = None;
        self.fail_queued(Why::Quit, outputs);
        outputs.push_back(Output::Changed);
    }

    /// The connection is gone. If the file was gone before, its time to appear again runs from here.
    pub(super) fn await_file(&mut self, now: Instant) {
        if let Some(Listing::Gone { since }) = &mut self.listing {
            *since = now;
        }
    }

    pub(super) fn listing_slept(&mut self, gap: Duration) {
        if let Some(Listing::Gone { since }) = &mut self.listing {
            *since += gap;
        }
    }
}

pub(in crate::hub::state) fn register(listed: &Listed) -> Register {
    Register {
        project_name: listed.project.clone(),
        project_hash: listed.hash.clone(),
        unity_version: listed.unity_version.clone(),
        project_path: listed.path.clone(),
    }
}
