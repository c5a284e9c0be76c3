//! Which command is the same one again. Pure.
//!
//! The Python client (10.3) makes up to six attempts: after a time-out, an end of the stream and even after an answer of
//! `status:error` it sends the same bytes again, on a fresh connection. So the same bytes from *another* connection are
//! the same command while the first runs, and for [`REMEMBERED`] after its answer could not be written or was an error:
//! they get the first one's answer. Two identical commands that were each answered are two.
//!
//! A [`Memory`] carries this over to the listener after a reload. Nobody knows how a command ended that ran when its
//! listener did: who sends it again hears that, and it does not run.
//!
//! The wire has no ids, so a person who repeats a failing command within that time, over another connection, hears the
//! remembered failure.

use super::memory::{LONGEST_GAP, Memory, Ran};
use super::seat::Peer;
use super::wire;
use bytes::Bytes;
use std::time::{Duration, Instant};

/// One command that is run once; a number that is never used again.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ticket(u64);

/// How long an answer that may not have arrived is remembered: 10 s. The Python client makes its attempts within 5.
pub const REMEMBERED: Duration = Duration::from_secs(10);

/// How many answers are remembered at most; then the oldest is forgotten.
pub const MAX_REMEMBERED: usize = 64;

/// How many bytes of commands and answers are remembered at most; then the oldest is forgotten.
pub const MAX_REMEMBERED_BYTES: usize = 16 * 1024 * 1024;

/// When a client sends a command again of which it does not know how it ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(
    clippy::exhaustive_enums,
    reason = "it looks at what the command does, or it does not"
)]
pub enum Repeats {
    /// Whatever the command does, as the Python client.
    Blindly,
    /// Only what may run twice: the rule of whoever asks for the seat by name. So it runs.
    Knowingly,
}

/// What to do with a command.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Arrival {
    /// It is new, or has not begun yet: hand it to the application.
    Run(Ticket),
    /// It runs already: its answer will be this one's, too.
    Attached,
    /// It ran already: this is the answer. Say when it was [`delivered`](Resends::delivered).
    Answered(Ticket, Bytes),
}

/// The commands that run, and the answers that may not have arrived.
#[derive(Debug, Default)]
pub struct Resends {
    next: u64,
    /// The oldest first. At most one runs for each connection, so a look through them is cheap.
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    ticket: Ticket,
    command: Bytes,
    /// Who sent it first, or again before it began; nobody who is here if that was before a reload.
    runner: Option<Peer>,
    /// Who else waits for the answer, or was given it.
    waiting: Vec<Peer>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The application has not taken it.
    Queued,
    Running,
    Answered {
        answer: Bytes,
        ending: Ending,
        until: Instant,
    },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ending {
    Done,
    Failed,
    /// It began, and nobody knows what it did.
    Unknown,
}

impl Resends {
    /// Nothing runs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on with what a listener before this one knew; with nothing if it is [too long](LONGEST_GAP) ago. `unix_ms` is
    /// the time by the wall clock, in milliseconds.
    pub fn resume(now: Instant, unix_ms: u64, memory: Memory) -> Self {
        let mut resends = Self::new();
        let gap = Duration::from_millis(unix_ms.saturating_sub(memory.left_unix_ms));
        if gap > LONGEST_GAP {
            return resends;
        }
        for Ran {
            command,
            answer,
            left,
        } in memory.ran
        {
            let (answer, ending) = match answer {
                Some(answer) if wire::is_error_answer(&answer) => (answer, Ending::Failed),
                Some(answer) => (answer, Ending::Done),
                None => (wire::error_answer(INTERRUPTED), Ending::Unknown),
            };
            resends.push(
                command,
                None,
                State::Answered {
                    answer,
                    ending,
                    until: now + left,
                },
            );
        }
        resends.forget(now);
        resends
    }

    /// What the next listener is to know, if this one ends now; `unix_ms` as for [`resume`](Self::resume).
    pub fn memory(&self, now: Instant, unix_ms: u64) -> Memory {
        let ran = self.entries.iter().filter_map(|entry| {
            let (answer, left) = match &entry.state {
                State::Queued => return None,
                State::Running => (None, REMEMBERED),
                State::Answered {
                    answer,
                    ending,
                    until,
                } => (
                    (*ending != Ending::Unknown).then(|| answer.clone()),
                    until.saturating_duration_since(now),
                ),
            };
            let command = entry.command.clone();
            (!left.is_zero()).then_some(Ran {
                command,
                answer,
                left,
            })
        });
        Memory {
            left_unix_ms: unix_ms,
            ran: ran.collect(),
        }
    }

    /// A connection sent a command.
    pub fn arrive(
        &mut self,
        now: Instant,
        peer: Peer,
        repeats: Repeats,
        command: &Bytes,
    ) -> Arrival {
        self.forget(now);
        // The newest first: a remembered failure is not the answer to what runs now.
        let known = self.entries.iter_mut().rev().find(|entry| {
            entry.command == *command
                && entry.runner != Some(peer)
                && !entry.waiting.contains(&peer)
                && !(entry.is_unknown() && repeats == Repeats::Knowingly)
        });
        let Some(entry) = known else {
            return Arrival::Run(self.push(command.clone(), Some(peer), State::Queued));
        };
        match &entry.state {
            State::Answered { answer, .. } => {
                let answer = answer.clone();
                // Who has heard it and asks again means it.
                entry.waiting.push(peer);
                Arrival::Answered(entry.ticket, answer)
            }
            State::Running => {
                entry.waiting.push(peer);
                Arrival::Attached
            }
            State::Queued => {
                // It takes the place of the one that has not begun, which will not begin any more.
                entry.waiting.extend(entry.runner.replace(peer));
                entry.ticket = Ticket(self.next);
                self.next += 1;
                Arrival::Run(entry.ticket)
            }
        }
    }

    /// The application takes it. False if it must not run: withdrawn, or taken over by its own resend.
    pub fn begin(&mut self, ticket: Ticket) -> bool {
        match self.entry(ticket) {
            Some(entry) if matches!(entry.state, State::Queued) => {
                entry.state = State::Running;
                true
            }
            _ => false,
        }
    }

    /// The application has answered, and `is_error` says whether [by its status](wire::is_error_answer) it failed. Says who
    /// is to hear it; a ticket that is over has nobody.
    pub fn answer(
        &mut self,
        now: Instant,
        ticket: Ticket,
        answer: &Bytes,
        is_error: bool,
    ) -> Vec<Peer> {
        let Some(entry) = self.entry(ticket) else {
            return Vec::new();
        };
        if matches!(entry.state, State::Answered { .. }) {
            return Vec::new();
        }
        let ending = if is_error {
            Ending::Failed
        } else {
            Ending::Done
        };
        self.end(now, ticket, answer, ending)
    }

    /// The answer was written to somebody who reads. If it is no error, the next such command is another one.
    pub fn delivered(&mut self, ticket: Ticket) {
        self.entries.retain(|entry| {
            entry.ticket != ticket
                || !matches!(
                    entry.state,
                    State::Answered {
                        ending: Ending::Done,
                        ..
                    }
                )
        });
    }

    /// The application gave the command up. Before it began it is as if it had never come; after that nobody knows what
    /// it did, and whoever sends it again is told so. Says who is to hear it now.
    pub fn abandon(&mut self, now: Instant, ticket: Ticket) -> (Vec<Peer>, Bytes) {
        let answer = wire::error_answer(GIVEN_UP);
        let told = match self.entry(ticket).map(|entry| &entry.state) {
            Some(State::Running) => self.end(now, ticket, &answer, Ending::Unknown),
            Some(State::Queued) => self.withdraw(ticket),
            _ => Vec::new(),
        };
        (told, answer)
    }

    /// A connection is gone, or lost its seat: what it had not begun is withdrawn. Says who waited for that.
    pub fn leave(&mut self, peer: Peer) -> Vec<Peer> {
        for entry in &mut self.entries {
            entry.waiting.retain(|waiting| *waiting != peer);
        }
        let queued = self
            .entries
            .iter()
            .find(|entry| entry.runner == Some(peer) && matches!(entry.state, State::Queued));
        match queued.map(|entry| entry.ticket) {
            Some(ticket) => self.withdraw(ticket),
            None => Vec::new(),
        }
    }

    /// True if a command of this connection has begun and is not answered.
    pub fn runs_for(&self, peer: Peer) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.runner == Some(peer) && matches!(entry.state, State::Running))
    }

    fn push(&mut self, command: Bytes, runner: Option<Peer>, state: State) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        self.entries.push(Entry {
            ticket,
            command,
            runner,
            waiting: Vec::new(),
            state,
        });
        ticket
    }

    fn end(&mut self, now: Instant, ticket: Ticket, answer: &Bytes, ending: Ending) -> Vec<Peer> {
        let Some(entry) = self.entry(ticket) else {
            return Vec::new();
        };
        entry.state = State::Answered {
            answer: answer.clone(),
            ending,
            until: now + REMEMBERED,
        };
        let told = entry
            .runner
            .into_iter()
            .chain(entry.waiting.iter().copied());
        let told = told.collect();
        self.forget(now);
        told
    }

    fn withdraw(&mut self, ticket: Ticket) -> Vec<Peer> {
        let at = self.entries.iter().position(|entry| entry.ticket == ticket);
        at.map_or_else(Vec::new, |at| self.entries.remove(at).waiting)
    }

    fn entry(&mut self, ticket: Ticket) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.ticket == ticket)
    }

    /// Forgets answers that are too old, and the oldest of too many.
    fn forget(&mut self, now: Instant) {
        self.entries
            .retain(|entry| !matches!(entry.state, State::Answered { until, .. } if until <= now));
        loop {
            let remembered = self.entries.iter().filter_map(Entry::remembered);
            let (count, bytes) = remembered.fold((0, 0), |(n, sum), bytes| (n + 1, sum + bytes));
            if count <= MAX_REMEMBERED && bytes <= MAX_REMEMBERED_BYTES {
                return;
            }
            let oldest = self
                .entries
                .iter()
                .position(|entry| entry.remembered().is_some());
            self.entries
                .remove(oldest.expect("one is counted at least"));
        }
    }
}

impl Entry {
    fn is_unknown(&self) -> bool {
        matches!(
            self.state,
            State::Answered {
                ending: Ending::Unknown,
                ..
            }
        )
    }

    fn remembered(&self) -> Option<usize> {
        match &self.state {
            State::Answered { answer, .. } => Some(self.command.len() + answer.len()),
            _ => None,
        }
    }
}

const GIVEN_UP: &str = "The application gave this command up without an answer, so its outcome is unknown. Look before \
                        you call again.";

const INTERRUPTED: &str = "A reload of the application interrupted this command, so its outcome is unknown. It was not run \
                           again. Look before you call again.";
