//! Which connection asks for work, and which brings answers. Pure.
//!
//! Two lanes pull. One is parked at the broker while the other travels, so there is always somebody
//! to take the next call, and a lane that has brought calls takes their answers along when it asks
//! for more: one round trip for each batch. A third lane only pushes, for answers that come while
//! both others are parked, and for what must not wait behind a parked pull.

use super::state::Ready;
use crate::native::Given;
use std::collections::BTreeMap;

/// One of the connections of a lease.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Lane {
    Pull(usize),
    Push,
}

/// What to do next, and on which lane.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Step {
    pub(super) lane: Lane,
    /// What it brings; [`Ready::Nothing`] is a pull alone.
    pub(super) brings: Ready,
}

/// Which lanes travel or are parked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lanes {
    pulling: [bool; 2],
    pushing: bool,
}

impl Lanes {
    /// The next exchange to begin, which counts as begun; `None` until something changes. `taking`
    /// says whether the host takes more work.
    pub(super) fn next(&mut self, ready: Ready, taking: bool) -> Option<Step> {
        let idle = self.pulling.iter().position(|&busy| !busy);
        let lane = match (ready, idle) {
            (Ready::Answers, Some(lane)) if taking => Lane::Pull(lane),
            (Ready::Answers | Ready::Alone, _) if !self.pushing => Lane::Push,
            (Ready::Nothing | Ready::Alone, Some(lane)) if taking && !self.is_pulling() => {
                Lane::Pull(lane)
            }
            _ => return None,
        };
        let brings = match (lane, ready) {
            // What cannot go along with a pull leaves no pull undone.
            (Lane::Pull(_), Ready::Alone) => Ready::Nothing,
            _ => ready,
        };
        *self.slot(lane) = true;
        Some(Step { lane, brings })
    }

    /// The exchange on this lane is over.
    pub(super) fn done(&mut self, lane: Lane) {
        *self.slot(lane) = false;
    }

    /// True while a pull travels or is parked.
    pub(super) const fn is_pulling(&self) -> bool {
        self.pulling[0] || self.pulling[1]
    }

    /// True while something is pushed without a pull.
    pub(super) const fn is_pushing(&self) -> bool {
        self.pushing
    }

    fn slot(&mut self, lane: Lane) -> &mut bool {
        match lane {
            Lane::Pull(lane) => &mut self.pulling[lane],
            Lane::Push => &mut self.pushing,
        }
    }
}

/// Puts what two lanes bring back into the order in which the broker handed it out.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    last: u64,
    held: BTreeMap<u64, Vec<Given>>,
}

impl Sequence {
    /// What may be read now that this has arrived. `alone` says that no other pull is under way,
    /// so that nothing is worth waiting for.
    pub(super) fn arrived(
        &mut self,
        seq: Option<u64>,
        items: Vec<Given>,
        alone: bool,
    ) -> Vec<Given> {
        let mut ready = Vec::new();
        match seq {
            // A broker that does not number them, or nothing at all.
            None => ready = items,
            Some(seq) => {
                self.held.insert(seq, items);
            }
        }
        while let Some(next) = self.held.first_entry() {
            if *next.key() > self.last + 1 && !alone {
                break;
            }
            self.last = self.last.max(*next.key());
            let items = next.remove();
            if ready.is_empty() {
                ready = items;
            } else {
                ready.extend(items);
            }
        }
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn step(lane: Lane, brings: Ready) -> Option<Step> {
        Some(Step { lane, brings })
    }

    #[test]
    fn a_call_costs_one_round_trip_once_it_runs() {
        let mut lanes = Lanes::default();
        assert_eq!(
            lanes.next(Ready::Nothing, true),
            step(Lane::Pull(0), Ready::Nothing)
        );
        assert_eq!(lanes.next(Ready::Nothing, true), None);
        // A call arrives: somebody must be parked while it runs.
        lanes.done(Lane::Pull(0));
        assert_eq!(
            lanes.next(Ready::Nothing, true),
            step(Lane::Pull(0), Ready::Nothing)
        );
        assert_eq!(
            lanes.next(Ready::Answers, true),
            step(Lane::Pull(1), Ready::Answers)
        );
        for lane in [0, 1, 0, 1] {
            // From now on the lane that brought the call waits for its answer.
            lanes.done(Lane::Pull(lane));
            assert_eq!(lanes.next(Ready::Nothing, true), None);
            assert_eq!(
                lanes.next(Ready::Answers, true),
                step(Lane::Pull(lane), Ready::Answers)
            );
        }
    }

    #[test]
    fn an_answer_that_finds_both_lanes_parked_takes_the_third() {
        let mut lanes = Lanes {
            pulling: [true, true],
            pushing: false,
        };
        assert_eq!(
            lanes.next(Ready::Answers, true),
            step(Lane::Push, Ready::Answers)
        );
        assert_eq!(lanes.next(Ready::Answers, true), None);
        lanes.done(Lane::Push);
        assert_eq!(
            lanes.next(Ready::Alone, true),
            step(Lane::Push, Ready::Alone)
        );
    }

    #[test]
    fn who_takes_no_more_work_pushes_and_does_not_pull() {
        let mut lanes = Lanes::default();
        assert_eq!(lanes.next(Ready::Nothing, false), None);
        assert_eq!(
            lanes.next(Ready::Answers, false),
            step(Lane::Push, Ready::Answers)
        );
        assert_eq!(lanes.next(Ready::Answers, false), None);
    }

    #[test]
    fn what_must_go_alone_keeps_nobody_from_pulling() {
        let mut lanes = Lanes::default();
        assert_eq!(
            lanes.next(Ready::Alone, true),
            step(Lane::Push, Ready::Alone)
        );
        assert_eq!(
            lanes.next(Ready::Alone, true),
            step(Lane::Pull(0), Ready::Nothing)
        );
    }

    fn named(name: u64) -> Given {
        Given {
            client: name.to_string(),
            ..Given::default()
        }
    }

    proptest! {
        /// Two lanes: each arrival is the next or the one after it.
        #[test]
        fn handings_out_are_read_in_their_order(swaps in prop::collection::vec(any::<bool>(), 0..40)) {
            let mut arrivals: Vec<u64> = (1..=swaps.len() as u64 + 1).collect();
            for (at, swap) in swaps.iter().enumerate() {
                if *swap {
                    arrivals.swap(at, at + 1);
                }
            }
            let mut sequence = Sequence::default();
            let mut read = Vec::new();
            for seq in &arrivals {
                read.extend(sequence.arrived(Some(*seq), vec![named(*seq)], false));
            }
            let names: Vec<u64> = read.iter().map(|item| item.client.parse().unwrap()).collect();
            prop_assert_eq!(names, (1..=arrivals.len() as u64).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_gap_holds_nobody_up_when_nothing_else_is_under_way() {
        let mut sequence = Sequence::default();
        assert!(sequence.arrived(Some(2), vec![named(2)], false).is_empty());
        assert_eq!(sequence.arrived(Some(4), vec![named(4)], true).len(), 2);
        assert_eq!(sequence.arrived(None, vec![named(0)], false).len(), 1);
    }
}
