//! The state machine.

use super::remembered::Remembered;
use super::table::Table;
use super::types::{
    Abandoned, Answer, Busy, Cause, Full, Handout, Limits, Link, Op, Output, Replay, Submit,
};
use crate::outcome::Outcome;
use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// Operations from their submit to their end, over any number of connections, one at a time.
///
/// ```
/// use mcp_transport_core::Outcome;
/// use mcp_transport_core::delivery::{Cause, Delivery, Limits, Output, Replay, Submit};
/// use std::time::{Duration, Instant};
///
/// # fn doc(now: Instant) {
/// let mut delivery = Delivery::new(Limits::default());
/// let op = delivery
///     .submit(now, Submit {
///         payload: "delete everything",
///         bytes: 17,
///         replay: Replay::Never,
///         answered: true,
///         hold: Duration::from_secs(120),
///         run: Duration::from_secs(35),
///     })
///     .unwrap();
///
/// let link = delivery.attach(1).unwrap();
/// assert_eq!(delivery.take(now, link).unwrap().op, op);
/// delivery.detach(now, link, &[]); // the connection went, and nobody knows
/// assert_eq!(
///     delivery.poll_output(),
///     Some(Output::Settle { op, outcome: Outcome::Unknown, cause: Cause::LinkLost }),
/// );
/// # }
/// # doc(std::time::Instant::now());
/// ```
#[derive(Debug)]
pub struct Delivery<P> {
    limits: Limits,
    entries: Table<Entry<P>>,
    queue: BTreeSet<Op>,
    flight: BTreeSet<Op>,
    deadlines: BTreeSet<(Instant, Op)>,
    outputs: VecDeque<Output>,
    remembered: Remembered,
    attached: Option<Attached>,
    bytes: usize,
    last_op: u64,
    last_link: u64,
}

#[derive(Debug)]
struct Entry<P> {
    submit: Submit<P>,
    /// When it leaves the queue at the latest.
    expires: Instant,
    /// The deadline that stands in the table for it now.
    deadline: Option<Instant>,
    state: State,
    /// Every link that it was handed to, in order. Its length is bounded by the redeliveries and by
    /// what was given back.
    links: Vec<Link>,
    /// How often it was sent again although nobody knew.
    redeliveries: u32,
    /// True if a host may have seen it.
    seen: bool,
    abandoned: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Queued,
    Delivered,
    Started,
}

#[derive(Clone, Copy, Debug)]
struct Attached {
    link: Link,
    window: usize,
}

/// How many links an entry keeps: an answer from an older one is a stray.
const MAX_LINKS: usize = 16;

impl<P: Clone> Delivery<P> {
    /// With nothing in it.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            entries: Table::default(),
            queue: BTreeSet::new(),
            flight: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            outputs: VecDeque::new(),
            remembered: Remembered::new(limits.remembered),
            attached: None,
            bytes: 0,
            last_op: 0,
            last_link: 0,
        }
    }

    /// Takes an operation into the queue.
    ///
    /// # Errors
    /// [`Full`] says which limit is reached; the operation was not taken.
    pub fn submit(&mut self, now: Instant, submit: Submit<P>) -> Result<Op, Full> {
        if self.entries.len() >= self.limits.ops {
            return Err(Full::Ops {
                limit: self.limits.ops,
            });
        }
        let Some(bytes) = self
            .bytes
            .checked_add(submit.bytes)
            .filter(|&bytes| bytes <= self.limits.bytes)
        else {
            return Err(Full::Bytes {
                limit: self.limits.bytes,
            });
        };
        self.bytes = bytes;
        self.last_op += 1;
        let op = Op(self.last_op);
        let expires = later(now, submit.hold);
        let entry = Entry {
            submit,
            expires,
            deadline: Some(expires),
            state: State::Queued,
            links: Vec::new(),
            redeliveries: 0,
            seen: false,
            abandoned: false,
        };
        self.entries.insert(op, entry);
        self.queue.insert(op);
        self.deadlines.insert((expires, op));
        Ok(op)
    }

    /// The client no longer waits.
    pub fn abandon(&mut self, op: Op) -> Abandoned {
        let Some(entry) = self.entries.get_mut(op) else {
            return Abandoned::Over;
        };
        if entry.state == State::Queued {
            self.forget_but_remember(op);
            return Abandoned::Withdrawn;
        }
        if std::mem::replace(&mut entry.abandoned, true) {
            return Abandoned::Over;
        }
        let link = *entry
            .links
            .last()
            .expect("what is in flight was handed to a link");
        self.outputs.push_back(Output::Cancel { link, op });
        Abandoned::Running(link)
    }

    /// Lets an operation go that is in flight: it leaves the window and the limits, and whatever
    /// comes of it counts as late. For what was cancelled at a host that may never answer it.
    ///
    /// Does nothing for one that is queued, or over.
    pub fn release(&mut self, op: Op) {
        if self.flight.contains(&op) {
            self.forget_but_remember(op);
        }
    }

    /// The host has shown that this operation does it no harm: its redeliveries are counted afresh.
    /// For what has no end by design, and so outlives any number of connections.
    pub fn proved(&mut self, op: Op) {
        if let Some(entry) = self.entries.get_mut(op) {
            entry.redeliveries = 0;
        }
    }

    /// What is in flight may wait in the queue for its whole [`hold`](Submit::hold) again, from now
    /// on, if it comes back there. Say it when a connection goes, if a hold is how long to wait for
    /// a host; and not, if it is how long a client waits.
    pub fn hold_afresh(&mut self, now: Instant, op: Op) {
        if !self.flight.contains(&op) {
            return;
        }
        if let Some(entry) = self.entries.get_mut(op) {
            entry.expires = later(now, entry.submit.hold);
        }
    }

    /// A host is there. `window` is how many operations it may have at once.
    ///
    /// # Errors
    /// [`Busy`] while another is attached.
    pub fn attach(&mut self, window: usize) -> Result<Link, Busy> {
        if let Some(Attached { link, .. }) = self.attached {
            return Err(Busy { holder: link });
        }
        self.last_link += 1;
        let link = Link(self.last_link);
        self.attached = Some(Attached { link, window });
        Ok(link)
    }

    /// The oldest operation that may go to the host now; `None` if the queue is empty, the window
    /// is full, or the link is not the one that is attached.
    ///
    /// Take only when there is room to write it. What the sink refuses is
    /// [given back](Self::give_back).
    pub fn take(&mut self, now: Instant, link: Link) -> Option<Handout<P>> {
        self.handle_timeout(now);
        let attached = self.attached.filter(|attached| attached.link == link)?;
        if self.flight.len() >= attached.window {
            return None;
        }
        let op = self.queue.pop_first()?;
        self.flight.insert(op);
        let entry = self
            .entries
            .get_mut(op)
            .expect("what is queued has an entry");
        entry.state = State::Delivered;
        if entry.links.len() == MAX_LINKS {
            entry.links.remove(0);
        }
        entry.links.push(link);
        let handout = Handout {
            op,
            payload: entry.submit.payload.clone(),
            redelivered: entry.seen,
        };
        let deadline = later(now, entry.submit.run);
        entry.arm(op, Some(deadline), &mut self.deadlines);
        Some(handout)
    }

    /// The sink refused it: it was never written, and takes its old place again.
    ///
    /// Does nothing for one that has [`started`](Self::started): it was written.
    pub fn give_back(&mut self, now: Instant, link: Link, op: Op) {
        if !self.is_on(link, op, State::Delivered) {
            return;
        }
        let entry = self
            .entries
            .get_mut(op)
            .expect("what was delivered has an entry");
        entry.links.pop();
        self.requeue(op);
        self.handle_timeout(now);
    }

    /// The host says that it has begun: [`detach`](Self::detach) can no longer claim it untouched.
    pub fn started(&mut self, link: Link, op: Op) {
        if self.is_on(link, op, State::Delivered) {
            self.entries
                .get_mut(op)
                .expect("what was delivered has an entry")
                .state = State::Started;
        }
    }

    /// An answer arrived for it, or, for one without an answer, it was written.
    ///
    /// The link may be a former one: a host that comes back may name operations of its former life.
    pub fn complete(&mut self, link: Link, op: Op) -> Answer {
        let Some(entry) = self.entries.get(op) else {
            return if self.remembered.claim(link, op) {
                Answer::Late
            } else {
                Answer::Stray
            };
        };
        if !entry.links.contains(&link) {
            return Answer::Stray;
        }
        let answer = if entry.abandoned {
            Answer::Late
        } else {
            Answer::ForClient
        };
        self.forget(op);
        answer
    }

    /// The host is gone. `untouched` names the operations that it provably never started.
    ///
    /// Does nothing unless this link is the one that is attached.
    pub fn detach(&mut self, now: Instant, link: Link, untouched: &[Op]) {
        if self.attached.is_none_or(|attached| attached.link != link) {
            return;
        }
        self.attached = None;
        for op in std::mem::take(&mut self.flight) {
            self.lose(op, untouched.contains(&op));
        }
        self.handle_timeout(now);
    }

    /// What the host has and has not answered, oldest first; empty unless this link is attached.
    pub fn outstanding(&self, link: Link) -> impl Iterator<Item = Op> + '_ {
        let attached = self.attached.is_some_and(|attached| attached.link == link);
        self.flight.iter().copied().filter(move |_| attached)
    }

    /// The operation with this number, be it over or not; `None` where there never was one. For
    /// tickets that come back from a wire.
    pub fn op(&self, number: u64) -> Option<Op> {
        (1..=self.last_op).contains(&number).then_some(Op(number))
    }

    /// What is submitted from now on has a number above this one: for whoever takes over from another
    /// process, whose numbers its hosts still know.
    pub fn skip_to(&mut self, number: u64) {
        self.last_op = self.last_op.max(number);
    }

    /// A host of another process may have seen this operation, which is queued: it counts as
    /// handed out before.
    pub fn mark_seen(&mut self, op: Op) {
        if let Some(entry) = self.entries.get_mut(op) {
            entry.seen = true;
        }
    }

    /// When this operation is settled, if it is still queued then; `None` for one that is over.
    pub fn expires(&self, op: Op) -> Option<Instant> {
        self.entries.get(op).map(|entry| entry.expires)
    }

    /// True if a former host may have seen this operation, which is not over: what
    /// [`Handout::redelivered`] would say.
    pub fn seen(&self, op: Op) -> bool {
        self.entries.get(op).is_some_and(|entry| entry.seen)
    }

    /// How many operations are not over.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if every operation is over.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The one that [`take`](Self::take) would take next, room in the window provided.
    pub fn oldest(&self) -> Option<Op> {
        self.queue.first().copied()
    }

    /// How many wait in the queue.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// The next thing to be done. Drain it after every call that changes something.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(at, _)| at)
    }

    /// Settles what waited too long and says what runs too long.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(at, op)) = self.deadlines.first() {
            if at > now {
                return;
            }
            let entry = self.entries.get_mut(op).expect("a deadline has an entry");
            if entry.state == State::Queued {
                let outcome = if entry.seen {
                    Outcome::Unknown
                } else {
                    Outcome::NotDelivered
                };
                self.settle(op, outcome, Cause::HoldExpired);
            } else {
                let link = *entry
                    .links
                    .last()
                    .expect("what is in flight was handed to a link");
                entry.arm(op, None, &mut self.deadlines);
                self.outputs.push_back(Output::Stuck { link, op });
            }
        }
    }

    /// The machine slept for this long: every budget gets its gap back.
    pub fn slept(&mut self, gap: Duration) {
        let deadlines = std::mem::take(&mut self.deadlines);
        self.deadlines = deadlines
            .into_iter()
            .map(|(at, op)| (later(at, gap), op))
            .collect();
        for entry in self.entries.values_mut() {
            entry.expires = later(entry.expires, gap);
            entry.deadline = entry.deadline.map(|at| later(at, gap));
        }
    }

    fn is_on(&self, link: Link, op: Op, state: State) -> bool {
        self.attached.is_some_and(|attached| attached.link == link)
            && self
                .entries
                .get(op)
                .is_some_and(|entry| entry.state == state && entry.links.last() == Some(&link))
    }

    /// Decides on one operation whose connection went.
    fn lose(&mut self, op: Op, untouched: bool) {
        let limit = self.limits.redeliveries;
        let entry = self
            .entries
            .get_mut(op)
            .expect("what is in flight has an entry");
        let untouched = untouched && entry.state != State::Started;
        if entry.abandoned || !entry.submit.answered {
            self.forget_but_remember(op);
        } else if untouched {
            self.requeue(op);
        } else if entry.submit.replay == Replay::Never {
            self.settle(op, Outcome::Unknown, Cause::LinkLost);
        } else if entry.redeliveries >= limit {
            self.settle(op, Outcome::Unknown, Cause::Redelivered);
        } else {
            entry.redeliveries += 1;
            entry.seen = true;
            self.requeue(op);
        }
    }

    fn requeue(&mut self, op: Op) {
        self.flight.remove(&op);
        let entry = self
            .entries
            .get_mut(op)
            .expect("what is requeued has an entry");
        if entry.abandoned {
            self.forget_but_remember(op);
            return;
        }
        entry.state = State::Queued;
        entry.arm(op, Some(entry.expires), &mut self.deadlines);
        self.queue.insert(op);
    }

    fn settle(&mut self, op: Op, outcome: Outcome, cause: Cause) {
        let entry = self.entries.get(op).expect("what is settled has an entry");
        let answered = entry.submit.answered;
        self.forget_but_remember(op);
        if answered {
            self.outputs
                .push_back(Output::Settle { op, outcome, cause });
        }
    }

    fn forget_but_remember(&mut self, op: Op) {
        if let Some(entry) = self.forget(op) {
            self.remembered.insert(op, entry.links);
        }
    }

    fn forget(&mut self, op: Op) -> Option<Entry<P>> {
        let entry = self.entries.remove(op)?;
        self.queue.remove(&op);
        self.flight.remove(&op);
        if let Some(at) = entry.deadline {
            self.deadlines.remove(&(at, op));
        }
        self.bytes -= entry.submit.bytes;
        Some(entry)
    }
}

impl<P> Entry<P> {
    /// Gives it another deadline.
    fn arm(&mut self, op: Op, deadline: Option<Instant>, all: &mut BTreeSet<(Instant, Op)>) {
        if let Some(old) = std::mem::replace(&mut self.deadline, deadline) {
            all.remove(&(old, op));
        }
        if let Some(at) = deadline {
            all.insert((at, op));
        }
    }
}

/// `Instant` has an end, and a caller may say "for ever" by a very long time.
fn later(at: Instant, by: Duration) -> Instant {
    const YEARS: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    at.checked_add(by)
        .or_else(|| at.checked_add(YEARS))
        .unwrap_or(at)
}
