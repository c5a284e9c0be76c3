//! The state behind the lock: the broker, and what it is told about and tells through. It does what
//! the broker wants done; nothing here waits.

use super::handed::Handed;
use super::hub::Hub;
use super::moving::Unclaimed;
use super::orphan::Orphan;
use super::outbox::Outbox;
use super::parked::Seats;
use crate::broker::{Broker, ClientId, Handout, Lease, Snapshot, Ticket};
use crate::mcp::{Kept, StreamId, Streams, ToolHeaders};
use crate::native::Era;
use crate::numbers::Table;
use mcp_transport_core::Message;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;

/// What is under the lock.
pub(super) struct State {
    pub(super) broker: Broker,
    pub(super) streams: Streams,
    pub(super) outboxes: Table<StreamId, Outbox>,
    /// The streams that sessions have open by GET, and those that are over as soon as they end.
    pub(super) gets: Table<StreamId, ClientId>,
    pub(super) seats: Seats,
    /// The lease whose tunnel is published.
    pub(super) tunnelled: Option<Lease>,
    pub(super) tools: Arc<ToolHeaders>,
    /// When the timer is armed for.
    pub(super) armed: Option<Instant>,
    pub(super) orphan: Orphan,
    /// What was taken over, by the ids by which it will be claimed.
    pub(super) unclaimed: HashMap<String, Unclaimed>,
    /// What a newer broker has, and whom to tell when nobody wants it any more.
    pub(super) moved: Table<Ticket, oneshot::Sender<()>>,
}

impl State {
    pub(super) fn due(&self) -> Option<Instant> {
        let dues = [self.broker.poll_timeout(), self.orphan.due()];
        dues.into_iter().flatten().min()
    }

    pub(super) fn answer(&mut self, ticket: Ticket, message: Message) {
        if let Some(event) = self.streams.answer(ticket, message) {
            if let Some(outbox) = self.outboxes.remove(&event.stream) {
                outbox.push(event);
            }
        }
    }

    pub(super) fn tell(&mut self, client: ClientId, about: Option<Ticket>, message: Message) {
        match self.streams.tell(client, about, message) {
            Kept::Out(event) => {
                let stream = event.stream;
                if let Some(outbox) = self.outboxes.get(&stream) {
                    if !outbox.push(event) {
                        tracing::warn!(%client, "a client that does not read was cut off");
                        self.outboxes.remove(&stream);
                    }
                }
            }
            Kept::Waits => {}
            Kept::Dropped => tracing::debug!(%client, "a message has nobody to go to"),
        }
    }

    /// Gives pulls what there is, the oldest first.
    pub(super) fn serve(&mut self, now: Instant, hub: &Arc<Hub>) {
        while let Some(parked) = self.seats.next() {
            let (seq, handouts) = self.pull(now, parked.lease, parked.max);
            if seq.is_none() {
                self.seats.put_back(parked);
                return;
            }
            let handed = Handed::new(hub.clone(), parked.lease, seq, handouts);
            if let Err(Ok(handed)) = parked.sender.send(Ok(handed)) {
                // Its connection went in this very moment.
                let (seq, handouts) = handed.disarm();
                self.unpull(now, parked.lease, seq, handouts);
            }
        }
    }

    pub(super) fn pull(
        &mut self,
        now: Instant,
        lease: Lease,
        max: usize,
    ) -> (Option<u64>, Vec<Handout>) {
        let handouts = self.broker.pull(now, lease, max);
        let seq = self.seats.number(lease, !handouts.is_empty());
        (seq, handouts)
    }

    pub(super) fn unpull(
        &mut self,
        now: Instant,
        lease: Lease,
        seq: Option<u64>,
        handouts: Vec<Handout>,
    ) {
        self.seats.return_number(lease, seq);
        self.broker.unpull(now, lease, handouts);
    }

    /// A stream is no longer read.
    pub(super) fn closed(&mut self, now: Instant, stream: StreamId) {
        self.outboxes.remove(&stream);
        if let Some(client) = self.gets.remove(&stream) {
            self.count_streams(now, client);
        }
    }

    pub(super) fn count_streams(&mut self, now: Instant, client: ClientId) {
        let open = self.gets.values().filter(|other| **other == client).count();
        self.broker.streams(now, client, open);
    }

    /// A client is over.
    pub(super) fn over(&mut self, client: ClientId) {
        for stream in self.streams.over(client) {
            self.outboxes.remove(&stream);
            self.gets.remove(&stream);
        }
    }
}

/// The schemas' headers of the tools in a catalogue.
pub(super) fn tool_headers(snapshot: &Snapshot) -> ToolHeaders {
    let lists = snapshot.entries.iter();
    let lists = lists.filter(|entry| entry.method == "tools/list" && entry.era == Era::Modern);
    ToolHeaders::of_lists(lists.map(|entry| entry.result.get()))
}
