//! What the host knows: its clients, which ticket belongs to which call, and what the broker has
//! not heard yet. Pure.
//!
//! ```text
//!   pulled ──▶ unread ──────────▶ read ─────────▶ answered ──▶ acknowledged
//!                │ nobody began it │ owed to the    │ pushed again
//!                ▼ at a detach     ▼ broker         ▼ after a new lease
//!            delivered again    `coming`         `coming`
//! ```
//!
//! A *client* here is one of the broker's clients on one lease. With a new lease the broker
//! introduces each anew, so each gets a new service; the former service keeps what it has read
//! until that is answered, and then its transport ends.

mod broker;
mod client;
mod outbox;
mod service;
#[cfg(test)]
mod tests;

pub(super) use client::Read;
pub(super) use outbox::{Item, Ready, What};

use crate::native::Meet;
use client::Client;
use mcp_transport_core::{Ending, Error, ErrorKind, Id, Message, Outcome};
use outbox::Outbox;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

/// One client on one lease; never used again.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Key(u64);

/// Who wants to know.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Output {
    /// There is something to read for whoever serves this client, or it is over.
    Readable(Key),
    /// There may be room for what this client is told.
    Writable(Key),
    /// A client waits to be accepted, or none will come any more.
    Acceptable,
    /// There is something to push, or one thing less to wait for.
    Work,
    /// One answer less is owed to the broker.
    Settled,
}

/// A client that was accepted.
#[derive(Clone, Debug)]
pub(super) struct Accepted {
    pub(super) key: Key,
    pub(super) name: Arc<str>,
    pub(super) meet: Arc<Meet>,
}

/// What is said to the broker when the host goes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Departure {
    pub(super) received: Vec<u64>,
    pub(super) untouched: Vec<u64>,
    pub(super) coming: Vec<u64>,
}

/// A call that was read and has no answer.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) ticket: u64,
    pub(super) client: Arc<str>,
    pub(super) message: Message,
}

#[derive(Debug)]
struct Ticket {
    key: Key,
    client: Arc<str>,
    request: Message,
    state: Progress,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Progress {
    Unread,
    Read,
}

/// A name on the present lease.
#[derive(Debug)]
struct Known {
    meet: Arc<Meet>,
    /// `None` once the service has ended.
    key: Option<Key>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    lease: Option<String>,
    is_attached: bool,
    /// No further request is read.
    is_draining: bool,
    closed: Option<Error>,
    clients: HashMap<Key, Client>,
    names: HashMap<Arc<str>, Known>,
    tickets: HashMap<u64, Ticket>,
    accepts: VecDeque<Key>,
    outbox: Outbox,
    /// Clients whose services wait for room.
    blocked: BTreeSet<Key>,
    outputs: VecDeque<Output>,
    last_key: u64,
}

/// Clients at once, at most: those of a broker, and as many of the lease before.
const MAX_CLIENTS: usize = 8_192;

/// Items of one client that wait to be pushed before its service waits for room.
const MAX_WAITING: usize = 64;

/// Bytes that wait to be pushed before every service waits for room.
const MAX_WAITING_BYTES: usize = 64 * 1024 * 1024;

/// The largest message for the broker: what is pushed may have 64 MiB, and needs a little for what
/// is around it.
pub(super) const MAX_MESSAGE: usize = 64 * 1024 * 1024 - 4 * 1024;

/// A request that has no end by design: there is no answer that could be coming.
const ENDLESS: &str = "subscriptions/listen";

/// What the shell does next.
impl State {
    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// What may be pushed.
    pub(super) fn ready(&self) -> Ready {
        self.outbox.ready()
    }

    /// The next batch, and its number for [`acknowledged`](Self::acknowledged).
    pub(super) fn batch(&mut self, ready: Ready) -> (u64, Vec<Item>) {
        let (number, batch) = self.outbox.take(ready);
        for item in &batch {
            if let Some(client) = self.clients.get_mut(&item.key) {
                client.waiting = client.waiting.saturating_sub(1);
            }
        }
        self.unblock();
        (number, batch)
    }

    /// The broker does not take a batch, for its size: its largest message is given up, and who
    /// waits for it is told. False if that cannot help.
    pub(super) fn refused(&mut self, batch: u64, error: &Error) -> bool {
        let Some(Item { key, what, message }) = self.outbox.refused(batch) else {
            return false;
        };
        tracing::warn!(%error, ?message, "the broker does not take a message");
        if let What::Answer { .. } = what {
            let message = Message::failure(message.id(), error);
            self.outbox.push(Item { key, what, message });
        }
        self.recount();
        self.outputs.push_back(Output::Work);
        true
    }

    /// What is in flight counts as not pushed.
    pub(super) fn push_again(&mut self) {
        self.outbox.again();
        self.recount();
    }

    /// Takes no more work: what was not read is not read any more.
    pub(super) fn drain(&mut self, draining: bool) {
        self.is_draining = draining;
        self.outputs.push_back(Output::Work);
        if !draining {
            let all = self.clients.keys().map(|&key| Output::Readable(key));
            self.outputs.extend(all);
        }
    }

    /// True while it takes more work.
    pub(super) const fn is_taking(&self) -> bool {
        !self.is_draining
    }

    /// True once the services owe no answer.
    pub(super) fn is_settled(&self) -> bool {
        self.owed().next().is_none()
    }

    /// What a next life must know: the calls that were read, and the answers that the broker may
    /// not have.
    pub(super) fn carry(&mut self) -> (Vec<Call>, Vec<(u64, Message)>) {
        let calls = self.owed().map(|(&ticket, entry)| Call {
            ticket,
            client: Arc::clone(&entry.client),
            message: entry.request.clone(),
        });
        let mut calls: Vec<_> = calls.collect();
        calls.sort_unstable_by_key(|call| call.ticket);
        let answers = self.outbox.answers();
        let answers = answers.map(|(ticket, message)| (ticket, message.clone()));
        (calls, answers.collect())
    }

    /// The name of the last lease.
    pub(super) fn lease(&self) -> Option<&str> {
        self.lease.as_deref()
    }
}

/// What both sides need.
impl State {
    fn new_key(&mut self) -> Key {
        self.last_key += 1;
        Key(self.last_key)
    }

    fn push_answer(&mut self, ticket: u64, message: Message) {
        let Some(key) = self.forget(ticket) else {
            return;
        };
        let what = What::Answer { ticket };
        self.push(Item { key, what, message });
    }

    fn settle(&mut self, ticket: u64, outcome: Outcome, cause: &'static str, text: &str) {
        if let Some(entry) = self.tickets.get(&ticket) {
            let answer = failure(entry.request.id(), outcome, cause, text);
            self.push_answer(ticket, answer);
        }
    }

    fn push(&mut self, item: Item) {
        if let Some(client) = self.clients.get_mut(&item.key) {
            client.waiting += 1;
        }
        self.outbox.push(item);
        self.outputs.push_back(Output::Work);
    }

    /// A ticket is over; says whose it was.
    fn forget(&mut self, ticket: u64) -> Option<Key> {
        let entry = self.tickets.remove(&ticket)?;
        self.outputs.push_back(Output::Settled);
        if let Some(client) = self.clients.get_mut(&entry.key) {
            if let Some(id) = entry.request.id() {
                client.ids.remove(id);
            }
            if entry.state == Progress::Read && !is_endless(&entry.request) {
                client.owed -= 1;
            }
            if client.owed == 0 && client.end.is_some() {
                self.outputs.push_back(Output::Readable(entry.key));
            }
        }
        Some(entry.key)
    }

    /// What was read and is owed, by anybody.
    fn owed(&self) -> impl Iterator<Item = (&u64, &Ticket)> {
        let owed = |entry: &Ticket| entry.state == Progress::Read && !is_endless(&entry.request);
        self.tickets.iter().filter(move |(_, entry)| owed(entry))
    }

    /// The tickets whose answers are here or will be. Subscriptions are not among them: nothing is
    /// lost if the broker asks for them anew.
    fn coming(&self) -> Vec<u64> {
        let owed = self.owed().map(|(&ticket, _)| ticket);
        let mut coming: Vec<u64> = owed.chain(self.outbox.tickets()).collect();
        coming.sort_unstable();
        coming
    }

    /// After the outbox was turned over: how much of each client waits.
    fn recount(&mut self) {
        for client in self.clients.values_mut() {
            client.waiting = 0;
        }
        for key in self.outbox.waiting() {
            if let Some(client) = self.clients.get_mut(&key) {
                client.waiting += 1;
            }
        }
        self.unblock();
    }

    fn unblock(&mut self) {
        let blocked = std::mem::take(&mut self.blocked);
        self.outputs
            .extend(blocked.into_iter().map(Output::Writable));
    }
}

fn is_endless(request: &Message) -> bool {
    request.method() == Some(ENDLESS)
}

fn failure(id: Option<&Id>, outcome: Outcome, cause: &'static str, text: &str) -> Message {
    let code = match outcome {
        Outcome::NotDelivered => ErrorKind::Unreachable.code(),
        Outcome::Running | Outcome::Unknown => ErrorKind::Disconnected.code(),
    };
    Message::ended(id, code, &Ending::new(outcome, cause, text))
}
