//! The promises, checked against what was seen from outside, without any knowledge of the rule.

use mcp_transport_core::delivery::{Limits, Op, Replay};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use std::collections::HashMap;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    Submitted {
        op: Op,
        replay: Replay,
        answered: bool,
    },
    Handed {
        op: Op,
        flagged: bool,
    },
    /// Given back by the sink, or proven untouched by the host.
    Returned(Op),
    /// It was out when the connection went, and nothing is known.
    Lost(Op),
    /// Answered, settled, withdrawn, or given up by its client.
    Ended(Op),
}

#[derive(Debug)]
struct Life {
    replay: Replay,
    answered: bool,
    out: bool,
    lost: u32,
    ends: u32,
}

/// The history is over and the machine is empty.
pub(crate) fn audit(events: &[Event], limits: Limits) -> Result<(), TestCaseError> {
    let mut lives: HashMap<Op, Life> = HashMap::new();
    for event in events {
        match *event {
            Event::Submitted {
                op,
                replay,
                answered,
            } => {
                let life = Life {
                    replay,
                    answered,
                    out: false,
                    lost: 0,
                    ends: 0,
                };
                prop_assert!(lives.insert(op, life).is_none(), "{op} was given out twice");
            }
            Event::Handed { op, flagged } => {
                let life = lives.get_mut(&op).expect("handed out, so submitted");
                prop_assert_eq!(life.ends, 0, "{} was handed out after its end", op);
                prop_assert!(!life.out, "{op} is in two places");
                prop_assert!(
                    life.lost == 0 || life.replay != Replay::Never,
                    "{op} may not run twice, and may run now"
                );
                prop_assert_eq!(flagged, life.lost > 0, "{} has the wrong flag", op);
                prop_assert!(
                    life.lost <= limits.redeliveries,
                    "{op} was sent again too often"
                );
                life.out = true;
            }
            Event::Returned(op) => lives.get_mut(&op).expect("it was out").out = false,
            Event::Lost(op) => {
                let life = lives.get_mut(&op).expect("it was out");
                life.out = false;
                life.lost += 1;
            }
            Event::Ended(op) => {
                let life = lives.get_mut(&op).expect("it ended, so submitted");
                life.ends += 1;
                prop_assert_eq!(life.ends, 1, "{} ended twice", op);
            }
        }
    }
    for (op, life) in lives {
        prop_assert!(life.ends == 1 || !life.answered, "nobody was told of {op}");
    }
    Ok(())
}
