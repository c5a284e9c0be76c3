//! What waits to be pushed, and what was pushed and is not acknowledged. Pure.

use super::Key;
use mcp_transport_core::Message;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

/// One item for the broker.
#[derive(Clone, Debug)]
pub(in crate::host) struct Item {
    /// Whose it is.
    pub(in crate::host) key: Key,
    pub(in crate::host) what: What,
    /// Empty for [`What::Closed`].
    pub(in crate::host) message: Message,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::host) enum What {
    Answer {
        ticket: u64,
    },
    Say {
        client: Arc<str>,
        about: Option<u64>,
    },
    Closed {
        client: Arc<str>,
    },
}

/// What may be pushed now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::host) enum Ready {
    Nothing,
    /// Answers, which are the same said twice: they may go along with a pull, which is acknowledged
    /// only when it has brought something.
    Answers,
    /// It goes alone, and is acknowledged at once: something that is no answer, so that what comes
    /// after it cannot overtake it on another connection; or a large answer, so that it is neither
    /// kept for long nor holds up a pull.
    Alone,
}

/// The most items of one push.
const BATCH: usize = 256;

/// What a push of more than one item holds at most, in bytes.
const BATCH_BYTES: usize = 1024 * 1024;

/// Up to this size, an item is no reason to refuse a push.
const SMALL: usize = 4 * 1024;

/// From this size on, an answer is large.
const LARGE: usize = 64 * 1024;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: VecDeque<Item>,
    flying: BTreeMap<u64, Vec<Item>>,
    /// The one batch in flight that nothing may overtake.
    alone: Option<u64>,
    /// The tickets whose answers are here.
    answered: HashSet<u64>,
    batches: u64,
    bytes: usize,
}

impl Outbox {
    pub(super) fn push(&mut self, item: Item) {
        self.bytes += item.message.len();
        if let What::Answer { ticket } = item.what {
            self.answered.insert(ticket);
        }
        self.queue.push_back(item);
    }

    /// The bytes that wait.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn ready(&self) -> Ready {
        let Some(first) = self.queue.front() else {
            return Ready::Nothing;
        };
        match self.alone {
            Some(_) => Ready::Nothing,
            None if first.goes_along() => Ready::Answers,
            None => Ready::Alone,
        }
    }

    /// The next batch and its number; from now on it is in flight.
    pub(super) fn take(&mut self, ready: Ready) -> (u64, Vec<Item>) {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(first) = self.queue.front() {
            let fits = match ready {
                Ready::Nothing => false,
                Ready::Answers => first.goes_along(),
                Ready::Alone => true,
            };
            let has_room = batch.len() < BATCH && bytes + first.message.len() <= BATCH_BYTES;
            if !fits || !(has_room || batch.is_empty()) {
                break;
            }
            let item = self.queue.pop_front().expect("it was there just now");
            self.bytes -= item.message.len();
            bytes += item.message.len();
            if matches!(item.what, What::Closed { .. }) {
                // An answer that is on its way elsewhere must not come after the end of its client.
                let again = self.flying.values().flatten();
                batch.extend(again.filter(|flying| flying.key == item.key).cloned());
            }
            batch.push(item);
        }
        self.batches += 1;
        if !batch.is_empty() {
            self.flying.insert(self.batches, batch.clone());
            if batch.iter().any(|item| !item.is_answer()) {
                self.alone = Some(self.batches);
            }
        }
        (self.batches, batch)
    }

    /// The broker has it.
    pub(super) fn acknowledged(&mut self, batch: u64) {
        for item in self.flying.remove(&batch).into_iter().flatten() {
            if let What::Answer { ticket } = item.what {
                self.answered.remove(&ticket);
            }
        }
        self.alone = self.alone.filter(|&alone| alone != batch);
    }

    /// The broker does not take a batch of this size: all of it waits again, and the largest item,
    /// which is yielded, is to be replaced. `None` if size cannot be what is wrong with it.
    pub(super) fn refused(&mut self, batch: u64) -> Option<Item> {
        let mut items = self.flying.remove(&batch)?;
        self.alone = self.alone.filter(|&alone| alone != batch);
        let sizes = items.iter().map(|item| item.message.len());
        let (at, size) = sizes.enumerate().max_by_key(|&(_, size)| size)?;
        let largest = (size >= SMALL).then(|| items.remove(at));
        if let Some(What::Answer { ticket }) = largest.as_ref().map(|item| &item.what) {
            self.answered.remove(ticket);
        }
        for item in items.into_iter().rev() {
            self.bytes += item.message.len();
            self.queue.push_front(item);
        }
        largest
    }

    /// Nobody knows whether what is in flight has arrived: its answers are pushed again, first and
    /// in their order.
    pub(super) fn again(&mut self) {
        self.alone = None;
        let flying = std::mem::take(&mut self.flying);
        for item in flying.into_values().flatten().rev() {
            let What::Answer { ticket } = item.what else {
                continue;
            };
            // One that was repeated before its client's end may be acknowledged, or here twice.
            let twice = self.queue.iter().any(|queued| queued.what == item.what);
            if self.answered.contains(&ticket) && !twice {
                self.bytes += item.message.len();
                self.queue.push_front(item);
            }
        }
    }

    /// The lease is over: answers stay, the rest belonged to it.
    pub(super) fn keep_answers(&mut self, keep: impl Fn(u64) -> bool) {
        self.again();
        self.queue.retain(|item| match item.what {
            What::Answer { ticket } => keep(ticket),
            What::Say { .. } | What::Closed { .. } => false,
        });
        self.answered.retain(|&ticket| keep(ticket));
        self.bytes = self.queue.iter().map(|item| item.message.len()).sum();
    }

    /// Whether this ticket's answer is here.
    pub(super) fn has_answer(&self, ticket: u64) -> bool {
        self.answered.contains(&ticket)
    }

    /// The tickets whose answers are here.
    pub(super) fn tickets(&self) -> impl Iterator<Item = u64> + '_ {
        self.answered.iter().copied()
    }

    /// Whose items wait, one for each.
    pub(super) fn waiting(&self) -> impl Iterator<Item = Key> + '_ {
        self.queue.iter().map(|item| item.key)
    }

    /// Every answer that is here, once.
    pub(super) fn answers(&mut self) -> impl Iterator<Item = (u64, &Message)> + '_ {
        self.again();
        self.queue.iter().filter_map(|item| match item.what {
            What::Answer { ticket } => Some((ticket, &item.message)),
            What::Say { .. } | What::Closed { .. } => None,
        })
    }
}

impl Item {
    const fn is_answer(&self) -> bool {
        matches!(self.what, What::Answer { .. })
    }

    const fn goes_along(&self) -> bool {
        self.is_answer() && self.message.len() < LARGE
    }
}
