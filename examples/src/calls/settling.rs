//! The editors that a former owner of the port had, and that are not back yet. Pure.
//!
//! After a takeover editors dial again one by one. A call that names none would go to the first that is back, though it was
//! refused a moment before, with a list. So for a while such a call waits for the others, and one that names an editor waits
//! for that.

use super::target::EXPECTED_BACK;
use crate::hub::{Instance, Phase};
use std::time::{Duration, Instant};

/// How long they have. Where the sockets of the port outlive their owner they are back at once; else the installed plugin (10.3)
/// dials again after 0, 1 and 3 s.
pub const SETTLING: Duration = Duration::from_secs(5);

/// So many are told to the next owner, and known to it.
pub const MAX_EXPECTED: usize = 64;

/// Editors that are expected, by their ids, until some moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Settling {
    expected: Vec<String>,
    until: Option<Instant>,
}

impl Settling {
    /// The former owner had these, when it was last known to be there. One that has gone without an owner for so long that calls
    /// would no longer wait for it is not waited for here either.
    pub(super) fn begin(&mut self, now: Instant, seen: Instant, mut expected: Vec<String>) {
        if now.saturating_duration_since(seen) > EXPECTED_BACK {
            expected.clear();
        }
        expected.truncate(MAX_EXPECTED);
        self.until = Some(now + SETTLING);
        self.expected = expected;
    }

    /// Who is still missing, and until when that matters; `None` once it does not.
    pub(super) fn missing(
        &self,
        now: Instant,
        instances: &[Instance],
    ) -> Option<(Vec<String>, Instant)> {
        let until = self.until.filter(|until| now < *until)?;
        let is_here = |id: &&String| instances.iter().any(|one| one.id() == **id);
        let missing: Vec<_> = self
            .expected
            .iter()
            .filter(|id| !is_here(id))
            .cloned()
            .collect();
        (!missing.is_empty()).then_some((missing, until))
    }
}

/// What the owner tells of its editors: those that are connected, or about to be again. One that has been away for so long
/// that calls no longer wait for it is not expected. Those that listen are found by their files.
pub fn expected(now: Instant, instances: &[Instance]) -> Vec<String> {
    let is_expected = |phase: &Phase| match *phase {
        Phase::Connected => true,
        Phase::Away { since } => now.saturating_duration_since(since) <= EXPECTED_BACK,
        _ => false,
    };
    let come_by_themselves = instances
        .iter()
        .filter(|one| !one.by_file && is_expected(&one.phase));
    come_by_themselves
        .take(MAX_EXPECTED)
        .map(Instance::id)
        .collect()
}
