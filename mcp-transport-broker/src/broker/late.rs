//! Results for whoever asks by an operation's id: of calls that were answered before they were
//! over, or whose end nobody knew.

use super::config::LateLimits;
use super::later;
use super::moving::{KeptResult, raw};
use super::types::{Operation, Ticket};
use crate::numbers::Table;
use mcp_transport_core::Message;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// The newest, within its limits: the oldest make room.
#[derive(Debug)]
pub(super) struct Late {
    limits: LateLimits,
    ids: HashMap<String, Ticket>,
    entries: Table<Ticket, Entry>,
    order: VecDeque<Ticket>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    id: String,
    result: Option<Message>,
    /// How long a result is kept; none while it runs.
    until: Option<Instant>,
}

impl Late {
    pub(super) fn new(limits: LateLimits) -> Self {
        Self {
            limits,
            ids: HashMap::new(),
            entries: Table::default(),
            order: VecDeque::new(),
            bytes: 0,
        }
    }

    /// A client was told this id.
    pub(super) fn expect(&mut self, ticket: Ticket, id: String) {
        while self.entries.len() >= self.limits.results.max(1) {
            self.drop_oldest();
        }
        self.ids.insert(id.clone(), ticket);
        let entry = Entry {
            id,
            result: None,
            until: None,
        };
        self.entries.insert(ticket, entry);
        self.order.push_back(ticket);
    }

    /// True if somebody may ask for it.
    pub(super) fn expects(&self, ticket: Ticket) -> bool {
        self.entries.contains_key(&ticket)
    }

    /// By which id.
    pub(super) fn id(&self, ticket: Ticket) -> Option<&str> {
        self.entries.get(&ticket).map(|entry| entry.id.as_str())
    }

    /// It ended so. A later word replaces an earlier one; one that is over the limit by itself is
    /// not kept.
    pub(super) fn finish(&mut self, now: Instant, ticket: Ticket, message: Message) {
        if !self.expects(ticket) {
            return;
        }
        if message.len() > self.limits.bytes {
            tracing::warn!(%ticket, bytes = message.len(), "a late result is too large to keep");
            self.remove(ticket);
            return;
        }
        self.bytes += message.len();
        if let Some(entry) = self.entries.get_mut(&ticket) {
            entry.until = Some(later(now, self.limits.keep));
            let former = entry.result.replace(message);
            self.bytes -= former.map_or(0, |former| former.len());
        }
        // To the end of the row, so that the row is in the order in which they expire.
        self.order.retain(|&other| other != ticket);
        self.order.push_back(ticket);
        while self.bytes > self.limits.bytes {
            self.drop_oldest();
        }
    }

    /// All of it, for whoever takes over; but for what is no JSON.
    pub(super) fn kept(&self, now: Instant) -> Vec<KeptResult> {
        let left = |until: Instant| {
            u64::try_from(until.saturating_duration_since(now).as_millis()).unwrap_or(u64::MAX)
        };
        let entries = self.order.iter().filter_map(|ticket| {
            let entry = self.entries.get(ticket)?;
            let message = entry.result.as_ref().map(raw);
            Some(KeptResult {
                operation_id: entry.id.clone(),
                ticket: ticket.get(),
                message: match message {
                    Some(message) => Some(message?),
                    None => None,
                },
                left_ms: entry.until.map(left),
            })
        });
        entries.collect()
    }

    /// What another broker kept, for as long as is left of it.
    pub(super) fn take_over(
        &mut self,
        now: Instant,
        ticket: Ticket,
        id: String,
        message: Option<Message>,
        left: Option<Duration>,
    ) {
        if !self.ids.contains_key(&id) {
            self.expect(ticket, id);
        }
        let Some(message) = message else {
            return;
        };
        self.finish(now, ticket, message);
        let until = later(now, left.unwrap_or(self.limits.keep).min(self.limits.keep));
        if let Some(entry) = self.entries.get_mut(&ticket) {
            entry.until = Some(until);
        }
    }

    pub(super) fn get(&self, id: &str) -> Operation {
        let entry = self.ids.get(id).and_then(|ticket| self.entries.get(ticket));
        match entry {
            None => Operation::Unknown,
            Some(Entry { result: None, .. }) => Operation::Running,
            Some(Entry {
                result: Some(message),
                ..
            }) => Operation::Done(message.clone()),
        }
    }

    pub(super) fn expire(&mut self, now: Instant) {
        while let Some((ticket, until)) = self.first() {
            if until > now {
                return;
            }
            self.remove(ticket);
        }
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.first().map(|(_, until)| until)
    }

    pub(super) fn slept(&mut self, gap: Duration) {
        for entry in self.entries.values_mut() {
            entry.until = entry.until.map(|until| later(until, gap));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn first(&self) -> Option<(Ticket, Instant)> {
        self.order
            .iter()
            .find_map(|ticket| Some((*ticket, self.entries.get(ticket)?.until?)))
    }

    fn drop_oldest(&mut self) {
        if let Some(&ticket) = self.order.front() {
            self.remove(ticket);
        }
    }

    fn remove(&mut self, ticket: Ticket) {
        if let Some(entry) = self.entries.remove(&ticket) {
            self.ids.remove(&entry.id);
            self.bytes -= entry.result.map_or(0, |result| result.len());
        }
        self.order.retain(|&other| other != ticket);
    }
}
