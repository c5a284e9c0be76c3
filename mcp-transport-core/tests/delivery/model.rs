//! The rule once more, as slowly and plainly as it can be said: one list, searched from end to end.

use mcp_transport_core::Outcome;
use mcp_transport_core::delivery::{
    Abandoned, Answer, Cause, Limits, Link, Op, Output, Replay, Submit,
};
use std::time::{Duration, Instant};

/// So many links of one operation are known; an answer from an older one is a stray.
const KNOWN_LINKS: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Place {
    Queue,
    Host { started: bool },
}

#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) op: Op,
    pub(crate) place: Place,
    submit: Submit<u32>,
    leaves_queue_at: Instant,
    stuck_at: Option<Instant>,
    links: Vec<Link>,
    resent: u32,
    seen: bool,
    abandoned: bool,
}

impl Item {
    fn deadline(&self) -> Option<Instant> {
        match self.place {
            Place::Queue => Some(self.leaves_queue_at),
            Place::Host { .. } => self.stuck_at,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Model {
    limits: Limits,
    /// Those that are not over, oldest first.
    pub(crate) live: Vec<Item>,
    /// Those that are over without an answer, oldest end first; without links once their result came.
    remembered: Vec<(Op, Vec<Link>)>,
    pub(crate) attached: Option<(Link, usize)>,
    pub(crate) outputs: Vec<Output>,
}

impl Model {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            live: Vec::new(),
            remembered: Vec::new(),
            attached: None,
            outputs: Vec::new(),
        }
    }

    /// Which limit forbids it.
    pub(crate) fn refuses(&self, submit: &Submit<u32>) -> Option<&'static str> {
        let bytes: usize = self.live.iter().map(|item| item.submit.bytes).sum();
        if self.live.len() == self.limits.ops {
            Some("ops")
        } else if bytes + submit.bytes > self.limits.bytes {
            Some("bytes")
        } else {
            None
        }
    }

    pub(crate) fn submitted(&mut self, now: Instant, op: Op, submit: Submit<u32>) {
        self.live.push(Item {
            op,
            place: Place::Queue,
            leaves_queue_at: now + submit.hold,
            submit,
            stuck_at: None,
            links: Vec::new(),
            resent: 0,
            seen: false,
            abandoned: false,
        });
    }

    pub(crate) fn abandon(&mut self, op: Op) -> Abandoned {
        let Some(at) = self.find(op) else {
            return Abandoned::Over;
        };
        let item = &mut self.live[at];
        if item.place == Place::Queue {
            self.end(at);
            return Abandoned::Withdrawn;
        }
        if item.abandoned {
            return Abandoned::Over;
        }
        item.abandoned = true;
        let link = *item.links.last().expect("it is at a host");
        self.outputs.push(Output::Cancel { link, op });
        Abandoned::Running(link)
    }

    pub(crate) fn take(&mut self, now: Instant, link: Link) -> Option<(Op, bool)> {
        self.time(now);
        let window = self.attached.filter(|(attached, _)| *attached == link)?.1;
        if self.outstanding(link).len() >= window {
            return None;
        }
        let item = self
            .live
            .iter_mut()
            .find(|item| item.place == Place::Queue)?;
        item.place = Place::Host { started: false };
        item.stuck_at = Some(now + item.submit.run);
        item.links.push(link);
        if item.links.len() > KNOWN_LINKS {
            item.links.remove(0);
        }
        Some((item.op, item.seen))
    }

    pub(crate) fn give_back(&mut self, now: Instant, link: Link, op: Op) {
        let Some(at) = self
            .find(op)
            .filter(|_| self.outstanding(link).contains(&op))
        else {
            return;
        };
        let item = &mut self.live[at];
        if item.place == (Place::Host { started: true }) {
            return;
        }
        item.links.pop();
        item.place = Place::Queue;
        if item.abandoned {
            self.end(at);
        }
        self.time(now);
    }

    pub(crate) fn started(&mut self, link: Link, op: Op) {
        if self.outstanding(link).contains(&op) {
            let at = self.find(op).expect("it is outstanding");
            self.live[at].place = Place::Host { started: true };
        }
    }

    pub(crate) fn complete(&mut self, link: Link, op: Op) -> Answer {
        if let Some(at) = self.find(op) {
            let item = &self.live[at];
            if !item.links.contains(&link) {
                return Answer::Stray;
            }
            let abandoned = item.abandoned;
            self.live.remove(at);
            return if abandoned {
                Answer::Late
            } else {
                Answer::ForClient
            };
        }
        let known = self.remembered.iter_mut().find(|(known, _)| *known == op);
        match known.filter(|(_, links)| links.contains(&link)) {
            Some((_, links)) => {
                links.clear();
                Answer::Late
            }
            None => Answer::Stray,
        }
    }

    pub(crate) fn detach(&mut self, now: Instant, link: Link, untouched: &[Op]) {
        if self.attached.is_none_or(|(attached, _)| attached != link) {
            return;
        }
        let lost = self.outstanding(link);
        self.attached = None;
        for op in lost {
            let at = self.find(op).expect("it is outstanding");
            let item = &mut self.live[at];
            let proven = untouched.contains(&op) && item.place == Place::Host { started: false };
            item.place = Place::Queue;
            if item.abandoned || !item.submit.answered {
                self.end(at);
            } else if proven {
                // Stays in the queue as if it had never left.
            } else if item.submit.replay == Replay::Never {
                self.settle(at, Outcome::Unknown, Cause::LinkLost);
            } else if item.resent == self.limits.redeliveries {
                self.settle(at, Outcome::Unknown, Cause::Redelivered);
            } else {
                item.resent += 1;
                item.seen = true;
            }
        }
        self.time(now);
    }

    pub(crate) fn outstanding(&self, link: Link) -> Vec<Op> {
        let attached = self.attached.is_some_and(|(attached, _)| attached == link);
        let at_host = self.live.iter().filter(|item| item.place != Place::Queue);
        at_host.filter(|_| attached).map(|item| item.op).collect()
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.live.iter().filter_map(Item::deadline).min()
    }

    pub(crate) fn time(&mut self, now: Instant) {
        while let Some(at) = self.due(now) {
            let item = &mut self.live[at];
            if item.place != Place::Queue {
                item.stuck_at = None;
                let link = *item.links.last().expect("it is at a host");
                self.outputs.push(Output::Stuck { link, op: item.op });
            } else if item.seen {
                self.settle(at, Outcome::Unknown, Cause::HoldExpired);
            } else {
                self.settle(at, Outcome::NotDelivered, Cause::HoldExpired);
            }
        }
    }

    pub(crate) fn slept(&mut self, gap: Duration) {
        for item in &mut self.live {
            item.leaves_queue_at += gap;
            item.stuck_at = item.stuck_at.map(|at| at + gap);
        }
    }

    /// The one whose deadline passed first.
    fn due(&self, now: Instant) -> Option<usize> {
        let due = self.live.iter().enumerate();
        let due = due.filter_map(|(at, item)| item.deadline().map(|deadline| (deadline, at)));
        let (deadline, at) = due.min()?;
        (deadline <= now).then_some(at)
    }

    fn find(&self, op: Op) -> Option<usize> {
        self.live.iter().position(|item| item.op == op)
    }

    fn settle(&mut self, at: usize, outcome: Outcome, cause: Cause) {
        let Item { op, ref submit, .. } = self.live[at];
        if submit.answered {
            self.outputs.push(Output::Settle { op, outcome, cause });
        }
        self.end(at);
    }

    fn end(&mut self, at: usize) {
        let item = self.live.remove(at);
        if item.links.is_empty() {
            return;
        }
        self.remembered.push((item.op, item.links));
        if self.remembered.len() > self.limits.remembered {
            self.remembered.remove(0);
        }
    }
}
