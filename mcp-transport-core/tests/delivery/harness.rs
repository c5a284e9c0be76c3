//! Plays a history on a machine and on the model, and compares them after every step.

use crate::audit::{Event, audit};
use crate::machine::Machine;
use crate::model::{Model, Place};
use mcp_transport_core::delivery::{
    Abandoned, Answer, Cause, Full, Limits, Link, Op, Output, Replay, Submit,
};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// One thing that happens. Numbers pick among what is there.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Submit {
        replay: Replay,
        answered: bool,
        bytes: usize,
        hold: u64,
        run: u64,
    },
    Abandon(usize),
    Attach(usize),
    Take,
    /// On a link that may be gone.
    TakeOn(usize),
    GiveBack(usize),
    GiveBackAnywhere {
        op: usize,
        link: usize,
    },
    Started(usize),
    StartedAnywhere {
        op: usize,
        link: usize,
    },
    /// The host answers what it has.
    Answer(usize),
    /// An answer for whatever, from wherever.
    AnswerAnywhere {
        op: usize,
        link: usize,
    },
    /// The bits of `untouched` pick among what is out; `noise` names something else besides.
    Detach {
        untouched: u8,
        noise: usize,
    },
    DetachOther(usize),
    Time(u64),
    /// Until the timer fires.
    Timer,
    Slept(u64),
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..150)
}

fn step() -> impl Strategy<Value = Step> {
    let pick = || 0..1_000_usize;
    let place = || (0..1_000_usize, 0..1_000_usize);
    let replay = prop_oneof![
        Just(Replay::Safe),
        Just(Replay::HostGuards),
        Just(Replay::Never)
    ];
    let submit = (
        replay,
        prop::bool::weighted(0.9),
        0..40_usize,
        0..200_u64,
        0..40_u64,
    );
    prop_oneof![
        8 => submit.prop_map(|(replay, answered, bytes, hold, run)| {
            Step::Submit { replay, answered, bytes, hold, run }
        }),
        3 => pick().prop_map(Step::Abandon),
        7 => (0..5_usize).prop_map(Step::Attach),
        9 => Just(Step::Take),
        1 => pick().prop_map(Step::TakeOn),
        2 => pick().prop_map(Step::GiveBack),
        1 => place().prop_map(|(op, link)| Step::GiveBackAnywhere { op, link }),
        2 => pick().prop_map(Step::Started),
        1 => place().prop_map(|(op, link)| Step::StartedAnywhere { op, link }),
        2 => pick().prop_map(Step::Answer),
        2 => place().prop_map(|(op, link)| Step::AnswerAnywhere { op, link }),
        6 => (any::<u8>(), pick()).prop_map(|(untouched, noise)| Step::Detach { untouched, noise }),
        1 => pick().prop_map(Step::DetachOther),
        3 => (0..15_u64).prop_map(Step::Time),
        1 => Just(Step::Timer),
        1 => (0..100_u64).prop_map(Step::Slept),
    ]
}

/// How often each row of the rule was reached.
#[derive(Debug, Default)]
pub(crate) struct Seen(BTreeMap<&'static str, u32>);

impl Seen {
    const ALL: [&'static str; 17] = [
        "full of operations",
        "full of bytes",
        "busy",
        "handed out",
        "flagged",
        "given back",
        "untouched",
        "lost",
        "link lost",
        "hold expired",
        "redelivered",
        "cancel",
        "stuck",
        "withdrawn",
        "for the client",
        "late",
        "stray",
    ];

    fn note(&mut self, what: &'static str) {
        assert!(Self::ALL.contains(&what), "{what} is not in the list");
        *self.0.entry(what).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }

    pub(crate) fn counts(&self) -> Vec<(&'static str, u32)> {
        Self::ALL
            .map(|what| (what, self.0.get(what).copied().unwrap_or(0)))
            .to_vec()
    }
}

/// Plays it to its end: then the host goes, time passes, and nothing may be left.
pub(crate) fn play<M: Machine>(limits: Limits, history: &[Step]) -> Result<Seen, TestCaseError> {
    let mut game = Game::<M>::new(limits);
    for step in history {
        game.step(step)?;
        game.compare(step)?;
    }
    let end = [
        Step::Detach {
            untouched: 0,
            noise: 0,
        },
        Step::Time(1_000_000),
    ];
    for step in &end {
        game.step(step)?;
        game.compare(step)?;
    }
    prop_assert_eq!(game.machine.len(), 0, "something never ends");
    audit(&game.events, limits)?;
    Ok(game.seen)
}

struct Game<M> {
    limits: Limits,
    machine: M,
    model: Model,
    now: Instant,
    ops: Vec<Op>,
    links: Vec<Link>,
    events: Vec<Event>,
    seen: Seen,
}

impl<M: Machine> Game<M> {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            machine: M::new(limits),
            model: Model::new(limits),
            now: Instant::now(),
            ops: Vec::new(),
            links: Vec::new(),
            events: Vec::new(),
            seen: Seen::default(),
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let now = self.now;
        match *step {
            Step::Submit {
                replay,
                answered,
                bytes,
                hold,
                run,
            } => self.submit(Submit {
                payload: u32::try_from(self.ops.len()).expect("few"),
                bytes,
                replay,
                answered,
                hold: Duration::from_secs(hold),
                run: Duration::from_secs(run),
            })?,
            Step::Abandon(op) => self.abandon(op)?,
            Step::Attach(window) => self.attach(window)?,
            Step::Take => {
                let attached = self.model.attached.map(|(link, _)| link);
                attached.map_or(Ok(()), |link| self.take(link))?;
            }
            Step::TakeOn(link) => pick(&self.links, link).map_or(Ok(()), |link| self.take(link))?,
            Step::GiveBack(op) => self
                .out(op)
                .map_or(Ok(()), |(op, link)| self.give_back(op, link))?,
            Step::GiveBackAnywhere { op, link } => {
                self.any(op, link)
                    .map_or(Ok(()), |(op, link)| self.give_back(op, link))?;
            }
            Step::Started(op) => self
                .out(op)
                .into_iter()
                .for_each(|(op, link)| self.started(op, link)),
            Step::StartedAnywhere { op, link } => {
                self.any(op, link)
                    .into_iter()
                    .for_each(|(op, link)| self.started(op, link));
            }
            Step::Answer(op) => self
                .out(op)
                .map_or(Ok(()), |(op, link)| self.complete(op, link))?,
            Step::AnswerAnywhere { op, link } => {
                self.any(op, link)
                    .map_or(Ok(()), |(op, link)| self.complete(op, link))?;
            }
            Step::Detach { untouched, noise } => {
                let attached = self.model.attached.map(|(link, _)| link);
                attached
                    .into_iter()
                    .for_each(|link| self.detach(link, untouched, noise));
            }
            Step::DetachOther(link) => {
                pick(&self.links, link)
                    .into_iter()
                    .for_each(|link| self.detach(link, 0b0101_0101, 0));
            }
            Step::Time(secs) => self.advance_to(now + Duration::from_secs(secs)),
            Step::Timer => {
                let next = self.model.next_deadline();
                self.advance_to(next.map_or(now, |next| next.max(now)));
            }
            Step::Slept(secs) => {
                let gap = Duration::from_secs(secs);
                self.now += gap;
                self.machine.slept(gap);
                self.model.slept(gap);
            }
        }
        Ok(())
    }

    fn submit(&mut self, submit: Submit<u32>) -> Result<(), TestCaseError> {
        let expected = self.model.refuses(&submit);
        let Submit {
            replay, answered, ..
        } = submit;
        match self.machine.submit(self.now, submit.clone()) {
            Ok(op) => {
                prop_assert_eq!(expected, None, "submit took what it may not");
                prop_assert_eq!(
                    op.get(),
                    self.ops.len() as u64 + 1,
                    "submit: no rising number"
                );
                self.ops.push(op);
                self.events.push(Event::Submitted {
                    op,
                    replay,
                    answered,
                });
                self.model.submitted(self.now, op, submit);
            }
            Err(Full::Ops { limit }) => {
                prop_assert_eq!((expected, limit), (Some("ops"), self.limits.ops), "submit");
                self.seen.note("full of operations");
            }
            Err(Full::Bytes { limit }) => {
                prop_assert_eq!(
                    (expected, limit),
                    (Some("bytes"), self.limits.bytes),
                    "submit"
                );
                self.seen.note("full of bytes");
            }
            Err(other) => prop_assert!(false, "submit: {other}"),
        }
        Ok(())
    }

    fn abandon(&mut self, op: usize) -> Result<(), TestCaseError> {
        let Some(op) = pick(&self.ops, op) else {
            return Ok(());
        };
        let abandoned = self.machine.abandon(op);
        prop_assert_eq!(abandoned, self.model.abandon(op), "abandon");
        if abandoned == Abandoned::Withdrawn {
            self.seen.note("withdrawn");
        }
        if abandoned != Abandoned::Over {
            self.events.push(Event::Ended(op));
        }
        Ok(())
    }

    fn attach(&mut self, window: usize) -> Result<(), TestCaseError> {
        match (self.machine.attach(window), self.model.attached) {
            (Ok(link), None) => {
                prop_assert_eq!(
                    link.get(),
                    self.links.len() as u64 + 1,
                    "attach: no rising number"
                );
                self.links.push(link);
                self.model.attached = Some((link, window));
            }
            (Err(busy), Some((holder, _))) => {
                prop_assert_eq!(busy.holder, holder, "attach");
                self.seen.note("busy");
            }
            other => prop_assert!(false, "attach: {other:?}"),
        }
        Ok(())
    }

    fn take(&mut self, link: Link) -> Result<(), TestCaseError> {
        let handout = self.machine.take(self.now, link);
        let expected = self.model.take(self.now, link);
        prop_assert_eq!(
            handout.as_ref().map(|h| (h.op, h.redelivered)),
            expected,
            "take"
        );
        if let Some(handout) = handout {
            let (op, flagged) = (handout.op, handout.redelivered);
            prop_assert_eq!(
                u64::from(handout.payload) + 1,
                op.get(),
                "take: another's payload"
            );
            self.events.push(Event::Handed { op, flagged });
            self.seen
                .note(if flagged { "flagged" } else { "handed out" });
        }
        Ok(())
    }

    fn give_back(&mut self, op: Op, link: Link) -> Result<(), TestCaseError> {
        let before = self.machine.outstanding(link);
        self.machine.give_back(self.now, link, op);
        self.model.give_back(self.now, link, op);
        let after = self.machine.outstanding(link);
        let gone: Vec<_> = before
            .into_iter()
            .filter(|op| !after.contains(op))
            .collect();
        prop_assert!(
            gone.iter().all(|gone| *gone == op),
            "give_back took another"
        );
        for op in gone {
            self.events.push(Event::Returned(op));
            self.seen.note("given back");
        }
        Ok(())
    }

    fn started(&mut self, op: Op, link: Link) {
        self.machine.started(link, op);
        self.model.started(link, op);
    }

    fn complete(&mut self, op: Op, link: Link) -> Result<(), TestCaseError> {
        let answer = self.machine.complete(link, op);
        prop_assert_eq!(answer, self.model.complete(link, op), "complete");
        self.seen.note(match answer {
            Answer::ForClient => "for the client",
            Answer::Late => "late",
            Answer::Stray => "stray",
        });
        if answer == Answer::ForClient {
            self.events.push(Event::Ended(op));
        }
        Ok(())
    }

    fn detach(&mut self, link: Link, untouched: u8, noise: usize) {
        let out = self.model.outstanding(link);
        let bits = (0..8).cycle().map(|bit| untouched >> bit & 1 == 1);
        let mut named: Vec<_> = out
            .iter()
            .zip(bits)
            .filter(|(_, bit)| *bit)
            .map(|(op, _)| *op)
            .collect();
        named.extend(pick(&self.ops, noise));
        for op in out {
            let untouched = named.contains(&op)
                && self
                    .model
                    .live
                    .iter()
                    .any(|item| item.op == op && item.place == Place::Host { started: false });
            self.seen.note(if untouched { "untouched" } else { "lost" });
            self.events.push(if untouched {
                Event::Returned(op)
            } else {
                Event::Lost(op)
            });
        }
        self.machine.detach(self.now, link, &named);
        self.model.detach(self.now, link, &named);
    }

    fn advance_to(&mut self, now: Instant) {
        self.now = now;
        self.machine.handle_timeout(now);
        self.model.time(now);
    }

    /// What can be seen from outside is the same on both sides.
    fn compare(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let mut outputs: Vec<_> = std::iter::from_fn(|| self.machine.poll_output()).collect();
        let mut expected = std::mem::take(&mut self.model.outputs);
        outputs.sort_by_key(op_of);
        expected.sort_by_key(op_of);
        prop_assert_eq!(&outputs, &expected, "outputs after {:?}", step);
        for output in &outputs {
            self.note(output);
        }

        let live = self.model.live.len();
        let queued = self
            .model
            .live
            .iter()
            .filter(|item| item.place == Place::Queue)
            .count();
        prop_assert_eq!(self.machine.len(), live, "length after {:?}", step);
        prop_assert_eq!(self.machine.queued(), queued, "queue after {:?}", step);
        for link in &self.links {
            let out = self.machine.outstanding(*link);
            prop_assert_eq!(
                &out,
                &self.model.outstanding(*link),
                "window after {:?}",
                step
            );
        }
        let timeout = self.machine.poll_timeout();
        prop_assert_eq!(
            timeout,
            self.model.next_deadline(),
            "timer after {:?}",
            step
        );
        if matches!(step, Step::Time(_) | Step::Timer) {
            prop_assert!(
                timeout.is_none_or(|at| at > self.now),
                "the timer is in the past"
            );
        }
        Ok(())
    }

    fn note(&mut self, output: &Output) {
        self.seen.note(match output {
            Output::Cancel { .. } => "cancel",
            Output::Stuck { .. } => "stuck",
            Output::Settle { cause, .. } => match cause {
                Cause::LinkLost => "link lost",
                Cause::Redelivered => "redelivered",
                _ => "hold expired",
            },
            other => panic!("a new output: {other:?}"),
        });
        if let Output::Settle { op, .. } = output {
            self.events.push(Event::Ended(*op));
        }
    }

    /// One that the host has, with its link.
    fn out(&self, op: usize) -> Option<(Op, Link)> {
        let (link, _) = self.model.attached?;
        Some((pick(&self.model.outstanding(link), op)?, link))
    }

    fn any(&self, op: usize, link: usize) -> Option<(Op, Link)> {
        Some((pick(&self.ops, op)?, pick(&self.links, link)?))
    }
}

fn pick<T: Copy>(from: &[T], which: usize) -> Option<T> {
    from.get(which.checked_rem(from.len())?).copied()
}

fn op_of(output: &Output) -> Option<Op> {
    match output {
        Output::Settle { op, .. } | Output::Cancel { op, .. } | Output::Stuck { op, .. } => {
            Some(*op)
        }
        _ => None,
    }
}
