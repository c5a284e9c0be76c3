//! One client, as long as somebody serves it. Pure.

use crate::native::Meet;
use mcp_transport_core::{Error, Id, Message};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Client {
    pub(super) name: Arc<str>,
    pub(super) meet: Arc<Meet>,
    /// What its service has not read.
    inbox: VecDeque<Unread>,
    /// Messages in the inbox that carry no ticket, and their bytes.
    loose: usize,
    loose_bytes: usize,
    /// The requests of the client that are owed an answer, read or not.
    pub(super) ids: HashMap<Id, u64>,
    /// The ids of requests that were cancelled after the service had read them: it may answer yet.
    spent: VecDeque<Id>,
    /// How many requests the service has read, and still owes an answer.
    pub(super) owed: usize,
    /// How many items of it wait to be pushed.
    pub(super) waiting: usize,
    pub(super) end: Option<End>,
}

#[derive(Debug)]
struct Unread {
    ticket: Option<u64>,
    message: Message,
}

/// How it ends for whoever serves it.
#[derive(Debug)]
pub(super) enum End {
    /// At once. The error is said once.
    Now(Option<Error>),
    /// As soon as the service has answered what it has read: the client lives on at the broker, and
    /// comes back with the next lease.
    Former(Option<Error>),
}

/// What a service reads next.
#[derive(Debug)]
pub(in crate::host) enum Read {
    Message(Message),
    End(Option<Error>),
    Nothing,
}

/// The most messages without a ticket that wait for a service, and their bytes: a service that does
/// not read is not fed without end.
const LOOSE: usize = 256;
const LOOSE_BYTES: usize = 16 * 1024 * 1024;

/// How many cancelled ids are remembered; most services never answer one.
const SPENT: usize = 64;

impl Client {
    pub(super) fn new(name: Arc<str>, meet: Arc<Meet>) -> Self {
        Self {
            name,
            meet,
            inbox: VecDeque::new(),
            loose: 0,
            loose_bytes: 0,
            ids: HashMap::new(),
            spent: VecDeque::new(),
            owed: 0,
            waiting: 0,
            end: None,
        }
    }

    pub(super) fn request(&mut self, ticket: u64, message: Message) {
        let ticket = Some(ticket);
        self.inbox.push_back(Unread { ticket, message });
    }

    /// Takes a message without a ticket; false if there is no room for it.
    pub(super) fn tell(&mut self, message: Message) -> bool {
        let bytes = self.loose_bytes + message.len();
        if self.loose >= LOOSE || (self.loose > 0 && bytes > LOOSE_BYTES) {
            return false;
        }
        self.loose += 1;
        self.loose_bytes = bytes;
        let ticket = None;
        self.inbox.push_back(Unread { ticket, message });
        true
    }

    /// An answer to this id is for nobody.
    pub(super) fn spend(&mut self, id: &Id) {
        if self.spent.len() == SPENT {
            self.spent.pop_front();
        }
        self.spent.push_back(id.clone());
    }

    /// True if an answer to this id is owed, or may yet come.
    pub(super) fn has_used(&self, id: &Id) -> bool {
        self.ids.contains_key(id) || self.spent.contains(id)
    }

    /// The next message that may be read: while the host takes no more work, no request.
    pub(super) fn next(&mut self, requests: bool) -> Option<(Option<u64>, Message)> {
        let may = |unread: &Unread| requests || unread.ticket.is_none();
        let at = self.inbox.iter().position(may)?;
        let Unread { ticket, message } = self.inbox.remove(at)?;
        if ticket.is_none() {
            self.loose -= 1;
            self.loose_bytes -= message.len();
        }
        Some((ticket, message))
    }

    /// How it ends, if there is nothing more to read.
    pub(super) fn ending(&mut self) -> Read {
        match &mut self.end {
            Some(End::Now(error)) => Read::End(error.take()),
            Some(End::Former(error)) if self.owed == 0 => Read::End(error.take()),
            Some(End::Former(_)) | None => Read::Nothing,
        }
    }

    /// Takes back one request that was not read; false if it was.
    pub(super) fn withdraw(&mut self, ticket: u64) -> bool {
        let before = self.inbox.len();
        self.inbox.retain(|unread| unread.ticket != Some(ticket));
        self.inbox.len() < before
    }

    /// Takes back every request that was not read, in order.
    pub(super) fn withdraw_all(&mut self) -> Vec<u64> {
        let unread = self.inbox.iter().filter_map(|unread| unread.ticket);
        let tickets = unread.collect();
        self.inbox.retain(|unread| unread.ticket.is_none());
        tickets
    }

    /// Nothing of it is read any more.
    pub(super) fn clear(&mut self) {
        self.inbox.clear();
        (self.loose, self.loose_bytes) = (0, 0);
    }
}
