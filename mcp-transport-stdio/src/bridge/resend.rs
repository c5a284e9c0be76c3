//! Which command is the same one again. Pure.
//!
//! The Python client (10.3) makes up to six attempts: after a time-out, an end of the stream and even after an answer of
//! `status:error` it sends the same bytes again, on a fresh connection. So the same bytes from *another* connection are
//! the same command while the first runs, and for [`REMEMBERED`] after its answer could not be written or was an error:
//! they get the first one's answer. Two identical commands that were each answered are two.
//!
//! The wire has no ids, so a person who repeats a failing command within that time, over another connection, hears the
//! remembered failure.

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

/// What to do with a command.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Arrival {
    /// It is new, or has not begun yet: hand it to the application.
    Run(Ticket),
    /// It runs already: its answer will be this one's, too.
    Attached,
    /// It ran already: this is the answer.
    Answered(Bytes),
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
    /// Who sent it first, or again before it began.
    runner: Peer,
    /// Who else waits for the answer.
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
        is_error: bool,
        until: Instant,
    },
}

impl Resends {
    /// Nothing runs.
    pub fn new() -> Self {
        Self::default()
    }

    /// A connection sent a command.
    pub fn arrive(&mut self, now: Instant, peer: Peer, command: &Bytes) -> Arrival {
        self.forget(now);
        let ticket = Ticket(self.next);
        // The newest first: a remembered failure is not the answer to what runs now.
        let known = self.entries.iter_mut().rev().find(|entry| {
            entry.command == *command && entry.runner != peer && !entry.waiting.contains(&peer)
        });
        match known.map(|entry| (&entry.state, entry.ticket)) {
            Some((State::Answered { answer, .. }, _)) => return Arrival::Answered(answer.clone()),
            Some((State::Running, ticket)) => {
                if let Some(entry) = self.entry(ticket) {
                    entry.waiting.push(peer);
                }
                return Arrival::Attached;
            }
            Some((State::Queued, former)) => {
                // It takes the place of the one that has not begun, which will not begin any more.
                if let Some(entry) = self.entry(former) {
                    let runner = std::mem::replace(&mut entry.runner, peer);
                    entry.waiting.push(runner);
                    entry.ticket = ticket;
                }
            }
            None => self.entries.push(Entry {
                ticket,
                command: command.clone(),
                runner: peer,
                waiting: Vec::new(),
                state: State::Queued,
            }),
        }
        self.next += 1;
        Arrival::Run(ticket)
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
        entry.state = State::Answered {
            answer: answer.clone(),
            is_error,
            until: now + REMEMBERED,
        };
        let mut told = std::mem::take(&mut entry.waiting);
        told.insert(0, entry.runner);
        self.forget(now);
        told
    }

    /// The answer was written to somebody who reads. If it is no error, the next such command is another one.
    pub fn delivered(&mut self, ticket: Ticket) {
        self.entries.retain(|entry| {
            entry.ticket != ticket
                || !matches!(
                    entry.state,
                    State::Answered {
                        is_error: false,
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
            Some(State::Running) => self.answer(now, ticket, &answer, true),
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
            .find(|entry| entry.runner == peer && matches!(entry.state, State::Queued));
        match queued.map(|entry| entry.ticket) {
            Some(ticket) => self.withdraw(ticket),
            None => Vec::new(),
        }
    }

    /// True if a command of this connection has begun and is not answered.
    pub fn runs_for(&self, peer: Peer) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.runner == peer && matches!(entry.state, State::Running))
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
    fn remembered(&self) -> Option<usize> {
        match &self.state {
            State::Answered { answer, .. } => Some(self.command.len() + answer.len()),
            _ => None,
        }
    }
}

const GIVEN_UP: &str = "The application gave this command up without an answer, so its outcome is unknown. Look before \
                        you call again.";
